"""Stewards' decisions and look-ups against real databases."""

from __future__ import annotations

import pytest
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.errors import RapportError
from rapport_identity.app import steward
from rapport_identity.app.look_up import LookUp, look_up, search
from rapport_identity.app.profiles import get_profile
from rapport_identity.domain.records import RecordKey
from rapport_identity.translate.records import normal_form, person_of


def person(number, given, surname, email="", born=0):
    message = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id=str(number)))
    message.person.names.add(given_names=given, surname=surname)
    if born:
        message.person.birth_date.year, message.person.birth_date.month, message.person.birth_date.day = born, 3, 9
    if email:
        message.person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=email)
    return message


PEOPLE = [
    person(1, "Elizabeth", "Nakamura", "liz@nakamura.org", 1981),
    person(2, "Liz", "Nakamura", "liz@nakamura.org", 1981),
    person(3, "Omar", "Okafor", "omar@okafor.org", 1970),
    person(4, "Lea", "Larsen", "lea@larsen.org", 1992),
]


def key(number):
    return RecordKey("crm", str(number))


@pytest.fixture
async def process(start):
    started = await start()
    await started.resolve(PEOPLE)
    return started


async def decide(process, rule, *arguments, actor="ops-1", **named):
    async with process.partition.session() as session:
        return await rule(session, *arguments, actor=actor, **named)


def holder(process, identifier):
    return look_up(process.partition, normal_form(identifier, ""))


def first_identifier(number):
    return PEOPLE[number].person.identifiers[0]


def present(process):
    return process.persons(), dict(process.partition.replica.facets)


async def test_a_merge_holds_and_its_withdrawal_restores_the_very_ids(process, start):
    before = present(process)
    omar, lea = (holder(process, first_identifier(at)).profile_id for at in (2, 3))
    made = await decide(process, steward.merge, [omar, lea], reason="same person")
    assert len(made.profiles) == 1
    again = await process.resolve([PEOPLE[2]])
    assert again[0].profile_id == made.profiles[0].profile.profile_id
    other = await start()
    assert present(other) == present(process)
    await decide(other, steward.withdraw, made.constraint.constraint_id, actor="ops-2")
    await process.partition.refresh()
    assert present(process) == present(other) == before
    held = await get_profile(process.partition, lea)
    assert (held.profile.profile_id, held.redirect_ids) == (lea, ())


async def test_a_split_and_a_forbidden_match_hold_through_new_versions_and_can_be_taken_back(process):
    before = present(process)
    (one,) = {owner for owner, held in process.persons().items() if key(1) in held}
    made = await decide(process, steward.split, one, [[key(2)]], reason="two persons")
    assert {held for held in process.persons().values() if len(held) > 1} == set()
    changed = record_pb2.Record()
    changed.CopyFrom(PEOPLE[1])
    changed.brand_id = "shop"
    await process.resolve([changed])
    assert (key(1),) in process.persons().values()
    await decide(process, steward.withdraw, made.constraint.constraint_id)
    assert process.persons() == before[0]
    made = await decide(process, steward.forbid, key(1), key(2), reason="two persons")
    assert len(made.profiles) == 2
    with pytest.raises(RapportError) as refused:
        await decide(process, steward.merge, [each.profile.profile_id for each in made.profiles], reason="same")
    assert refused.value.reason.name == "CONSTRAINTS_CONTRADICT"
    assert (key(1),) in process.persons().values()


async def test_an_id_is_answered_as_of_any_time(process, opened):
    omar, lea = (holder(process, first_identifier(at)).profile_id for at in (2, 3))
    async with opened.transaction() as connection:
        (apart,) = await (await connection.execute("SELECT recorded_at FROM partition_head")).fetchone()
    made = await decide(process, steward.merge, [omar, lea], reason="same person")
    survivor = made.profiles[0].profile.profile_id
    (absorbed,) = {omar, lea} - {survivor}
    now = await get_profile(process.partition, absorbed)
    then = await get_profile(process.partition, absorbed, apart)
    assert (now.profile.profile_id, now.redirect_ids, len(now.numbers)) == (survivor, (absorbed,), 2)
    assert (then.profile.profile_id, len(then.numbers)) == (absorbed, 1)
    with pytest.raises(RapportError) as refused:
        await get_profile(process.partition, "prf_neverissued00")
    assert refused.value.reason.name == "PROFILE_NOT_FOUND"


async def test_an_identifier_finds_one_person_and_never_guesses_between_two(process):
    versions = process.partition.replica.versions
    mail = record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value="LIZ+x@nakamura.org")
    found = holder(process, mail)
    assert (found.outcome, found.version) == (LookUp.FOUND, versions[found.profile_id])
    mail.value = "no@body.org"
    assert holder(process, mail).outcome is LookUp.NOT_FOUND
    await process.resolve([person(5, "Kenji", "Abe", "omar@okafor.org", 1955)])
    assert holder(process, first_identifier(2)).outcome is LookUp.SHARED


async def test_a_search_names_the_profile_it_would_join_and_writes_nothing(process):
    position = process.partition.replica.position
    searched = search(process.partition, person_of(RecordKey("", ""), PEOPLE[1].person, ""))
    assert searched.candidates[0].would_join
    assert key(2) in process.persons()[searched.candidates[0].profile_id]
    assert process.partition.replica.position == position
    assert len(process.partition.replica.index) == len(PEOPLE)
