"""Stewards' decisions over the wire: they hold, they are audited, and taking one back is exact."""

from __future__ import annotations

from uuid import uuid4

from identity_desk import EMAIL, OFFICE, Desk, IdentityInstallation, identifier, record, request_id
from rapport.identity.v1 import identity_pb2_grpc, profile_pb2, record_pb2, steward_pb2
from rapport_chassis.times import moment
from rapport_testing.refusals import refused


def somebody(name: str, address: str = "") -> record_pb2.Record:
    """A record of a person whose address is nobody else's."""
    return record(name, identifier(EMAIL, address or f"m{uuid4().hex[:11]}@posteo.net"))


async def test_a_merge_holds_and_taking_it_back_restores_the_very_ids(desk: Desk) -> None:
    first, second = somebody("Ines Caro"), somebody("Tove Dahl")
    one, other = await desk.resolve(first), await desk.resolve(second)
    apart = [await desk.profile(each.profile_id) for each in (one, other)]
    named = request_id()
    made = await desk.merge(one.profile_id, other.profile_id, named=named)
    assert await desk.merge(one.profile_id, other.profile_id, named=named) == made
    (merged,) = made.profiles
    assert {merged.profile_id, *merged.redirect_ids} == {one.profile_id, other.profile_id}
    assert {each.records[0].source_record_id for each in made.constraint.groups} | {
        made.constraint.groups[0].records[1].source_record_id
    } == {first.key.source_record_id, second.key.source_record_id}
    for each in (one, other):
        assert (await desk.profile(each.profile_id)).profile_id == merged.profile_id
    then = await desk.profile(other.profile_id, moment(apart[1].updated_at))
    assert (then.profile_id, list(then.redirect_ids), then.state) == (other.profile_id, [], apart[1].state)
    withdrawn = await desk.withdraw(made.constraint.constraint_id)
    assert withdrawn.constraint.HasField("withdrawn_at")
    assert withdrawn.token.position > made.token.position
    for before in apart:
        now = await desk.profile(before.profile_id)
        assert (now.profile_id, now.state, list(now.redirect_ids)) == (before.profile_id, before.state, [])
        assert now.version > before.version
    with refused("CONSTRAINT_NOT_FOUND", "constraint_id"):
        await desk.withdraw(made.constraint.constraint_id)


async def test_what_an_officer_excluded_leaves_and_stays_out_in_that_officers_name(desk: Desk) -> None:
    address = f"m{uuid4().hex[:11]}@posteo.net"
    one, other = somebody("Runa Falk", address), somebody("Runa Falk", address)
    held = (await desk.resolve(one)).profile_id
    assert (await desk.resolve(other)).profile_id == held
    request = steward_pb2.ExcludeRecordsRequest(
        request_id=request_id(),
        profile_id=held,
        records=[other.key],
        privacy_request_id="req_0000000000000000000001",
        decided_by="officer-7",
    )
    made = await desk.office.ExcludeRecords(request)
    assert (made.constraint.created_by, made.constraint.reason) == ("officer-7", "req_0000000000000000000001")
    assert await desk.office.ExcludeRecords(request) == made
    other.brand_id = "north"
    assert (await desk.resolve(other)).profile_id != held


async def test_a_split_keeps_records_apart_and_contradictions_are_refused(desk: Desk) -> None:
    address = f"m{uuid4().hex[:11]}@posteo.net"
    one, other = somebody("Pia Roth", address), somebody("Pia Roth", address)
    held = (await desk.resolve(one)).profile_id
    assert (await desk.resolve(other)).profile_id == held
    made = await desk.split(held, [other.key])
    assert len(made.profiles) == 2
    one.brand_id = "north"
    assert (await desk.resolve(one)).profile_id == held
    with refused("CONSTRAINTS_CONTRADICT"):
        await desk.merge(*(each.profile_id for each in made.profiles))
    with refused("RECORD_OF_OTHER_PROFILE", "leaving"):
        await desk.split(held, [other.key])
    with refused("NOBODY_STAYS", "leaving"):
        await desk.split(held, [one.key])
    with refused("RECORD_NOT_FOUND", "second"):
        await desk.office.ForbidMatch(
            steward_pb2.ForbidMatchRequest(
                request_id=request_id(), first=one.key, second=somebody("No One").key, reason="x"
            )
        )
    listed = await desk.office.ListConstraints(steward_pb2.ListConstraintsRequest(profile_id=held))
    assert [each.constraint_id for each in listed.constraints] == [made.constraint.constraint_id]
    await desk.withdraw(made.constraint.constraint_id)
    assert (await desk.profile(made.profiles[-1].profile_id)).state.record_count == 2
    listed = await desk.office.ListConstraints(steward_pb2.ListConstraintsRequest(profile_id=held))
    assert not listed.constraints
    listed = await desk.office.ListConstraints(
        steward_pb2.ListConstraintsRequest(profile_id=held, include_withdrawn=True)
    )
    assert [each.withdrawn_by for each in listed.constraints] == ["officer-1"]


async def test_records_are_shown_in_clear_to_an_operator_alone_and_that_is_on_record(
    desk: Desk, installation: IdentityInstallation
) -> None:
    made = somebody("Yrsa Holt")
    held = (await desk.resolve(made)).profile_id
    request = profile_pb2.ListRecordsRequest(profile_id=held)
    shown = await desk.office.ListRecords(request)
    assert [each.record for each in shown.records] == [made]
    assert shown.records[0].recorded_under == held
    without_token = installation.client(OFFICE)
    try:
        with refused("ACTOR_TOKEN_MISSING"):
            await without_token.stub(identity_pb2_grpc.IdentityServiceStub).ListRecords(request)
    finally:
        await without_token.close()
    with refused("PERMISSION_DENIED"):
        await desk.shop.ListRecords(request)
    rows = installation.postgres.execute(
        f"SELECT actor, action FROM audit WHERE target = '{held}'", database=installation.database.name
    )
    assert rows == [("officer-1", "rapport.identity.v1.IdentityService/ListRecords")]
