"""Each service is down in turn: the others keep their promises meanwhile, and nothing is lost by the outage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import ingest_pb2
from rapport_chassis.rpc.status import RemoteError
from suite import SERVICE_NAMES, Suite
from suite_authoring import DELIVERY, EMAIL, NORTH
from suite_calls import SENT, becomes, events_known, mails, quote, score, take, write
from suite_calm import Calm
from suite_shop import Shop, open_shop, patiently, until

STALE_S = 2.0
GONE = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


class Promises:
    """What each service promises whatever happens to the others, asked of one customer.

    The customer is about to leave, may be profiled, written to and offered prices.
    """

    def __init__(self, shop: Shop, calm: Calm, down: str) -> None:
        self.shop = shop
        self.down = down
        self.person, self.profile_id = calm.people["7"], calm.ids["7"]["crm"]
        self._name = f"while {down} is down"

    async def consent(self) -> None:
        """The ledger answers for itself."""
        assert (await self.shop.check(self.profile_id, EMAIL, NORTH)).answer == consent_pb2.ANSWER_PERMIT

    async def identity(self) -> None:
        """The part of an order that the contract needs is taken in."""
        order = self.person.touchpoint("crm", self._name, self.person.base, cents=100)
        del order.touchpoint.purpose_ids[:]
        order.touchpoint.purpose_ids.append(DELIVERY)
        assert (await take(self.shop, order)).outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED_IN_PART

    async def churn(self) -> None:
        """Who may be profiled is scored, as long as that can be known."""
        wanted = "PERMISSION_UNKNOWN" if self.down == "consent" else None
        found = await until(
            lambda: score(self.shop, self.profile_id),
            lambda found: found == wanted if wanted else not isinstance(found, str),
            what="churn keeps its promise",
        )
        assert found

    async def pricing(self) -> None:
        """Everybody is told a price, a personal one as long as that is known to be permitted."""
        personal = self.down != "consent"
        await until(lambda: quote(self.shop, self.profile_id), lambda found: found.personalised == personal)

    async def notification(self) -> str:
        """A message is taken on, and goes out unless it cannot be known that it may, or where to."""
        message = await write(self.shop, self.profile_id)
        if self.down in ("consent", "identity"):
            return message
        await becomes(self.shop, message, SENT)
        return message


@pytest.mark.parametrize("down", SERVICE_NAMES)
async def test_while_one_service_is_down_the_others_keep_their_promises(suite: Suite, calm: Calm, down: str) -> None:
    async with open_shop(suite) as shop:
        promises = Promises(shop, calm, down)
        visit = promises.person.touchpoint("crm", f"seen before {down}", calm.base - timedelta(days=1))
        before = await events_known(shop, promises.profile_id)
        kept: dict[str, Callable[[], Awaitable[object]]] = {
            name: getattr(promises, name) for name in SERVICE_NAMES if name != down
        }
        await asyncio.to_thread(suite.halt, down)
        answers = {name: await keep() for name, keep in kept.items()}
        with pytest.raises(RemoteError) as gone:
            await getattr(promises, down)()
        assert gone.value.reason.code in GONE

        await asyncio.to_thread(suite.resume, down)
        await patiently(lambda: take(shop, visit))
        # Nothing was lost: what was taken in and taken on meanwhile has its effects now, once.
        await until(
            lambda: patiently(lambda: events_known(shop, promises.profile_id)),
            lambda known: known > before,
            what="the visit is known",
        )
        message = answers.get("notification") or await patiently(lambda: write(shop, promises.profile_id))
        assert isinstance(message, str)
        await becomes(shop, message, SENT)
        assert mails(shop, message) == 1


async def test_services_start_alone_and_in_any_order(suite: Suite, calm: Calm) -> None:
    order = random.sample(SERVICE_NAMES, len(SERVICE_NAMES))
    async with open_shop(suite) as shop:
        for name in SERVICE_NAMES:
            await asyncio.to_thread(suite.halt, name)
        for name in order:
            # Ready in every role, whichever others do not run yet.
            await asyncio.to_thread(suite.resume, name)
        promises = Promises(shop, calm, "nothing")
        for name in SERVICE_NAMES:
            await patiently(getattr(promises, name))
