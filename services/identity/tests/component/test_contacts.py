"""Contact points over the wire, with a gate that follows a ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from identity_desk import EMAIL, PHONE, SENDER, Desk, IdentityInstallation, identifier, record
from identity_ledger import LedgerService
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, record_pb2, touchpoint_pb2
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

OFFERS, DELIVERY = "offers.personal", "order.delivery"
BY_EMAIL, BY_SMS, BY_POST = touchpoint_pb2.CHANNEL_EMAIL, touchpoint_pb2.CHANNEL_SMS, touchpoint_pb2.CHANNEL_POST


@dataclass(frozen=True)
class Sender:
    """Who writes to people, and needs to know where."""

    stub: identity_pb2_grpc.IdentityServiceAsyncStub
    ledger: LedgerService

    async def ask(
        self, profile_id: str, channel: touchpoint_pb2.Channel.ValueType = BY_EMAIL, purpose_id: str = OFFERS
    ) -> identity_pb2.GetContactPointsResponse:
        """Ask how somebody may be reached."""
        return await self.stub.GetContactPoints(
            identity_pb2.GetContactPointsRequest(profile_id=profile_id, channel=channel, purpose_id=purpose_id)
        )

    async def reaches(self, profile_id: str, *emails: str, withheld: int = 0) -> identity_pb2.GetContactPointsResponse:
        """Wait until exactly these addresses may be written to."""

        async def so() -> identity_pb2.GetContactPointsResponse | None:
            answer = await self.ask(profile_id)
            same = {each.email for each in answer.contact_points} == set(emails) and answer.withheld == withheld
            return answer if same else None

        return await eventually(so, timeout_s=20)


@pytest.fixture
async def sender(installation: IdentityInstallation) -> AsyncIterator[Sender]:
    client = installation.client(SENDER)
    yield Sender(client.stub(identity_pb2_grpc.IdentityServiceStub), installation.ledger)
    await client.close()


def mailbox() -> str:
    return f"m{uuid4().hex[:12]}@posteo.net"


def person(name: str, *emails: str, phone: str = "", street: str = "") -> record_pb2.Record:
    """A record with what is rare enough to be told apart by: a name, a birthday and an address."""
    identifiers = [identifier(EMAIL, each) for each in emails] + ([identifier(PHONE, phone)] if phone else [])
    made = record(name, *identifiers)
    if street:
        made.person.addresses.add(street=street, city="Norwich", postal_code="NR2 3ZZ", country="GB")
        made.person.birth_date.year, made.person.birth_date.month, made.person.birth_date.day = 1961, 3, 17
    return made


async def test_nobody_is_reached_without_a_decision_and_after_a_refusal(desk: Desk, sender: Sender) -> None:
    profile_id = (await desk.resolve(person("Ada Quill", mailbox()))).profile_id
    answer = await sender.ask(profile_id)
    assert (list(answer.contact_points), answer.withheld) == ([], 1)
    assert answer.decision.reason == consent_pb2.DECISION_REASON_NO_DECISION
    sender.ledger.refuse(profile_id, OFFERS)

    async def refusing() -> bool:
        return (await sender.ask(profile_id)).decision.reason == consent_pb2.DECISION_REASON_REFUSED

    await eventually(refusing, timeout_s=20)


async def test_a_grant_covers_what_was_known_and_what_an_identifier_ties_to_it(desk: Desk, sender: Sender) -> None:
    email, phone = mailbox(), f"+44160364{uuid4().int % 9000 + 1000}"
    profile_id = (await desk.resolve(person("Bea Thorn", email))).profile_id
    sender.ledger.grant(profile_id, OFFERS)
    first = await sender.reaches(profile_id, email)
    assert (await desk.resolve(person("Bea Thorn", email, phone=phone))).profile_id == profile_id
    (by_phone,) = (await sender.ask(profile_id, BY_SMS)).contact_points
    assert (by_phone.phone, by_phone.recorded_under) == (phone, profile_id)
    assert by_phone.name.surname == "Thorn"
    (again,) = (await sender.ask(profile_id)).contact_points
    assert again.contact_point_id == first.contact_points[0].contact_point_id != by_phone.contact_point_id
    assert first.decision.reference


async def test_what_joined_by_probability_alone_waits_for_the_next_decision(desk: Desk, sender: Sender) -> None:
    street, name = f"{uuid4().int % 900 + 1} Quayside", "Philippa Oglethorpe"
    known, brought = mailbox(), mailbox()
    profile_id = (await desk.resolve(person(name, known, street=street))).profile_id
    sender.ledger.grant(profile_id, OFFERS)
    await sender.reaches(profile_id, known)
    assert (await desk.resolve(person(name, brought, street=street))).profile_id == profile_id
    await sender.reaches(profile_id, known, withheld=1)
    sender.ledger.grant(profile_id, OFFERS)
    await sender.reaches(profile_id, known, brought)


async def test_a_contract_needs_no_consent_and_gives_the_address_on_post_only(desk: Desk, sender: Sender) -> None:
    street = f"{uuid4().int % 900 + 1} Elm Hill"
    profile_id = (await desk.resolve(person("Cora Lund", mailbox(), street=street))).profile_id
    answer = await sender.ask(profile_id, BY_POST, DELIVERY)
    assert [each.address.street for each in answer.contact_points] == [street]
    assert not answer.decision.reference
    assert [each.WhichOneof("value") for each in (await sender.ask(profile_id, BY_EMAIL, DELIVERY)).contact_points] == [
        "email"
    ]


async def test_an_absorbed_id_that_grants_nothing_is_not_covered_by_its_survivor(desk: Desk, sender: Sender) -> None:
    mine, theirs = mailbox(), mailbox()
    first = (await desk.resolve(person("Dora Vale", mine))).profile_id
    second = (await desk.resolve(person("Theodora Vail", theirs))).profile_id
    sender.ledger.grant(first, OFFERS)
    (merged,) = (await desk.merge(first, second)).profiles
    assert set(merged.redirect_ids) == {first, second} - {merged.profile_id}
    if merged.profile_id == second:  # before consent follows the merge, each side is asked for itself
        await sender.reaches(merged.profile_id, withheld=2)
    else:
        await sender.reaches(merged.profile_id, mine, withheld=1)


async def test_callers_without_the_permission_get_no_address(desk: Desk, sender: Sender) -> None:
    profile_id = (await desk.resolve(person("Eva Stern", mailbox()))).profile_id
    with refused("PERMISSION_DENIED"):
        await desk.shop.GetContactPoints(
            identity_pb2.GetContactPointsRequest(profile_id=profile_id, channel=BY_EMAIL, purpose_id=OFFERS)
        )
