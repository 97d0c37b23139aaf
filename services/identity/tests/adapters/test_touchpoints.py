"""Touchpoints against real databases and a real gate: what is recorded, told, answered, and what is never left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from identity_shop import ANALYTICS, AT, DELIVERY, EMAIL, LINKING, account, cookie, email, order, visit
from rapport.common.v1 import event_pb2
from rapport.identity.v1 import record_pb2, touchpoint_pb2
from rapport_chassis.errors import RapportError
from rapport_identity.app import steward
from rapport_identity.app.facts import Outcome

NOTHING = {"records": 0, "identifiers": 0, "profiles": 0, "facts": 0, "moves": 0, "outbox": 0}


async def test_what_nobody_permits_leaves_nothing_behind(shop):
    (seen,) = await shop.take(visit("visit 1", cookie()))
    assert (seen.outcome, seen.fact_id, seen.profile_id) == (Outcome.REFUSED, "", "")
    assert [each.purpose_id for each in seen.refusals] == [ANALYTICS]
    assert await shop.left() == NOTHING


async def test_who_refuses_analytics_leaves_only_contract_events_before_and_after_being_recognised(shop):
    guest, seen = await shop.take(order("order 1", cookie()), visit("visit 1", cookie()))
    assert (guest.outcome, seen.outcome) == (Outcome.RECORDED_IN_PART, Outcome.REFUSED)
    shop.refuse(guest.profile_id, ANALYTICS)
    member, _, _ = await shop.take(
        order("order 2", account(), cookie()), visit("visit 2", account(), cookie()), visit("visit 3", cookie())
    )
    shop.refuse(member.profile_id, ANALYTICS)
    later = await shop.take(
        visit("visit 4", account()), visit("visit 5", cookie()), order("order 3", account(), cookie())
    )
    assert [each.outcome for each in later] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.RECORDED_IN_PART]
    told = await shop.told()
    assert [each.touchpoint.WhichOneof("type") for each in told] == ["order_placed"] * 3
    for each in told:
        assert list(each.touchpoint.purpose_ids) == [DELIVERY]
        assert (each.touchpoint.session_id, each.touchpoint.journey_stage) == ("", 0)


async def test_device_is_linked_to_a_person_only_if_that_is_permitted(shop):
    (seen,) = await shop.take(order("order 1", cookie()))
    (apart,) = await shop.take(order("order 2", account(), cookie()))
    assert apart.unlinked
    assert apart.profile_id != seen.profile_id
    shop.grant(apart.profile_id, LINKING)
    (linked,) = await shop.take(order("order 3", account(), cookie()))
    assert not linked.unlinked
    later = await shop.take(order("order 4", cookie()), order("order 5", account()))
    assert {each.profile_id for each in later} == {linked.profile_id}
    current = await shop.rows("SELECT DISTINCT profile_id FROM redirects")
    assert current == [(linked.profile_id,)]


async def test_device_that_refused_to_be_linked_stays_apart_whatever_the_person_said(shop):
    (seen,) = await shop.take(order("order 1", cookie()))
    shop.refuse(seen.profile_id, LINKING)
    (member,) = await shop.take(order("order 2", account()))
    shop.grant(member.profile_id, LINKING)
    (again,) = await shop.take(order("order 3", account(), cookie()))
    assert again.unlinked
    assert (await shop.take(order("order 4", cookie())))[0].profile_id == seen.profile_id


async def test_event_sent_again_is_answered_with_the_profile_of_now_and_not_repeated(shop):
    first, same = await shop.take(order("order 1", cookie()), order("order 1", cookie()))
    assert (same.known, same.fact_id) == (True, first.fact_id)
    (member,) = await shop.take(order("order 2", account()))
    shop.grant(member.profile_id, LINKING)
    (linked,) = await shop.take(order("order 3", account(), cookie()))
    (again,) = await shop.take(order("order 1", cookie()))
    assert (again.known, again.fact_id, again.recorded_at) == (True, first.fact_id, first.recorded_at)
    assert again.profile_id == linked.profile_id
    assert len(await shop.told()) == 3


async def test_refusal_by_the_person_is_not_undone_by_sending_the_event_again(shop):
    (guest,) = await shop.take(order("order 1", account()))
    shop.refuse(guest.profile_id, ANALYTICS)
    (refused,) = await shop.take(visit("visit 1", account()))
    shop.grant(guest.profile_id, ANALYTICS)
    (again,) = await shop.take(visit("visit 1", account()))
    assert (refused.outcome, again.outcome, again.known) == (Outcome.REFUSED, Outcome.REFUSED, True)
    assert (await shop.take(visit("visit 2", account())))[0].outcome is Outcome.RECORDED


async def test_undeclared_is_refused_by_field_path_and_stops_no_other(shop):
    device = touchpoint_pb2.Attribute(key="device_class", data_category="behaviour", code="phone")
    wrong = touchpoint_pb2.Attribute(key="device_class", data_category="behaviour", code="Anna Quin")
    unknown = touchpoint_pb2.Attribute(key="remark", data_category="behaviour", code="hello")
    answers = await shop.take(
        visit("1", account(), source="elsewhere"),
        visit("2", account(), attributes=[device, unknown]),
        visit("3", account(), attributes=[wrong]),
        visit("4", record_pb2.Identifier(kind=EMAIL, value="nobody")),
        order("5", account()),
    )
    faults = [[field.path for field in each.fields] for each in answers if isinstance(each, RapportError)]
    assert faults == [["source"], ["touchpoint.attributes[1].key"], ["touchpoint.attributes[0].code"], ["identifiers"]]
    assert answers[-1].outcome is Outcome.RECORDED_IN_PART


async def test_late_and_disordered_events_are_recorded_with_their_own_time(shop):
    times = [AT - timedelta(days=days) for days in (0, 900, 3, 40)]
    answers = await shop.take(*(order(f"order {at}", account(), at=at) for at in times))
    assert [each.outcome for each in answers] == [Outcome.RECORDED_IN_PART] * 4
    assert [each.touchpoint.occurred_at.ToDatetime(UTC) for each in await shop.told()] == times
    (ahead,) = await shop.take(order("order x", account(), at=datetime.now(UTC) + timedelta(days=2)))
    assert [field.path for field in ahead.fields] == ["touchpoint.occurred_at"]


async def test_fact_holds_what_it_rests_on_and_nothing_that_identifies(shop):
    (member,) = await shop.take(order("order 1", account(), email(), cookie()))
    ((payload, permits),) = await shop.rows("SELECT payload, permits FROM facts")
    assert [(each["purpose"], each["basis"]) for each in permits] == [(DELIVERY, 2)]
    assert permits[0]["position"] == shop.ledger.position
    assert b"mara.quin" not in payload
    (told,) = await shop.told()
    assert (told.fact.profile_id, told.fact.fact_id) == (member.profile_id, member.fact_id)
    for secret in (b"mara.quin", b"acc-90217", b"c0ffee"):
        assert secret not in told.SerializeToString()


async def test_what_a_later_contract_would_say_is_left_behind(shop):
    message = order("order 1", account())
    smuggled = b"\xfa\x3e\x09mara quin"  # field 1007, a text
    message.touchpoint.order_placed.MergeFromString(smuggled)
    assert b"mara quin" in message.SerializeToString()
    await shop.take(message)
    (told,) = await shop.told()
    assert b"mara quin" not in told.SerializeToString()


async def test_touchpoints_under_known_identifiers_make_no_records(shop):
    await shop.take(order("order 1", account(), email()))
    before = await shop.left()
    taken = await shop.take(*(order(f"order {n}", *who) for n, who in enumerate([[email()], [account()]], start=2)))
    after = await shop.left()
    assert len({each.profile_id for each in taken}) == 1
    assert (after["records"], after["profiles"], after["facts"]) == (before["records"], before["profiles"], 3)


async def test_sighting_joins_the_person_whose_identifier_it_shares(shop):
    person = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id="1"))
    person.person.names.add(given_names="Mara", surname="Quin")
    person.person.identifiers.append(email())
    (known,) = await shop.process.resolve([person])
    (bought,) = await shop.take(order("order 1", email(), account()))
    assert bought.profile_id == known.profile_id
    (again,) = await shop.take(order("order 2", account()))
    assert again.profile_id == known.profile_id


async def test_split_issues_moved_facts_again_and_readers_count_each_once(shop):
    (first,) = await shop.take(order("order 1", account("acc-1")))
    (second,) = await shop.take(order("order 2", account("acc-2")))
    async with shop.process.partition.session() as session:
        merged = await steward.merge(session, [first.profile_id, second.profile_id], actor="ops-1", reason="CASE 1")
    (survivor,) = (each.profile for each in merged.profiles)
    (while_merged,) = await shop.take(order("order 3", account("acc-2")))
    assert while_merged.profile_id == survivor.profile_id
    assert (await shop.told())[-1].fact.owner_version == survivor.version
    async with shop.process.partition.session() as session:
        await steward.withdraw(session, merged.constraint.constraint_id, actor="ops-1")
    told = await shop.told()
    newest: dict[str, event_pb2.Fact] = {}
    for each in told:
        fact = each.fact
        if fact.fact_id not in newest or newest[fact.fact_id].owner_version < fact.owner_version:
            newest[fact.fact_id] = fact
    assert len(newest) == 3
    assert newest[first.fact_id].profile_id == first.profile_id
    assert newest[second.fact_id].profile_id == newest[while_merged.fact_id].profile_id == second.profile_id
    again = told[3:]
    assert again, "a split issues what it moved again"
    for each in again:
        (original,) = (one for one in told[:3] if one.fact.fact_id == each.fact.fact_id)
        assert each.touchpoint == original.touchpoint
        assert each.recorded_at == original.recorded_at
        assert each.fact.owner_version > original.fact.owner_version
    ids = await shop.rows("SELECT count(DISTINCT event_id), count(*) FROM outbox")
    assert ids[0][0] == ids[0][1]
    owners = dict(await shop.rows("SELECT fact_id, profile_id FROM facts"))
    assert owners[while_merged.fact_id] == second.profile_id
