"""Anniversaries against real databases and a real gate: whose day has come is told once, whatever happens beside it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from anniversary_teller import BIRTHDAY, CUSTOMER, NOON, OFFERS, Teller, person
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport.identity.v1 import events_pb2
from rapport_identity.app import steward
from rapport_identity.domain.records import RecordKey
from rapport_testing.ledger_model import LedgerModel


@pytest.fixture
def ledger():
    made = LedgerModel()
    made.define(OFFERS, purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, active_from=datetime(2020, 1, 1, tzinfo=UTC))
    return made


@pytest.fixture
async def teller(start, opened, test_clock, ledger):
    """A teller at noon of a day, everybody looked at shortly before."""
    made = Teller(await start(), opened, test_clock, ledger)
    test_clock.set(NOON - timedelta(days=2))
    await made.look()
    test_clock.set(NOON)
    return made


async def decide(process, rule, *arguments, **named):
    async with process.partition.session() as session:
        return await rule(session, *arguments, actor="ops-1", **named)


async def test_a_birthday_is_told_once_a_year_and_says_no_date(teller):
    (made,) = await teller.process.resolve([person(1)])
    for _ in range(3):
        await teller.look()
    assert await teller.told() == [(made.profile_id, BIRTHDAY, 2030)]
    teller.clock.set(NOON + timedelta(days=1))
    await teller.look()
    assert len(await teller.told()) == 1
    teller.clock.set(NOON.replace(year=2031))
    await teller.look()
    assert await teller.told() == [(made.profile_id, BIRTHDAY, 2030), (made.profile_id, BIRTHDAY, 2031)]


async def test_what_is_told_expires_counted_from_the_telling(teller, opened):
    await teller.process.resolve([person(1)])
    await teller.look()
    async with opened.transaction() as connection:
        ((data,),) = await (await connection.execute("SELECT payload FROM outbox WHERE type LIKE '%%due'")).fetchall()
    due = events_pb2.AnniversaryDue.FromString(data)
    assert due.expires_at.ToDatetime() - due.recorded_at.ToDatetime() == timedelta(days=1)


async def test_a_customer_is_told_of_from_the_second_year_on(teller):
    (old,) = await teller.process.resolve([person(1, "", "2028-05-04")])
    await teller.process.resolve([person(2, "", "2030-05-04", name="Omar Okafor")])
    await teller.look()
    assert await teller.told() == [(old.profile_id, CUSTOMER, 2030)]


async def test_records_that_contradict_one_another_congratulate_nobody(teller):
    first, second = await teller.process.resolve([person(1), person(2, "1981-04-05")])
    if first.profile_id != second.profile_id:
        await decide(teller.process, steward.merge, [first.profile_id, second.profile_id], reason="same person")
    await teller.look()
    assert await teller.told() == []
    await teller.process.resolve([person(2, "1981-05-04", "2029-01-01")])
    await teller.look()
    assert len(await teller.told()) == 1


async def test_a_day_has_come_when_it_has_wherever_the_person_may_be(teller):
    east, _ = await teller.process.resolve(
        [
            person(1, "1981-05-05", time_zone="Pacific/Kiritimati"),
            person(2, "1981-05-05", name="Omar Okafor", time_zone="Pacific/Honolulu"),
        ]
    )
    await teller.look()
    assert await teller.told() == [(east.profile_id, BIRTHDAY, 2030)]
    teller.clock.set(datetime(2030, 5, 5, 9, 50, tzinfo=UTC))
    await teller.look()
    assert len(await teller.told()) == 1
    teller.clock.set(datetime(2030, 5, 5, 10, 0, tzinfo=UTC))
    await teller.look()
    assert len(await teller.told()) == 2


async def test_days_that_a_process_was_down_are_caught_up_for_a_week(teller):
    week, longer = await teller.process.resolve([person(1, "1981-05-06"), person(2, "1981-05-05", name="Omar Okafor")])
    await teller.look()
    teller.clock.set(NOON.replace(day=12))
    await teller.look()
    assert await teller.told() == [(week.profile_id, BIRTHDAY, 2030)]
    assert longer.profile_id not in str(await teller.told())


async def test_who_appears_days_after_the_day_is_not_congratulated_late(teller):
    await teller.look()
    await teller.process.resolve([person(1, "1981-05-02")])
    await teller.look()
    assert await teller.told() == []


async def test_the_gate_is_asked_at_the_telling_and_a_no_of_any_id_holds(teller):
    made, other = await teller.process.resolve([person(1), person(2, name="Omar Okafor")])
    teller.ledger.deny(made.profile_id, OFFERS, ledger_pb2.CONSENT_STATUS_OBJECTED)
    await teller.look()
    assert await teller.told() == [(other.profile_id, BIRTHDAY, 2030)]
    third, fourth = await teller.process.resolve([person(3, name="Lea Larsen"), person(4, "", name="Bo Lindqvist")])
    teller.ledger.deny(fourth.profile_id, OFFERS, ledger_pb2.CONSENT_STATUS_OBJECTED)
    await decide(teller.process, steward.merge, [third.profile_id, fourth.profile_id], reason="same person")
    await teller.look()
    assert len(await teller.told()) == 1


async def test_who_is_erased_or_restricted_is_never_told_of(teller):
    one, two = await teller.process.resolve([person(1), person(2, name="Omar Okafor")])
    teller.ledger.fence(one.profile_id)
    teller.ledger.restrict(two.profile_id)
    await teller.look()
    assert await teller.told() == []


async def test_what_a_gate_that_is_behind_does_not_permit_is_made_up_for(teller):
    (made,) = await teller.process.resolve([person(1)])
    teller.clock.advance(3600)
    await teller.look(fresh=False)
    assert await teller.told() == []
    teller.clock.set(NOON + timedelta(days=3))
    await teller.look()
    assert await teller.told() == [(made.profile_id, BIRTHDAY, 2030)]


async def test_merges_splits_and_their_withdrawal_repeat_no_round(teller):
    one, two = await teller.process.resolve([person(1), person(2, name="Omar Okafor")])
    merged = await decide(teller.process, steward.merge, [one.profile_id, two.profile_id], reason="same person")
    await teller.look()
    survivor = merged.profiles[0].profile.profile_id
    assert await teller.told() == [(survivor, BIRTHDAY, 2030)]
    await decide(teller.process, steward.split, survivor, [[RecordKey("crm", "2")]], reason="two people")
    await teller.look()
    await decide(teller.process, steward.withdraw, merged.constraint.constraint_id)
    await teller.look()
    assert len(await teller.told()) == 1
    await teller.process.resolve([person(3)])  # joins one of them
    await teller.look()
    assert len(await teller.told()) == 1


async def test_several_processes_at_once_tell_once(teller, start, opened, test_clock, ledger):
    others = [Teller(await start(), opened, test_clock, ledger) for _ in range(2)]
    names = [f"{'bcdfghjklm'[at // 10] * 3}a {'bcdfghjklm'[at % 10] * 3}o" for at in range(100)]
    made = await teller.process.resolve([person(at, name=name) for at, name in enumerate(names)])
    tellers = [teller, *others]
    for each in others:
        await each.process.partition.refresh()
    await asyncio.gather(*(each.look() for each in tellers))
    told = await teller.told()
    assert {profile_id for profile_id, *_ in told} == {each.profile_id for each in made}
    assert len(told) == len({each.profile_id for each in made})
