"""How prices are learned and steered, over gRPC."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from rapport.pricing.v1 import learning_pb2
from rapport_chassis.once import Once, actor
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_pricing.app.auditing import audit, bounds_of
from rapport_pricing.app.catalogue import Laws, listing_of, published_at
from rapport_pricing.app.learned import digest, policy_of, versions_of
from rapport_pricing.app.policy_replay import Seen, replay_policy
from rapport_pricing.app.rules import Policy as PricePolicy
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.outcomes import Count
from rapport_pricing.domain.policy import PolicySettings, Product
from rapport_pricing.domain.steering import Mode, Steering
from rapport_pricing.entrypoints.ports import Store, Unit
from rapport_pricing.translate.learning import MODES, learning_message, put_audit, put_counts, replay_message
from rapport_pricing.translate.money import minor_of
from rapport_pricing.translate.terms import terms_of

_USUAL = PolicySettings()


@dataclass(frozen=True)
class LearningDesk:
    """Answers for what is learned.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        laws: What the law says.
        kept_for: How long outcomes are kept.
    """

    once: Once[Unit]
    store: Store
    laws: Laws
    kept_for: timedelta

    async def SteerPrice(self, request: learning_pb2.SteerPriceRequest, context: Context) -> learning_pb2.PriceLearning:
        """Say who decides the price of a listing."""
        actor()
        key, mode = Key(request.product_id, request.variant_id, request.market), MODES[request.mode]
        if (mode is Mode.PINNED) != request.HasField("pinned"):
            raise ERRORS.error("PRICE_INVALID", "a pinned price, and only it, is named", field="pinned")

        async def steered(unit: Unit) -> learning_pb2.PriceLearning:
            catalogue = await unit.catalogue()
            await listing_of(catalogue, key)
            market = (await catalogue.rulebook()).market(key.market)
            pinned = minor_of(request.pinned, market.currency, "pinned") if mode is Mode.PINNED else None
            await unit.learning.steer(key, Steering(mode, pinned, request.incident))
            learner = await unit.learning.learner(key)
            assert learner is not None
            return learning_message(key, learner, market.currency)

        target = f"price/{key.product_id}"
        return await self.once.run(request, learning_pb2.PriceLearning, steered, target=target, reason=request.reason)

    async def GetPriceLearning(
        self, request: learning_pb2.GetPriceLearningRequest, context: Context
    ) -> learning_pb2.PriceLearning:
        """Say what was learned of the price of a listing."""
        key = Key(request.product_id, request.variant_id, request.market)
        async with self.store.unit() as unit:
            catalogue = await unit.catalogue()
            await listing_of(catalogue, key)
            market, now_us = (await catalogue.rulebook()).market(key.market), catalogue.now_us
            bounds = await bounds_of(catalogue, self.laws, key) if request.audit else None
        async with self.store.unit() as unit:  # without the head of the catalogue: what follows may take long
            learner = await unit.learning.learner(key)
            if learner is None or learner.anchor is None or learner.prior is None:
                return learning_pb2.PriceLearning(**key._asdict())
            message = learning_message(key, learner, market.currency)
            message.waiting = await unit.learning.waiting()
            turns = await unit.learning.turns(key, learner.since_turn)
            numbers = sorted({each.price_version for each in turns})
            counts = await unit.learning.counts(key, numbers)
            kept_us = now_us - self.kept_for // timedelta(microseconds=1)
            whole = not turns or turns[0].at_us > kept_us
            again = await unit.learning.folded_again(key, numbers) if request.refold and whole else None
            audited = await audit(unit.learning, learner, key, bounds) if bounds is not None else None
        if turns:
            message.price_version, message.explores = turns[-1].price_version, turns[-1].explores
        product = Product(learner.anchor, 0, 0, 0, learner.prior, learner.level)
        judge = policy_of(_USUAL)
        versions = versions_of(learner.start_cell, turns, counts)
        put_counts(message, Count(sum(each.shown for each in versions), sum(each.sold for each in versions)))
        message.posterior_sha256 = digest(judge.believe(product, versions))
        if again is not None:
            refolded = digest(judge.believe(product, versions_of(learner.start_cell, turns, again)))
            message.refolds = refolded == message.posterior_sha256 and again == counts
        if audited is not None:
            put_audit(message, audited, market.currency)
        return message

    async def ReplayPolicy(
        self, request: learning_pb2.ReplayPolicyRequest, context: Context
    ) -> learning_pb2.ReplayPolicyResponse:
        """Replay a price policy over what the visitors of a listing did."""
        key = Key(request.product_id, request.variant_id, request.market)
        policy = terms_of("replayed", 1, request.terms)
        assert isinstance(policy, PricePolicy)
        async with self.store.unit() as unit:
            catalogue = await unit.catalogue()
            now_us = catalogue.now_us
            product, listing = await listing_of(catalogue, key)
            market = (await catalogue.rulebook()).market(key.market)
            history = await catalogue.history(key)
            learner = await unit.learning.learner(key)
            counts = await unit.learning.counts(key, [each.version for each in history.versions])
        seen = [
            Seen(
                each.since_us, published_at(each, market), counts[each.version].shown, max(counts[each.version].sold, 0)
            )
            for each in history.versions
            if each.version in counts and counts[each.version].shown and not each.promotion_id
        ]
        law = self.laws.at(key.market, product.category, now_us)
        replay = await asyncio.to_thread(replay_policy, policy, seen, learner, listing, market, law, history)
        return replay_message(replay, market.currency)
