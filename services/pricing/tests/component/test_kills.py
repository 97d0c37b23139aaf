"""A process killed at any step leaves no redeemed quote without its promotion, and holds nothing for ever."""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest

import pytest
from pricing_alone import Alone
from pricing_desk import Desk
from pricing_installation import PricingInstallation, rows_of
from pricing_words import minor, outcome, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.waiting import eventually

STEPS = ("begun", "kept", "committed", "told")

pytestmark = pytest.mark.xdist_group("alone")


@pytest.fixture
def desk(alone_desk: Desk) -> Desk:
    return alone_desk


async def counts(installation: PricingInstallation, promotion: str) -> tuple[int, ...]:
    """Uses held and committed by the tally, and by the rows it counts."""
    (row,) = await rows_of(
        installation,
        """
        SELECT reserved_uses, committed_uses,
            (SELECT count(*) FROM reservations WHERE promotion_id = %(id)s AND state = 'held'),
            (SELECT count(*) FROM reservations JOIN redemptions USING (quote_id)
            WHERE promotion_id = %(id)s AND state = 'committed')
        FROM (SELECT coalesce(max(reserved_uses), 0) AS reserved_uses,
            coalesce(max(committed_uses), 0) AS committed_uses
            FROM tallies WHERE promotion_id = %(id)s) AS counted
        """,
        {"id": promotion},
    )
    return row


async def capped(desk: Desk) -> tuple[product_pb2.Product, str]:
    shoe, promotion = await desk.sold(1000), f"p{request_id()[:12]}"
    scope = authored_pb2.TermsScope(product_ids=[shoe.product_id], markets=["DE"])
    await desk.promote(promotion, promotion_terms(scope=scope, caps=authored_pb2.PromotionCaps(uses=1)))
    return shoe, promotion


async def lost(call: object) -> None:
    with pytest.raises(RemoteError) as caught:
        await call  # type: ignore[misc] # a coroutine of the desk
    assert caught.value.reason.name in ("UNAVAILABLE", "NOT_READY"), caught.value


async def test_a_kill_while_a_use_is_held_holds_nothing(alone: Alone, desk: Desk) -> None:
    shoe, promotion = await capped(desk)
    await alone.restarted(desk, "pricing.quote.held=kill")
    await lost(desk.quote((shoe, 1)))
    await alone.revived(desk)
    assert await counts(alone.installation, promotion) == (0, 0, 0, 0)
    assert minor((await desk.quote((shoe, 1))).gross) == 900


async def test_a_kill_at_any_step_of_a_redemption_leaves_all_of_it_or_nothing(alone: Alone, desk: Desk) -> None:
    await alone.restarted(desk, f"pricing.redeem.{STEPS[0]}=kill")
    for step, then in zip_longest(STEPS, STEPS[1:]):
        shoe, promotion = await capped(desk)
        quote: quote_pb2.Quote = await desk.quote((shoe, 1), profile_id=new_id("profile"))
        order, named = new_id("order"), request_id()
        await lost(desk.redeem(quote, order, named))
        # What comes back ends at the next step, of the next redemption: the first one is this, again.
        await alone.revived(desk, *([f"pricing.redeem.{then}=kill@2"] if then else []))
        assert await counts(alone.installation, promotion) == (1, 0, 1, 0), step
        assert minor((await desk.redeem(quote, order, named)).all_in) == 900, step
        assert await counts(alone.installation, promotion) == (0, 1, 0, 1), step
        assert (await desk.explain(quote)).redemption.order_id == order, step


@pytest.mark.parametrize("step", ["folded", "decided"])
async def test_a_kill_while_prices_are_learned_neither_loses_nor_repeats_an_outcome(
    alone: Alone, desk: Desk, step: str
) -> None:
    category = f"c{request_id()[:8]}"
    scope = authored_pb2.TermsScope(categories=[category])
    await desk.rule(f"learn-{category}", scope=scope, rank=5, learning=authored_pb2.LearningTerms(hold_visits=10))
    shoe = await desk.sold(1200, category=category)
    await desk.report(outcome(shoe, 1, "first", pricing_pb2.OUTCOME_KIND_BOUGHT))

    async def taken(turn: int) -> bool:
        found = await desk.learning(shoe)
        return found.turn == turn and not found.waiting

    await eventually(lambda: taken(1), timeout_s=20)
    await alone.restarted(desk, f"pricing.learn.{step}=kill")
    shown = [outcome(shoe, 1, new_id("touchpoint"), pricing_pb2.OUTCOME_KIND_BOUGHT) for _ in range(20)]
    with suppress(RemoteError):
        await desk.report(*shown)
    await alone.revived(desk)
    await desk.report(*shown)
    await eventually(lambda: taken(2), timeout_s=20)
    found = await desk.learning(shoe, refold=True)
    assert (found.shown, found.sold, found.refolds) == (21, 21, True)
