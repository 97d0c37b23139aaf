"""Purposes that a gate could not say anything of: what waits for it, and what is told again once it knows."""

from __future__ import annotations

from identity_shop import ANALYTICS, DELIVERY, OFFERS, account, order, visit
from rapport.identity.v1 import touchpoint_pb2
from rapport_chassis.errors import RapportError
from rapport_identity.app import steward
from rapport_identity.app.facts import Outcome


async def test_gate_that_is_behind_has_behaviour_wait_and_lets_orders_through(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    seen, bought = await shop.take(visit("visit 1", account()), order("order 2", account()))
    assert isinstance(seen, RapportError)
    assert (seen.reason.name, seen.retry_after_s) == ("NOT_READY", 1.0)
    assert bought.outcome is Outcome.RECORDED_IN_PART
    shop.follow()
    (seen,) = await shop.take(visit("visit 1", account()))
    assert (seen.outcome, seen.known) == (Outcome.RECORDED, False)


async def test_order_taken_in_by_a_gate_that_was_behind_is_told_again_for_all_that_is_permitted_once_it_knows(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    gift = touchpoint_pb2.Attribute(key="gift", data_category="purchases", flag=True)
    wanted = order("order 2", account(), purposes=(DELIVERY, ANALYTICS, OFFERS), attributes=[gift])
    (bought,) = await shop.take(wanted)
    assert await shop.decide_later.step()  # still behind
    assert len(await shop.told()) == 2
    shop.follow()
    assert await shop.decide_later.step()
    assert not await shop.decide_later.step()
    _, first, again = await shop.told()
    assert list(first.touchpoint.purpose_ids) == [DELIVERY]
    first.touchpoint.purpose_ids.append(ANALYTICS)
    assert again == first, "the same fact of the same owner, with no more of it"
    ((permits,),) = await shop.rows("SELECT permits FROM facts WHERE fact_id = %s", bought.fact_id)
    assert [each["purpose"] for each in permits] == [DELIVERY, ANALYTICS]
    assert permits[1]["reference"]
    (known,) = await shop.take(wanted)
    assert (known.outcome, known.known, known.fact_id) == (Outcome.RECORDED_IN_PART, True, bought.fact_id)
    assert len(await shop.told()) == 3


async def test_what_the_person_had_refused_meanwhile_is_told_no_further(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    await shop.take(order("order 2", account()))
    shop.refuse(member.profile_id, ANALYTICS)
    assert await shop.decide_later.step()
    shop.grant(member.profile_id, ANALYTICS)
    assert not await shop.decide_later.step()
    assert [list(each.touchpoint.purpose_ids) for each in await shop.told()] == [[DELIVERY], [DELIVERY]]


async def test_what_was_decided_later_goes_along_when_a_split_moves_the_fact(shop):
    (first,) = await shop.take(order("order 1", account("acc-1")))
    (second,) = await shop.take(order("order 2", account("acc-2")))
    async with shop.process.partition.session() as session:
        merged = await steward.merge(session, [first.profile_id, second.profile_id], actor="ops-1", reason="CASE 1")
    shop.grant(merged.profiles[0].profile.profile_id, ANALYTICS)
    shop.go_stale()
    (bought,) = await shop.take(order("order 3", account("acc-2")))
    shop.follow()
    assert await shop.decide_later.step()
    async with shop.process.partition.session() as session:
        await steward.withdraw(session, merged.constraint.constraint_id, actor="ops-1")
    told = [each for each in await shop.told() if each.fact.fact_id == bought.fact_id]
    purposes = [list(each.touchpoint.purpose_ids) for each in told]
    assert purposes == [[DELIVERY], [DELIVERY, ANALYTICS], [DELIVERY, ANALYTICS]]
    assert told[-1].fact.owner_version > told[1].fact.owner_version == told[0].fact.owner_version
