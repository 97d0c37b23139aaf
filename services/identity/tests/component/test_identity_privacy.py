"""A privacy request as identity meets it, over the wire: held still, copied, erased without a trace, and kept away."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from identity_desk import (
    EMAIL,
    Desk,
    IdentityInstallation,
    identifier,
    open_desk,
    record,
    start_installation,
)
from rapport.common.v1 import participant_pb2, participant_pb2_grpc, privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport.identity.v1 import events_pb2 as identity_events
from rapport.identity.v1 import ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.events.envelope import event_of
from rapport_chassis.events.jetstream import StoredMessage
from rapport_chassis.ids import new_id
from rapport_testing.free_ports import free_port
from rapport_testing.postgres_binaries import binary
from rapport_testing.process import ServiceProcess
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

COORDINATOR = "coordinator"
BEFORE = datetime(2026, 3, 1, tzinfo=UTC)
FREEZE, ACCESS, ERASE, RELEASE, PROBE = (
    privacy_pb2.PRIVACY_TASK_KIND_FREEZE,
    privacy_pb2.PRIVACY_TASK_KIND_ACCESS,
    privacy_pb2.PRIVACY_TASK_KIND_ERASE,
    privacy_pb2.PRIVACY_TASK_KIND_RELEASE,
    privacy_pb2.PRIVACY_TASK_KIND_PROBE,
)


@dataclass(frozen=True)
class Rig:
    """Servers, and a process that comes back at the same address."""

    installation: IdentityInstallation
    service: ServiceProcess

    async def ask(
        self, kind: privacy_pb2.PrivacyTaskKind.ValueType, request_id: str, *profile_ids: str
    ) -> privacy_pb2.PrivacyTaskCompleted:
        """Ask something of identity, as the coordinator of a request does, and return what it answers."""
        task_id = await self.send(kind, request_id, *profile_ids)
        return await self.answer(task_id)

    async def send(self, kind: privacy_pb2.PrivacyTaskKind.ValueType, request_id: str, *profile_ids: str) -> str:
        """Ask, and return the id of the task."""
        asked = events_pb2.PrivacyTaskRequested(
            request_id=request_id,
            task_id=new_id("task"),
            kind=kind,
            profile_ids=profile_ids,
            participants=["identity"],
        )
        await self.installation.broker().publish(event_of(asked, source="consent", occurred_at=datetime.now(UTC)))
        return asked.task_id

    async def answer(self, task_id: str) -> privacy_pb2.PrivacyTaskCompleted:
        """Return the answer to a task; there must be one and no more."""
        name = "privacy_task_completed"

        async def told() -> list[privacy_pb2.PrivacyTaskCompleted]:
            stored = await self.recent()
            found = [privacy_pb2.PrivacyTaskCompleted.FromString(each.data) for each in stored if name in each.subject]
            return [each for each in found if each.task_id == task_id]

        (only,) = await eventually(told, timeout_s=40)
        return only

    async def recent(self) -> list[StoredMessage]:
        """Return the last messages of identity's stream."""
        async with self.installation.broker().api() as api:
            last = (await api.stream_info("RAPPORT_IDENTITY"))["state"]["last_seq"]
            found = [await api.get("RAPPORT_IDENTITY", each) for each in range(max(1, last - 20), last + 1)]
        return [each for each in found if each is not None]

    async def export(self, task: privacy_pb2.PrivacyTaskCompleted, *profile_ids: str) -> Copy:
        """Fetch the copy that a task asked for."""
        client = self.installation.client(COORDINATOR, deadline_s=30)
        try:
            stub = client.stub(participant_pb2_grpc.ParticipantServiceStub)
            request = participant_pb2.ExportSubjectRequest(
                request_id=task.request_id, task_id=task.task_id, profile_ids=profile_ids
            )
            *parts, last = [part async for part in stub.ExportSubject(request)]
        finally:
            await client.close()
        assert not last.records
        return Copy(
            {(part.store, each.record_id): json.loads(each.json) for part in parts for each in part.records},
            {each.store: each.found for each in last.totals},
            [len(part.records) for part in parts],
        )

    def holds(self, text: str) -> bool:
        """Whether a text is anywhere in what is stored: a dump of both databases, and the files of the broker."""
        dumps = [_dump(self.installation.postgres.dsn(name)) for name in ("rapport_identity", "rapport_identity_keys")]
        files = [path.read_bytes() for path in (self.installation.folder / "nats").rglob("*.blk")]
        return any(text.encode() in each or text.encode().hex().encode() in each for each in (*dumps, *files))


@dataclass(frozen=True)
class Copy:
    """What an export handed out: contents by store and record, totals, and how large its parts were."""

    records: dict[tuple[str, str], dict[str, object]]
    totals: dict[str, int]
    parts: list[int]

    def of(self, store: str) -> list[dict[str, object]]:
        """Return what is in a store."""
        return [content for (name, _), content in self.records.items() if name == store]


def _dump(dsn: str) -> bytes:
    return subprocess.run([binary("pg_dump"), dsn], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Servers and a service that tests may kill."""
    installation = start_installation(tmp_path_factory.mktemp("privacy"))
    installation.grant(COORDINATOR, ["privacy.exports.read", "privacy.keys.read", "privacy.stores.read"])
    service = installation.process(grpc__port=str(free_port()))
    try:
        service.start()
        yield Rig(installation, service)
    finally:
        service.kill()
        installation.stop()


@pytest.fixture
async def desk(rig: Rig) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(rig.installation) as made:
        await made.until_serving("api", "events")
        yield made


def mark() -> str:
    """A string that is nowhere else."""
    return f"m{uuid4().hex[:15]}"


def somebody(canary: str = "", number: str = "", **fields: str) -> record_pb2.Record:
    """A record of somebody with a rare name and an address of their own."""
    canary = canary or mark()
    surname = canary.translate(str.maketrans("0123456789", "ghijklmnop")).title()
    return record(f"Wilhelmina {surname}", identifier(EMAIL, f"{canary}@posteo.net"), number=number, **fields)


def order(canary: str, at: datetime) -> ingest_pb2.RawTouchpoint:
    """Somebody, known by address, buys something under a number that is theirs."""
    made = ingest_pb2.RawTouchpoint(
        source="webshop",
        source_event_id=uuid4().hex,
        identifiers=[identifier(EMAIL, f"{canary}@posteo.net")],
        touchpoint=touchpoint_pb2.Touchpoint(channel=touchpoint_pb2.CHANNEL_WEB, purpose_ids=["order.delivery"]),
    )
    placed = made.touchpoint.order_placed
    placed.order_id = f"ord_{canary}"
    placed.lines.add(quantity=1).item.product_id = "prd_0123456789"
    placed.total.currency_code, placed.total.units = "EUR", 20
    made.touchpoint.occurred_at.FromDatetime(at)
    return made


async def buy(desk: Desk, *orders: ingest_pb2.RawTouchpoint) -> list[ingest_pb2.IngestTouchpointsResponse]:
    """Send touchpoints, all of one batch."""

    async def messages() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
        yield ingest_pb2.IngestTouchpointsRequest(batch=0, touchpoints=orders)

    return [answer async for answer in desk.touchpoints.IngestTouchpoints(messages())]


async def test_a_frozen_person_neither_merges_nor_changes_and_is_linked_to_what_came_once_released(
    rig: Rig, desk: Desk
) -> None:
    canary = mark()
    first = somebody(canary)
    person, other = (await desk.resolve(first)).profile_id, (await desk.resolve(somebody())).profile_id
    request_id = new_id("privacy_request")
    frozen = await rig.ask(FREEZE, request_id, person)
    assert list(frozen.closure_ids) == [person]
    came = await desk.resolve(somebody(canary))
    assert came.profile_id != person
    with refused("PROFILE_FROZEN"):
        await desk.merge(person, other)
    changed = record_pb2.Record()
    changed.CopyFrom(first)
    changed.person.identifiers.append(identifier(EMAIL, f"{mark()}@posteo.net"))
    changed.occurred_at.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    with refused("PROFILE_FROZEN"):
        await desk.resolve(changed)
    assert (await desk.profile(person)).state.record_count == 1
    await rig.ask(RELEASE, request_id, person)

    async def linked() -> bool:
        return (await desk.profile(came.profile_id)).profile_id == (await desk.profile(person)).profile_id

    await eventually(linked, timeout_s=20)
    assert (await desk.profile(person)).state.record_count == 2
    assert (await desk.resolve(changed)).profile_id == (await desk.profile(person)).profile_id


async def test_a_copy_holds_every_record_in_clear_but_no_number_of_a_state_and_comes_in_parts(
    rig: Rig, desk: Desk
) -> None:
    canary = mark()
    state_number = identifier(identity_events.IDENTIFIER_KIND_NATIONAL_ID, "AB123456C", "gb.nino")
    first = somebody(canary)
    first.person.identifiers.append(state_number)
    person = (await desk.resolve(first)).profile_id
    await buy(desk, *(order(canary, BEFORE) for _ in range(60)))
    task = await rig.ask(ACCESS, new_id("privacy_request"), person)
    copy = await rig.export(task, person)
    said = json.dumps(copy.of("records"))
    assert f"{canary}@posteo.net" in said
    assert "AB123456C" not in said
    assert "[withheld]" in said
    assert [canary in json.dumps(each) for each in copy.of("touchpoints")] == [True] * 60
    assert {each.store: each.found for each in task.stores} == copy.totals
    assert copy.totals.keys() >= {"records", "touchpoints", "profiles", "profile_history"}
    with refused("TASK_DIFFERS"):
        await rig.export(task, new_id("profile"))


@pytest.mark.parametrize(
    "failpoint",
    ["", "privacy.acted", "identity.keys_destroyed"],
    ids=["undisturbed", "killed when deleted", "killed when keys are gone"],
)
async def test_an_erased_person_leaves_no_trace_whatever_is_killed_and_does_not_come_back(
    rig: Rig, desk: Desk, failpoint: str
) -> None:
    canary, name = mark(), uuid4().hex
    made = somebody(canary, number=name, brand_id=f"brand-{canary}")
    person = (await desk.resolve(made)).profile_id
    await buy(desk, *(order(canary, BEFORE) for _ in range(3)))
    assert await asyncio.to_thread(rig.holds, canary)
    request_id = new_id("privacy_request")
    closure = list((await rig.ask(FREEZE, request_id, person)).closure_ids)
    if failpoint:
        await asyncio.to_thread(rig.service.kill)
        rig.service.arm(f"{failpoint}=kill")
        await asyncio.to_thread(rig.service.start)
    task_id = await rig.send(ERASE, request_id, *closure)
    if failpoint:
        await asyncio.to_thread(rig.service.wait_killed)
        rig.service.arm()
        await asyncio.to_thread(rig.service.start)
    answer = await rig.answer(task_id)
    assert answer.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_DONE
    assert {each.store: each.acted for each in answer.stores if each.acted}.items() >= {"touchpoints": 3}.items()
    async with open_desk(rig.installation) as later:
        await later.until_serving("api", "events")
        assert not await asyncio.to_thread(rig.holds, canary)
        probe = await rig.ask(PROBE, request_id, *closure)
        assert probe.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD
        with refused("PROFILE_ERASED"):
            await later.profile(person)
        with refused("SUPPRESSED"):
            await later.resolve(made)
        with refused("SUPPRESSED"):
            await later.resolve(somebody(canary))  # another record of the same address, from before
        (repeated,) = await buy(later, order(canary, BEFORE))
        assert [each.status.code for each in repeated.results] == [grpc.StatusCode.FAILED_PRECONDITION.value[0]]
        after = somebody(canary)
        after.occurred_at.FromDatetime(datetime.now(UTC) + timedelta(minutes=1))
        new = await later.resolve(after)
        assert new.profile_id not in closure
        assert (await later.profile(new.profile_id)).state.record_count == 1
