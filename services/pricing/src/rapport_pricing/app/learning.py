"""Use case: what a listing sold decides its next price, within the guardrails."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rapport_chassis.errors import RapportError

from rapport_pricing.app.catalogue import Catalogue, Laws, Wish, guard, listing_of, published_at, put_in_force
from rapport_pricing.app.learned import Learner, Ledger, Outlook, Turn, begun, look, policy_of
from rapport_pricing.app.limits import floors_of, known_of
from rapport_pricing.app.rules import Market
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.guardrails import Quantity
from rapport_pricing.domain.ledger import Cause, PriceVersion
from rapport_pricing.domain.outcomes import NOTHING, Count
from rapport_pricing.domain.policy import Decision, Policy, Stock, Version
from rapport_pricing.domain.steering import Mode, Steering, due
from rapport_pricing.domain.teaching import lesson

_RECENT: Final = 40


async def take_turn(catalogue: Catalogue, ledger: Ledger, laws: Laws, key: Key, learner: Learner) -> int | None:
    """Decide about a listing if it is time to, and return when to look again though nothing happens.

    Nothing is decided where no policy says that prices are learned, while nothing is published, and while a public
    promotion sets the price.

    Raises:
        RapportError: LISTING_NOT_FOUND, MARKET_NOT_DECLARED, GUARDRAILS_CONTRADICT: there is nothing to decide about.
    """
    product, listing = await listing_of(catalogue, key)
    rulebook = await catalogue.rulebook()
    market = rulebook.market(key.market)
    authored = rulebook.policy(product.product_id, product.category, product.brand_id, market.name)
    history = await catalogue.history(key)
    current = history.at(catalogue.now_us)
    if authored is None or authored.learning is None or current is None or current.promotion_id:
        return None
    learning = authored.learning
    within = learning.bought_within_us
    oldest = await ledger.lapse(key, catalogue.now_us - within, catalogue.now_us)
    wake_us = None if oldest is None else oldest + within
    policy = policy_of(learning.settings)
    known = known_of(history, listing.cost, listing.tax_ppm, market, catalogue.now_us)
    floor = floors_of(authored, laws.at(market.name, product.category, catalogue.now_us), market).guard(0, known).price
    price = published_at(current, market)
    if learner.anchor is None:
        learner = begun(policy, learner, price, known[Quantity.COST], await ledger.others(key))
    outlook = await look(ledger, learner, key, learning, cost=known[Quantity.COST], floor=floor)
    if not outlook.turns or outlook.turns[-1].price_version != current.version:
        await _notice(catalogue, ledger, key, learner, policy, outlook, current.version, price)
        return wake_us
    last = outlook.turns[-1]
    heard = outlook.counts.get(last.price_version, NOTHING).less(last.base).heard
    steering = learner.steering
    if market.emergency_us is not None or _explored(outlook) > learning.settings.explore_share:
        steering = replace(steering, incident=True)
    if not due(learning.settings, steering, heard):
        return wake_us
    stock = await _stock(catalogue, key, outlook)
    decision = policy.decide(outlook.product, outlook.versions, stock)
    wished = steering.wish(price, decision.version.price, decision.settled)
    explores = decision.version.explores and wished == decision.version.price and steering.mode is Mode.LEARN
    wish = Wish(
        key, wished, market.currency, _cause(steering, decision), settled=decision.settled if explores else None
    )
    await _publish(catalogue, ledger, laws, learner, policy, outlook, decision, wish, current, market)
    return wake_us


async def _publish(
    catalogue: Catalogue,
    ledger: Ledger,
    laws: Laws,
    learner: Learner,
    policy: Policy,
    outlook: Outlook,
    decision: Decision,
    wish: Wish,
    current: PriceVersion,
    market: Market,
) -> None:
    """Publish what was decided as far as guardrails allow, and begin the next turn."""
    last = outlook.turns[-1]
    try:
        guarded = await guard(catalogue, laws, wish)
    except RapportError as refusal:
        learner = learner._replace(stuck=refusal.reason.name, decided_us=catalogue.now_us)
        await ledger.keep(wish.key, learner, None)
        return
    moved = guarded.price != published_at(current, market)
    version = guarded.published.price.version if moved else current.version
    if moved:
        await put_in_force(catalogue, guarded)
    counted = [] if decision.shifted else outlook.versions
    product = decision.product
    standing = policy.standing(product, counted, guarded.price, explores=wish.settled is not None)
    base = NOTHING if moved else outlook.counts.get(last.price_version, NOTHING)
    await ledger.add(wish.key, _turn(learner.turn + 1, version, standing, base, catalogue.now_us))
    learner = learner._replace(
        prior=product.prior,
        level=product.level,
        since_turn=learner.turn + 1 if decision.shifted else learner.since_turn,
        start_cell=last.cell if decision.shifted else learner.start_cell,
        turn=learner.turn + 1,
        target=decision.target,
        settled=decision.settled,
        run_out=decision.run_out,
        binding=guarded.published.binding,
        stuck="",
        decided_us=catalogue.now_us,
    )
    taught = lesson(policy.shapes, policy.believe(product, counted), product.cost / product.anchor)
    await ledger.keep(wish.key, learner, taught)


async def _notice(
    catalogue: Catalogue,
    ledger: Ledger,
    key: Key,
    learner: Learner,
    policy: Policy,
    outlook: Outlook,
    version: int,
    price: int,
) -> None:
    """Begin a turn at a price that somebody else published."""
    standing = policy.standing(outlook.product, outlook.versions, price)
    await ledger.add(key, _turn(learner.turn + 1, version, standing, NOTHING, catalogue.now_us))
    learner = learner._replace(turn=learner.turn + 1, stuck="", decided_us=catalogue.now_us)
    await ledger.keep(key, learner, None)


def _turn(number: int, price_version: int, standing: Version, base: Count, at_us: int) -> Turn:
    return Turn(
        number,
        price_version,
        standing.cell,
        standing.price,
        standing.expected,
        standing.variance,
        standing.explores,
        base,
        at_us,
    )


def _cause(steering: Steering, decision: Decision) -> Cause:
    if steering.mode is Mode.PINNED:
        return Cause.AUTHORED
    return Cause.STOCK if decision.run_out else Cause.LEARNED


def _explored(outlook: Outlook) -> float:
    """Return the share of the latest visits that saw a price published to learn."""
    recent = outlook.versions[1:][-_RECENT:]
    visits = sum(each.visits for each in recent)
    return sum(each.visits for each in recent if each.explores) / visits if visits else 0.0


async def _stock(catalogue: Catalogue, key: Key, outlook: Outlook) -> Stock | None:
    """Return what must last until more comes, if anything must: visits come as often as of late."""
    stock = await catalogue.stock(key)
    if stock is None or stock.expected_us is None or stock.expected_us <= catalogue.now_us:
        return None
    recent = outlook.turns[-_RECENT:]
    seen = sum(each.visits for each in outlook.versions[-len(recent) :])
    passed = max(catalogue.now_us - recent[0].at_us, 1)
    return Stock(stock.quantity, max(round(seen * (stock.expected_us - catalogue.now_us) / passed), 1))
