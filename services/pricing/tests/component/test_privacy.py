"""What pricing holds of a person can be handed out, and is erased but for the receipts that taxes are paid by."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pricing_desk import Desk
from pricing_installation import PERSONAL, PricingInstallation
from pricing_words import INDIVIDUAL, minor, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, pricing_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_pricing.adapters.privacy_holding import PricingHolding
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Held, Subject
from rapport_testing.events import rows
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

HOLDING = PricingHolding(years=10)


async def test_an_erasure_leaves_receipts_without_whose_they_were(
    desk: Desk, installation: PricingInstallation
) -> None:
    who, promotion = new_id("profile"), f"p{request_id()[:12]}"
    await asyncio.to_thread(installation.ledger.grant, who, PERSONAL)
    await desk.until_known(installation.ledger)
    caps = authored_pb2.PromotionCaps(uses=5)
    scope = authored_pb2.TermsScope(markets=["DE"])
    await desk.promote(promotion, promotion_terms(audience=INDIVIDUAL, scope=scope, caps=caps))
    await desk.offer(who, promotion)
    shoe = await desk.sold(1000)
    quotes = [await desk.quote((shoe, 1), profile_id=who) for _ in range(2)]
    assert minor((await desk.redeem(quotes[0])).all_in) == 900
    ground = pricing_pb2.PRICE_REVIEW_GROUND_UNFAIR
    await desk.clerk.RequestReview(
        pricing_pb2.RequestReviewRequest(request_id=request_id(), decision_id=quotes[1].decision_id, ground=ground)
    )
    subject = Subject("req_1", (who, new_id("profile")))
    database = Database(installation.database_settings(), service="pricing")
    await database.open()
    try:

        async def exported() -> dict[str, list[dict[str, object]]]:
            found: dict[str, list[dict[str, object]]] = {}
            async with database.transaction() as connection:
                async for each in HOLDING.export(connection, subject):
                    found.setdefault(each.store, []).append({"record_id": each.record_id, **each.content})
            return found

        async def journalled() -> bool:
            return len((await exported())["quotes"]) >= 2

        await eventually(journalled, timeout_s=10)
        found = await exported()
        assert {name: len(each) for name, each in found.items() if name != "quotes"} == {
            "redemptions": 1,
            "offers": 1,
            "reservations": 1,
            "reviews": 1,
        }
        assert [part["amount"] for part in found["redemptions"][0]["lines"][0]["components"]] == [  # type: ignore[index]
            "10.00 EUR",
            "-1.00 EUR",
        ]
        held = Subject("req_1", subject.profile_ids, {"reviews": Held(everything=True, ground="LEGAL_CLAIM")})
        async with database.transaction() as connection:
            await living.seclude(connection, held)
            answer = await HOLDING.erase(connection, held)
            await living.bury(connection, held)
        kept = {each.store: (each.count, each.ground, each.until) for each in answer.kept}
        assert kept == {
            "redemptions": (1, "TAX_LAW", datetime(datetime.now(UTC).year + 11, 1, 1, tzinfo=UTC)),
            "reviews": (1, "LEGAL_CLAIM", None),
        }
        async with database.transaction() as connection:
            left = {each.store: each.found for each in (await HOLDING.count(connection, subject)).stores}
        assert {name: count for name, count in left.items() if count} == {"reviews": 1}
        receipts = await rows(
            database, "SELECT profile_id, body FROM redemptions WHERE quote_id = %s", [quotes[0].quote_id]
        )
        receipt = pricing_pb2.Redemption.FromString(bytes(receipts[0][1]))
        assert (receipts[0][0], receipt.profile_id, minor(receipt.all_in)) == ("", "", 900)
        with refused("PROFILE_ERASED"):
            await desk.explain(quotes[1])
        with refused("PROFILE_ERASED"):
            await desk.redeem(quotes[1])
        with refused("PROFILE_ERASED"):
            await desk.offer(who, promotion)
    finally:
        await database.close()
