"""What may be collected, over the wire: records of declared sources, of persons whom the gate does not deny."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from uuid import uuid4

from google.rpc import error_details_pb2
from identity_desk import EMAIL, Desk, IdentityInstallation, identifier, open_desk, record, request_id
from rapport.identity.v1 import identity_pb2, record_pb2, registry_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.free_ports import free_port
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

OFFERS = "offers.personal"
CREATED, JOINED = identity_pb2.RECORD_OUTCOME_CREATED, identity_pb2.RECORD_OUTCOME_JOINED
FAILED_PRECONDITION, INVALID_ARGUMENT, UNAVAILABLE = 9, 3, 14


def mail() -> record_pb2.Identifier:
    """An address that nobody else has."""
    return identifier(EMAIL, f"m{uuid4().hex[:11]}@posteo.net")


def somebody(name: str, *identifiers: record_pb2.Identifier, source: str = "crm") -> record_pb2.Record:
    """A record that is told by its name, birthday and address alone, if need be."""
    made = record(name, *identifiers, source=source)
    made.person.addresses.add(street="12 Quayside", city="Norwich", postal_code="NR2 3ZZ", country="GB")
    made.person.birth_date.year, made.person.birth_date.month, made.person.birth_date.day = 1961, 3, 17
    return made


def name() -> str:
    """A name that nobody else has."""
    return " ".join("".join(secrets.choice("bcdfghjklmnprstvwz") for _ in range(9)).capitalize() for _ in range(2))


async def newsletter(desk: Desk) -> str:
    """Declare a source that collects by consent."""
    source = f"newsletter_{uuid4().hex[:8]}"
    await desk.declare(source, purpose_id=OFFERS)
    return source


async def denied(attempt: Callable[[], Awaitable[identity_pb2.ResolvedRecord]], reason: str) -> None:
    """Wait until an attempt is denied for this reason."""

    async def so() -> bool:
        try:
            await attempt()
        except RemoteError as error:
            return (error.reason.name, error.metadata.get("reason")) == ("COLLECTING_REFUSED", reason)
        return False

    await eventually(so, timeout_s=20)


async def assert_unknown(desk: Desk, *identifiers: record_pb2.Identifier) -> None:
    """No record holds any of these."""
    for each in identifiers:
        assert (await desk.look_up(each)).outcome == identity_pb2.LOOKUP_OUTCOME_NOT_FOUND


async def test_records_of_a_source_that_is_not_declared_are_refused_by_path_and_stop_no_other(desk: Desk) -> None:
    strange = record("Ann Ek", mail(), source="elsewhere")
    with refused("UNDECLARED", "record.key.source"):
        await desk.resolve(strange)
    (answer,) = await desk.load([record("Bo Ek", mail()), strange, record("Cy Ek", mail())])
    assert [each.status.code for each in answer.results] == [0, INVALID_ARGUMENT, 0]
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in answer.results[1].status.details)
    assert [each.field for each in bad.field_violations] == ["records[1].key.source"]
    await assert_unknown(desk, strange.person.identifiers[0])


async def test_a_source_is_taken_from_until_it_is_retired_and_nobody_declares_that_of_sightings(desk: Desk) -> None:
    source = f"fair_{uuid4().hex[:8]}"
    await desk.declare(source)
    assert (await desk.resolve(record("Di Ek", mail(), source=source))).outcome == CREATED
    await desk.registry.RetireDeclaration(
        registry_pb2.RetireDeclarationRequest(
            request_id=request_id(), kind=registry_pb2.DECLARATION_KIND_SOURCE, name=source, reason="closed"
        )
    )
    with refused("UNDECLARED", "record.key.source"):
        await desk.resolve(record("Di Ek", mail(), source=source))
    with refused("TERMS_INVALID", "name"):
        await desk.declare("touchpoints")


async def test_who_decided_nothing_is_not_collected_by_consent_and_a_grant_lets_the_same_request_in(
    desk: Desk, installation: IdentityInstallation
) -> None:
    source, address = await newsletter(desk), mail()
    with refused("COLLECTING_REFUSED") as caught:
        await desk.resolve(record("Eva Ek", address, source=source))
    assert dict(caught.value.metadata) == {"purpose_id": OFFERS, "reason": "NO_DECISION"}
    await assert_unknown(desk, address)
    known = await desk.resolve(record("Eva Ek", address))
    named, signed_up = request_id(), record("Eva Ek", address, source=source)
    with refused("COLLECTING_REFUSED"):
        await desk.resolve(signed_up, named)
    installation.ledger.grant(known.profile_id, OFFERS)

    async def let_in() -> identity_pb2.ResolvedRecord | None:
        try:
            return await desk.resolve(signed_up, named)
        except RemoteError:
            return None

    joined = await eventually(let_in, timeout_s=20)
    assert joined is not None
    assert (joined.outcome, joined.profile_id) == (JOINED, known.profile_id)


async def test_who_refuses_is_left_alone_before_and_after_being_recognised(
    desk: Desk, installation: IdentityInstallation
) -> None:
    source, address, they = await newsletter(desk), mail(), name()
    known = await desk.resolve(somebody(they, address))
    installation.ledger.grant(known.profile_id, OFFERS)
    held = somebody(they, address, source=source)

    async def joins() -> bool:
        try:
            return (await desk.resolve(held)).profile_id == known.profile_id
        except RemoteError:
            return False

    await eventually(joins, timeout_s=20)
    installation.ledger.refuse(known.profile_id, OFFERS)
    again = somebody(they, address, source=source)
    await denied(lambda: desk.resolve(again), "REFUSED")
    before = await desk.profile(known.profile_id)
    held.locale = "de"
    with refused("COLLECTING_REFUSED"):
        await desk.resolve(held)
    brought, beside = mail(), mail()
    installation.ledger.grant(other := (await desk.resolve(record("Fay Ek", beside))).profile_id, OFFERS)
    unseen = somebody(they, brought, source=source)  # led to by no identifier: nobody could know before
    with refused("COLLECTING_REFUSED"):
        await desk.resolve(unseen)
    await assert_unknown(desk, brought)

    async def taken() -> identity_pb2.ResolveRecordsResponse | None:
        batch = [record("Fay Ek", beside, number="1", source=source), unseen, again, held]
        (answer,) = await desk.load(batch)
        return answer if answer.results[0].status.code == 0 else None

    answer = await eventually(taken, timeout_s=20)
    assert answer is not None
    assert [each.status.code for each in answer.results] == [0, *[FAILED_PRECONDITION] * 3]
    assert answer.results[0].resolved.profile_id == other
    assert await desk.profile(known.profile_id) == before
    await assert_unknown(desk, brought)


async def test_an_erased_person_never_gets_a_record_again(desk: Desk, installation: IdentityInstallation) -> None:
    address, brought, they = mail(), mail(), name()
    held = somebody(they, address)
    before = await desk.profile((await desk.resolve(held)).profile_id)
    installation.ledger.erase(before.profile_id)
    await denied(lambda: desk.resolve(held), "ERASED")
    for each in (record("", address), somebody(they, address), somebody(they, brought)):
        with refused("COLLECTING_REFUSED") as caught:
            await desk.resolve(each)
        assert caught.value.metadata["reason"] == "ERASED"
    await assert_unknown(desk, brought)
    assert await desk.profile(before.profile_id) == before
    assert (await desk.resolve(record("Gus Ek", mail()))).outcome == CREATED


async def test_a_gate_that_knows_nothing_has_records_wait_and_leaves_nothing_of_them(
    desk: Desk, installation: IdentityInstallation
) -> None:
    made = record("Hal Ek", mail())
    named = request_id()
    process = installation.process("cold", only="api", gate__consent=f"localhost:{free_port()}")
    with process:
        async with open_desk(installation, process="cold") as cold:

            async def told() -> RemoteError | None:
                try:
                    await cold.resolve(made, named)
                except RemoteError as error:
                    return error if "gate" in error.message else None
                raise AssertionError("it was taken in")

            error = await eventually(told, timeout_s=30)
            assert error is not None
            assert (error.reason.name, error.reason.retryable) == ("NOT_READY", True)
            (answer,) = await cold.load([made])
            assert [each.status.code for each in answer.results] == [UNAVAILABLE]
    assert (await desk.resolve(made, named)).outcome == CREATED
