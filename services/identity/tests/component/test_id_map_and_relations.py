"""What every id stands for, and what profiles have in common without being one."""

from __future__ import annotations

from uuid import uuid4

from identity_desk import DEVICE, EMAIL, PHONE, Desk, IdentityInstallation, identifier, record
from rapport.identity.v1 import events_pb2, profile_pb2, record_pb2
from rapport_testing.waiting import eventually


def somebody(name: str, *shared: record_pb2.Identifier, street: str = "") -> record_pb2.Record:
    """A record of a person with an address of their own, and what they share."""
    made = record(name, identifier(EMAIL, f"m{uuid4().hex[:11]}@posteo.net"), *shared)
    if street:
        made.person.addresses.add(street=street, city="Norwich", postal_code="NR2 3ZZ", country="GB")
    return made


async def test_the_map_and_the_tail_of_the_stream_say_what_every_id_stands_for(
    desk: Desk, installation: IdentityInstallation
) -> None:
    first, second = await desk.resolve(somebody("Jo Ash")), await desk.resolve(somebody("Mo Elm"))
    made = await desk.merge(first.profile_id, second.profile_id)
    (merged,) = made.profiles
    header, entries = await desk.id_map()
    assert header.position.position >= made.token.position
    assert list(entries[merged.profile_id].redirect_ids) == list(merged.redirect_ids)
    assert merged.redirect_ids[0] not in entries
    assert entries[merged.profile_id].version == merged.version
    third = await desk.resolve(somebody("Bo Fir"))
    (expected,) = (await desk.merge(merged.profile_id, third.profile_id)).profiles
    broker = installation.broker()

    async def told() -> bool:
        for message in await broker.stored("RAPPORT_IDENTITY"):
            if message.sequence >= header.tail_from_sequence and ".profiles_merged." in message.subject:
                (part,) = events_pb2.ProfilesMerged.FromString(message.data).profiles
                if (part.profile_id, part.version) == (expected.profile_id, expected.version):
                    return list(part.redirect_ids) == list(expected.redirect_ids)
        return False

    await eventually(told, timeout_s=30)


async def test_relatives_and_users_of_one_device_are_related_and_not_merged(desk: Desk) -> None:
    street, device = f"{uuid4().int % 900 + 1} Elm Hill", identifier(DEVICE, uuid4().hex, "app")
    phone = identifier(PHONE, f"+4416036{uuid4().int % 90000 + 10000}")
    wife = await desk.resolve(somebody("Agnes Wainwright", phone, device, street=street))
    husband = await desk.resolve(somebody("Bernard Wainwright", phone, street=street))
    guest = await desk.resolve(somebody("Zdenka Novotna", device))
    stranger = await desk.resolve(somebody("Karl Ulm", street=street))
    assert len({each.profile_id for each in (wife, husband, guest, stranger)}) == 4
    request = profile_pb2.ListRelationsRequest(profile_id=wife.profile_id)
    answer = await desk.shop.ListRelations(request)
    assert {(each.kind, each.profile_id): list(each.shared_kinds) for each in answer.relations} == {
        (profile_pb2.RELATION_KIND_HOUSEHOLD, husband.profile_id): [PHONE],
        (profile_pb2.RELATION_KIND_SHARED_CONTACT, husband.profile_id): [PHONE],
        (profile_pb2.RELATION_KIND_SHARED_DEVICE, guest.profile_id): [DEVICE],
    }
    listed: list[profile_pb2.Relation] = []
    request.page_size = 1
    while True:
        page = await desk.shop.ListRelations(request)
        listed += page.relations
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == list(answer.relations)
    only = profile_pb2.ListRelationsRequest(profile_id=wife.profile_id, kind=profile_pb2.RELATION_KIND_SHARED_DEVICE)
    assert [each.profile_id for each in (await desk.shop.ListRelations(only)).relations] == [guest.profile_id]
