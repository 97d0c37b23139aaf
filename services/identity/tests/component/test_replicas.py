"""Three replicas at once, over the wire: whichever is asked and whatever is killed, there is one partition."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from identity_desk import (
    EMAIL,
    Desk,
    IdentityInstallation,
    declare_population,
    identifier,
    open_desk,
    record,
    start_installation,
)
from rapport.identity.v1 import events_pb2, identity_pb2, record_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.resolution import resolve
from rapport_identity.population import Population
from rapport_identity.population.messages import message_of
from rapport_identity.translate.records import record_of
from rapport_testing.free_ports import free_port
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.process import RandomKiller, ServiceProcess
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

REPLICAS = ("first", "second", "third")
STREAM = "RAPPORT_IDENTITY"
BATCH = 100
LETTERS = "bcdfghjklmnprstvwz"


@dataclass(frozen=True)
class Replicas:
    """Servers, three processes that answer, one that publishes, and all records that were ever sent."""

    installation: IdentityInstallation
    processes: Sequence[ServiceProcess]
    sent: list[record_pb2.Record] = field(default_factory=list)

    @asynccontextmanager
    async def desks(self) -> AsyncIterator[list[Desk]]:
        """Call each of those that answer."""
        async with AsyncExitStack() as stack:
            desks = [
                await stack.enter_async_context(open_desk(self.installation, process=name, deadline_s=30))
                for name in REPLICAS
            ]
            for desk in desks:
                await desk.until_serving("api")
            yield desks


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[Replicas]:
    installation = start_installation(tmp_path_factory.mktemp("replicas"), durable=scale.is_full)
    processes = [installation.process(name, only="api", grpc__port=str(free_port())) for name in REPLICAS]
    processes.append(installation.process("relay", only="relay"))
    try:
        for each in processes:
            each.start()
        declare_population(installation, process=REPLICAS[0])
        yield Replicas(installation, processes)
    finally:
        for each in processes:
            each.kill()
        installation.stop()


def names(count: int, seed: int) -> list[str]:
    """Names that nobody else has."""
    draw = random.Random(seed)
    return [" ".join("".join(draw.choices(LETTERS, k=9)).capitalize() for _ in range(2)) for _ in range(count)]


def clusters_of(records: Sequence[record_pb2.Record]) -> set[frozenset[RecordKey]]:
    """The persons that all records come to, whatever the order."""
    found = resolve([record_of(each) for each in records], default_matcher()).partition.clusters
    return {frozenset(each) for each in found}


async def test_callers_who_create_the_same_people_at_once_create_each_once(
    replicas: Replicas, scale: Scale, prove: Prove
) -> None:
    people, callers = names(scale.pick(small=8, full=1_000), seed=1), scale.pick(small=16, full=64)

    def said(name: str, caller: int) -> record_pb2.Record:
        mail = identifier(EMAIL, f"{name.replace(' ', '.').lower()}@posteo.net")
        return record(name, mail, number=f"{name} by {caller}")

    async with replicas.desks() as desks:

        async def call(caller: int) -> None:
            order = random.Random(caller).sample(people, len(people))
            for name in order:
                await desks[caller % len(desks)].resolve(said(name, caller))

        await asyncio.gather(*(call(caller) for caller in range(callers)))
        replicas.sent.extend(said(name, caller) for name in people for caller in range(callers))
        current: dict[str, set[str]] = {name: set() for name in people}
        for caller, desk in enumerate(desks):
            for name in people:
                answer = await desk.resolve(said(name, caller))
                assert answer.outcome == identity_pb2.RECORD_OUTCOME_UNCHANGED
                current[name].add(answer.profile_id)
        assert all(len(ids) == 1 for ids in current.values())
        profile_ids = {profile_id for ids in current.values() for profile_id in ids}
        assert len(profile_ids) == len(people)
        held = [await desks[0].profile(each) for each in profile_ids]
        assert {each.state.record_count for each in held} == {callers}
    prove(
        "identity", same_people_at_once=len(people), same_people_callers=callers, same_people_profiles=len(profile_ids)
    )


async def test_a_load_with_everything_killed_at_random_ends_in_the_partition_of_an_undisturbed_one(
    replicas: Replicas, scale: Scale, prove: Prove, progress: MakeProgress
) -> None:
    count, kills = scale.pick(small=300, full=20_000), scale.pick(small=4, full=100)
    records = [message_of(each) for each in Population(5).sightings(count)]
    random.Random(3).shuffle(records)
    replicas.sent.extend(records)
    installation = replicas.installation
    bar = progress(count, "records under kills")
    killer = RandomKiller([*replicas.processes, installation.postgres, installation.nats], seed=11, between=(0.2, 1.0))
    async with replicas.desks() as desks:
        with killer:
            for at in range(0, count, BATCH):
                batch = records[at : at + BATCH]
                await insist(desks, batch)
                bar.advance(len(batch))
            await eventually(lambda: killer.kills >= kills or not killer.is_killing, timeout_s=600)
            await asyncio.to_thread(killer.stop)
        for desk in desks:
            await desk.until_serving("api")
        mine = frozenset(record_of(each).key for each in records)
        expected = {mine & each for each in clusters_of(replicas.sent)} - {frozenset()}
        for desk in desks:
            found: dict[str, set[RecordKey]] = {}
            for at in range(0, count, BATCH):
                batch = records[at : at + BATCH]
                (answer,) = await desk.load(batch)
                for each, result in zip(batch, answer.results, strict=True):
                    assert result.resolved.outcome == identity_pb2.RECORD_OUTCOME_UNCHANGED
                    found.setdefault(result.resolved.profile_id, set()).add(record_of(each).key)
            assert {frozenset(each) for each in found.values()} == expected
        await assert_told_of_all(replicas, desks[0])
    prove("identity", random_kills=killer.kills, random_kill_records=count, random_kill_lost_or_doubled=0)


async def insist(desks: Sequence[Desk], batch: Sequence[record_pb2.Record]) -> None:
    """Send a batch to one replica after the other until one has answered all of it."""
    draw = random.Random(len(batch))

    async def answered() -> bool:
        try:
            (answer,) = await draw.choice(desks).load(batch)
        except RemoteError:
            return False
        return not any(each.status.code for each in answer.results)

    await eventually(answered, timeout_s=120, interval_s=0.05)


async def assert_told_of_all(replicas: Replicas, desk: Desk) -> None:
    """Whoever reads the events alone, in any order, knows of every id what the map says; none was published twice."""
    _, entries = await desk.id_map()
    expected = {
        each: entry.profile_id for entry in entries.values() for each in (entry.profile_id, *entry.redirect_ids)
    }
    told: dict[str, tuple[int, str]] = {}
    seen: set[str] = set()
    read_to = 0

    async def complete() -> bool:
        nonlocal read_to
        async with replicas.installation.broker().api() as api:
            last = (await api.stream_info(STREAM))["state"]["last_seq"]
            for sequence in range(read_to + 1, last + 1):
                stored = await api.get(STREAM, sequence)
                assert stored is not None
                assert stored.headers["ce-id"] not in seen
                seen.add(stored.headers["ce-id"])
                for part in parts_of(stored.subject.split(".")[3], stored.data):
                    for each in (part.profile_id, *part.redirect_ids):
                        if part.version > told.get(each, (0, ""))[0]:
                            told[each] = (part.version, part.profile_id)
            read_to = last
        return {each: stands_for for each, (_, stands_for) in told.items()} == expected

    await eventually(complete, timeout_s=120, interval_s=0.5)


def parts_of(name: str, data: bytes) -> Sequence[events_pb2.ResultingProfile]:
    """The profiles that an event tells of."""
    if name in ("profile_created", "profile_updated"):
        made = events_pb2.ProfileCreated.FromString(data)
        return [events_pb2.ResultingProfile(profile_id=made.profile_id, version=made.version)]
    if name == "profiles_merged":
        return events_pb2.ProfilesMerged.FromString(data).profiles
    return events_pb2.ProfileSplit.FromString(data).profiles
