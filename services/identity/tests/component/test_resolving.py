"""Records over the wire: who somebody is, once and for all callers alike."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from identity_desk import EMAIL, Desk, IdentityInstallation, identifier, record, request_id
from rapport.identity.v1 import events_pb2, identity_pb2, profile_pb2
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


def mail() -> str:
    """An address that nobody else has."""
    return f"m{uuid4().hex[:11]}@posteo.net"


async def test_a_record_makes_a_profile_and_the_next_one_of_the_person_joins_it(desk: Desk) -> None:
    address = identifier(EMAIL, mail())
    first = await desk.resolve(record("Nora Quist", address, source="webshop"))
    second = await desk.resolve(record("Nora Quist", address, source="app"))
    assert (first.outcome, second.outcome) == (
        identity_pb2.RECORD_OUTCOME_CREATED,
        identity_pb2.RECORD_OUTCOME_JOINED,
    )
    assert first.profile_id == second.profile_id
    assert second.token.position > first.token.position
    found = await desk.look_up(address, second.token)
    assert (found.outcome, found.profile_id) == (identity_pb2.LOOKUP_OUTCOME_FOUND, first.profile_id)
    profile = await desk.profile(first.profile_id)
    assert (profile.profile_id, profile.state.record_count) == (first.profile_id, 2)
    assert list(profile.state.identifier_kinds) == [EMAIL]


async def test_a_repeat_is_answered_as_before_and_its_id_is_good_for_nothing_else(desk: Desk) -> None:
    named, made = request_id(), record("Ivo Zeman", identifier(EMAIL, mail()))
    first = await desk.resolve(made, named)
    again, third = await asyncio.gather(desk.resolve(made, named), desk.resolve(made, named))
    assert first == again == third
    made.brand_id = "north"
    with refused("REQUEST_ID_REUSED", "request_id"):
        await desk.resolve(made, named)
    assert (await desk.resolve(made)).outcome == identity_pb2.RECORD_OUTCOME_UPDATED


async def test_a_batch_answers_each_record_and_a_malformed_one_stops_no_other(desk: Desk) -> None:
    good = [record("Ada Holm", identifier(EMAIL, mail())) for _ in range(150)]
    bad = record("Bo Lind", identifier(EMAIL, "a" * 400))
    bad.brand_id = "NO SUCH"
    first, second = await desk.load([*good[:70], bad, *good[70:140]], good[130:])
    assert [each.status.code for each in first.results] == [0] * 70 + [3] + [0] * 70
    assert (first.batch, second.batch) == (0, 1)
    told = [each.resolved.outcome for each in second.results]
    assert told[:10] == [identity_pb2.RECORD_OUTCOME_UNCHANGED] * 10
    assert "a" * 20 not in str(first.results[70].status)


async def test_a_search_says_who_it_could_be_and_why_and_writes_nothing(desk: Desk) -> None:
    address = identifier(EMAIL, mail())
    held = await desk.resolve(record("Wilhelmina Ostrander", address, source="webshop"))
    request = identity_pb2.SearchProfilesRequest(
        person=record("Wilhelmina Ostrander", address).person, market="GB", at_least=held.token
    )
    answer = await desk.shop.SearchProfiles(request)
    assert answer.candidates[0].profile_id == held.profile_id
    assert answer.candidates[0].would_join
    weights = {each.comparison: each.bits for each in answer.candidates[0].nearest_weights}
    assert max(weights.values()) > 0
    assert answer.position == held.token
    assert (await desk.profile(held.profile_id)).version == held.profile_version


async def test_requests_that_break_the_contract_are_refused_by_field(desk: Desk) -> None:
    with refused("INVALID_REQUEST", "record.person.identifiers[0].value"):
        await desk.resolve(record("Eve", identifier(EMAIL, "eve\x00@posteo.net")))
    with refused("INVALID_REQUEST", "record.key"):
        await desk.resolve(identity_pb2.ResolveRecordRequest().record)
    with refused("INVALID_REQUEST", "profile_id"):
        await desk.profile("nobody")
    with refused("PROFILE_NOT_FOUND", "profile_id"):
        await desk.profile("prf_0000000000000000000000")
    foreign = profile_pb2.PartitionPosition(epoch="another", position=1)
    with refused("TOKEN_UNMET", "at_least"):
        await desk.look_up(identifier(EMAIL, mail()), foreign)


async def test_identifiers_that_name_nobody_lead_to_nobody(desk: Desk) -> None:
    for value in ("info@posteo.net", "not a mail address", "x" * 300, "\u202e@\u202d", "@", "нет"):
        address = identifier(EMAIL, value)
        one = await desk.resolve(record("Una Ek", address, source="webshop"))
        other = await desk.resolve(record("Rafael Ibarra", address, source="app"))
        assert one.profile_id != other.profile_id
        assert (await desk.look_up(address, other.token)).outcome != identity_pb2.LOOKUP_OUTCOME_FOUND


async def test_profiles_are_listed_page_by_page_and_by_what_is_known_of_them(desk: Desk) -> None:
    brand = f"b{uuid4().hex[:10]}"
    made = [await desk.resolve(record("", identifier(EMAIL, mail()), brand_id=brand)) for _ in range(7)]
    assert len({each.profile_id for each in made}) == 7
    request = profile_pb2.ListProfilesRequest(page_size=3, brand_id=brand)
    listed: list[profile_pb2.Profile] = []
    while True:
        page = await desk.shop.ListProfiles(request)
        listed += page.profiles
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(listed) == 7
    assert {each.profile_id for each in listed} == {each.profile_id for each in made}
    request.brand_id = "other"
    with refused("PAGE_TOKEN_INVALID", "page_token"):
        await desk.shop.ListProfiles(request)


async def test_many_profiles_are_answered_each_by_itself(desk: Desk) -> None:
    made = await desk.resolve(record("Olu Adeyemi", identifier(EMAIL, mail())))
    ids = [made.profile_id, "prf_0000000000000000000000"]
    answer = await desk.shop.BatchGetProfiles(profile_pb2.BatchGetProfilesRequest(profile_ids=ids))
    assert [each.status.code for each in answer.results] == [0, 5]
    assert answer.results[0].profile.profile_id == made.profile_id


async def test_events_tell_of_every_write_and_name_nobody(desk: Desk, installation: IdentityInstallation) -> None:
    address = mail()
    made = await desk.resolve(record("Gudrun Eiriksdottir", identifier(EMAIL, address)))
    broker = installation.broker()

    async def told() -> events_pb2.ProfileCreated | None:
        for message in await broker.stored("RAPPORT_IDENTITY"):
            assert address.encode() not in message.data
            assert b"Gudrun" not in message.data
            if made.profile_id.encode() in message.data:
                return events_pb2.ProfileCreated.FromString(message.data)
        return None

    created = await eventually(told, timeout_s=30)
    assert (created.profile_id, created.version, created.state.record_count) == (made.profile_id, 1, 1)
