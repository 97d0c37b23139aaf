"""The hash keys are rotated while two processes serve and the one that rotates is killed in the middle of it."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from identity_desk import (
    Desk,
    IdentityInstallation,
    declare_population,
    identifier,
    open_desk,
    request_id,
    start_installation,
)
from rapport.identity.v1 import events_pb2, identity_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_identity.population import Population
from rapport_identity.population.messages import message_of
from rapport_testing.free_ports import free_port
from rapport_testing.plugin import Prove
from rapport_testing.process import ServiceProcess
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

ACCOUNT = events_pb2.IDENTIFIER_KIND_ACCOUNT
UNCHANGED = identity_pb2.RECORD_OUTCOME_UNCHANGED
BATCH = 100
QUICKLY = "0.2"


@dataclass
class Rig:
    """Servers, two processes that serve, one that rotates, and one that also forgets events at once."""

    installation: IdentityInstallation
    rotating: ServiceProcess
    forgetting: ServiceProcess
    connection: psycopg.Connection[tuple[Any, ...]]
    served: int = 0
    refused: list[str] = field(default_factory=list)

    def command(self, *arguments: str) -> str:
        """Run a command of the service as an operator does, and return what it says."""
        argv = [sys.executable, "-m", "rapport_identity", *arguments]
        environment = {**os.environ, **self.installation.variables()}
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Look into the database."""
        return self.connection.execute(statement.encode()).fetchall()

    def versions(self) -> tuple[list[int], set[int]]:
        """Return the hash versions in use, and those that records are hashed under."""
        ((in_use,),) = self.rows("SELECT hash_versions FROM partition_head")
        return in_use, {version for (version,) in self.rows("SELECT DISTINCT hash_version FROM records")}

    def keys(self) -> set[str]:
        """Return the hash keys in the folder."""
        return {each.stem for each in Path(self.installation.folder / "own" / "hashes").glob("*.key")}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[Rig]:
    installation = start_installation(tmp_path_factory.mktemp("keys"), durable=scale.is_full)
    serving = [installation.process(name, only="api", grpc__port=str(free_port())) for name in ("one", "other")]
    rotating = installation.process("rotating", only="relay", keys__look_every_s=QUICKLY)
    forgetting = installation.process(
        "forgetting", only="relay", events_kept_days="0.000001", keys__look_every_s=QUICKLY
    )
    rotating.arm("hashes.taken_over=kill@2")
    try:
        for each in (*serving, rotating):
            each.start()
        declare_population(installation, process="one")
        database = installation.database
        dsn = installation.postgres.dsn(database.name, database.runtime_role)
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield Rig(installation, rotating, forgetting, connection)
    finally:
        for each in (*serving, rotating, forgetting):
            each.kill()
        installation.stop()


def order() -> ingest_pb2.RawTouchpoint:
    """An order, which needs nobody's consent."""
    made = ingest_pb2.RawTouchpoint(source="webshop", source_event_id=uuid4().hex)
    made.identifiers.append(identifier(ACCOUNT, uuid4().hex, "shop"))
    made.touchpoint.channel, made.touchpoint.session_id = touchpoint_pb2.CHANNEL_WEB, "ses_0123456789"
    made.touchpoint.purpose_ids.append("order.delivery")
    made.touchpoint.order_placed.order_id = "ord_0123456789"
    placed = made.touchpoint.order_placed
    placed.lines.add(quantity=1).item.product_id = "prd_0123456789"
    placed.total.currency_code, placed.total.units = "EUR", 20
    made.touchpoint.occurred_at.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
    return made


async def take(desk: Desk, made: ingest_pb2.RawTouchpoint) -> ingest_pb2.IngestedTouchpoint:
    """Send a touchpoint."""
    request = ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=made)
    return await desk.touchpoints.IngestTouchpoint(request)


@asynccontextmanager
async def served_all_the_while(rig: Rig, desks: list[Desk], seed: int, pause_s: float) -> AsyncIterator[None]:
    """Call both processes in turn; whatever is refused is found in `rig.refused`."""
    done = asyncio.Event()
    people = iter(Population(seed).sightings(100_000))

    async def call() -> None:
        for desk in itertools.cycle(desks):
            if done.is_set():
                return
            made = message_of(next(people))
            made.key.source_record_id = f"{seed}/{made.key.source_record_id}"
            try:
                await desk.resolve(made)
                if (await desk.resolve(made)).outcome != UNCHANGED:
                    rig.refused.append("not found again")
                for each in made.person.identifiers[:1]:
                    await desk.look_up(each)
            except Exception as error:
                rig.refused.append(repr(error))
            rig.served += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), pause_s)

    calling = asyncio.create_task(call())
    try:
        yield
    finally:
        done.set()
        await calling


async def assert_all_known(
    desk: Desk, records: list[record_pb2.Record], orders: list[ingest_pb2.RawTouchpoint]
) -> None:
    """Whatever is sent again is found to be there."""
    for at in range(0, len(records), BATCH):
        (answer,) = await desk.load(records[at : at + BATCH])
        assert {each.resolved.outcome for each in answer.results} == {UNCHANGED}
    for made in orders:
        assert (await take(desk, made)).known


async def test_hash_keys_are_rotated_under_load_and_kills_and_everything_is_found_all_the_while(
    rig: Rig, scale: Scale, prove: Prove
) -> None:
    count = scale.pick(small=120, full=20_000)
    records = [message_of(each) for each in Population(9).sightings(count)]
    async with AsyncExitStack() as stack:
        desks = [
            await stack.enter_async_context(open_desk(rig.installation, process=name, deadline_s=30))
            for name in ("one", "other")
        ]
        one = desks[0]
        for at in range(0, count, BATCH):
            await one.load(records[at : at + BATCH])
        orders = [order() for _ in range(10)]
        for made in orders:
            assert not (await take(one, made)).known
        async with served_all_the_while(rig, desks, 21, scale.pick(small=0.05, full=0.0)):
            said = await asyncio.to_thread(rig.command, "rotate-hash-key")
            assert said.startswith("hash key 2 is active")
            await asyncio.to_thread(rig.rotating.wait_killed)
            assert await asyncio.to_thread(rig.versions) == ([2, 1], {1, 2})
            for desk in desks:
                await assert_all_known(desk, records, orders)
            await revive(rig)
            await eventually(
                lambda: rig.versions() == ([2, 1], {2}), timeout_s=scale.pick(small=30, full=600), interval_s=0.1
            )
            assert await asyncio.to_thread(rig.command, "keys") == "epoch  1 (active)\nhash   2 (active), 1\n"
            # Events are remembered under the old key until they are swept: here at once.
            await asyncio.to_thread(rig.rotating.kill)
            rig.forgetting.arm("hashes.finished=kill")
            await asyncio.to_thread(rig.forgetting.start)
            await asyncio.to_thread(rig.forgetting.wait_killed)
            assert await asyncio.to_thread(rig.versions) == ([2], {2})
            await revive(rig)
            await eventually(lambda: rig.keys() == {"2"}, timeout_s=30, interval_s=0.1)
            for desk in desks:
                await assert_all_known(desk, records, [])
    assert rig.refused == []
    prove("identity", hash_rotation_records=count, hash_rotation_kills=2, hash_rotation_calls_served=rig.served)


async def revive(rig: Rig) -> None:
    """Start the process that rotates, no failpoint armed."""
    rig.rotating.arm()
    await asyncio.to_thread(rig.rotating.start)
