"""Whatever is killed, and whenever: what was answered is there, once, as if nothing had been disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from identity_desk import (
    Desk,
    IdentityInstallation,
    declare_population,
    identifier,
    open_desk,
    record,
    request_id,
    start_installation,
)
from identity_office import exact, model, open_office
from rapport.identity.v1 import events_pb2, identity_pb2, record_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.resolution import resolve
from rapport_identity.domain.splink_model import read_model
from rapport_identity.population import Population
from rapport_identity.translate.records import record_of
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy


@dataclass(frozen=True)
class Rig:
    """Servers, a process that comes back at the same address, and all records that it was ever sent."""

    installation: IdentityInstallation
    service: ServiceProcess
    loaded: list[record_pb2.Record] = field(default_factory=list)

    async def restart(self, *failpoints: str) -> None:
        """Kill the service and start it with these failpoints, and no others, armed."""
        await asyncio.to_thread(self.service.kill)
        self.service.arm(*failpoints)
        await asyncio.to_thread(self.service.start)

    async def revive(self) -> None:
        """Wait until a failpoint has killed the service, and start it without any."""
        await asyncio.to_thread(self.service.wait_killed)
        self.service.arm()
        await asyncio.to_thread(self.service.start)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[Rig]:
    """Servers and a service that tests may stop and kill."""
    installation = start_installation(tmp_path_factory.mktemp("rig"), durable=scale.is_full)
    service = installation.process(grpc__port=str(free_port()))
    try:
        service.start()
        declare_population(installation)
        yield Rig(installation, service)
    finally:
        service.kill()
        installation.stop()


def people(count: int, seed: int) -> list[record_pb2.Record]:
    """Records of a made-up population, under keys of their own for each seed."""
    made = []
    for sighting in Population(seed).sightings(count):
        said = sighting.record
        mails = [identifier(events_pb2.IDENTIFIER_KIND_EMAIL, each) for each in said.emails]
        each = record("", *mails, number=f"{seed}/{said.key.source_record_id}", source=said.key.source)
        each.person.names.add(given_names=said.given_name or "", surname=said.surname or "none")
        made.append(each)
    return made


async def insist(desk: Desk, each: record_pb2.Record) -> identity_pb2.ResolvedRecord:
    """Take in a record under one request id, until it is answered."""
    named = request_id()

    async def answered() -> identity_pb2.ResolvedRecord | None:
        try:
            return await desk.resolve(each, named)
        except RemoteError:
            return None

    return await eventually(answered, timeout_s=60)


@pytest.mark.parametrize("failpoint", ["keys.created", "partition.locked", "partition.written"])
async def test_a_service_killed_within_a_write_loses_and_doubles_no_record(
    rig: Rig, scale: Scale, failpoint: str
) -> None:
    seed = 10 + len(failpoint)
    records = people(scale.pick(small=60, full=2_000), seed)
    await rig.restart(f"{failpoint}=kill@{2 if failpoint != 'keys.created' else 1}")
    async with open_desk(rig.installation, deadline_s=30) as desk:
        answers, _ = await asyncio.gather(asyncio.gather(*(insist(desk, each) for each in records)), rig.revive())
        await desk.until_serving("api")
        found: dict[str, set[RecordKey]] = {}
        for each, answer in zip(records, answers, strict=True):
            again = await insist(desk, each)
            assert again.outcome == identity_pb2.RECORD_OUTCOME_UNCHANGED
            assert (await desk.profile(answer.profile_id)).version
            found.setdefault(again.profile_id, set()).add(record_of(each).key)
    rig.loaded.extend(records)
    mine = {record_of(each).key for each in records}
    clusters = resolve([record_of(each) for each in rig.loaded], default_matcher()).partition.clusters
    assert {frozenset(each) for each in found.values()} == {frozenset(mine.intersection(each)) for each in clusters} - {
        frozenset()
    }


async def test_a_service_killed_outright_knows_after_its_restart_what_it_had_answered(rig: Rig) -> None:
    await rig.restart()
    records = people(40, 3)
    rig.loaded.extend(records)
    async with open_desk(rig.installation) as desk:
        await desk.until_serving("api")
        for each in records:
            await desk.resolve(each)
        settled = [(await desk.resolve(each)).profile_id for each in records]
        _, entries = await desk.id_map()
    await rig.restart()
    async with open_desk(rig.installation) as desk:
        await desk.until_serving("api")
        _, again = await desk.id_map()
        repeated = [await desk.resolve(each) for each in records]
    assert again == entries
    assert {each.outcome for each in repeated} == {identity_pb2.RECORD_OUTCOME_UNCHANGED}
    assert [each.profile_id for each in repeated] == settled


async def test_a_matcher_whose_takeover_is_killed_takes_over_the_rest(rig: Rig, scale: Scale) -> None:
    await rig.restart()
    records = people(scale.pick(small=200, full=2_000), 5)
    rig.loaded.extend(records)
    by_surname = model(exact("surname", m=0.99, u=0.0001))
    async with open_desk(rig.installation, deadline_s=30) as desk, open_office(rig.installation) as office:
        await desk.until_serving("api")
        await desk.load(records)
        shipped = await office.until_active("")
        made = await office.import_model(by_surname, [], join=1.0)
        await rig.restart("partition.written=kill@3")  # the activation, 64 records, and in the middle of the next 64
        await desk.until_serving("api")
        named = request_id()

        async def activated() -> bool:
            try:
                return bool(await office.activate(made.matcher_id, named=named))
            except RemoteError:
                return False

        await asyncio.gather(eventually(activated, timeout_s=60), rig.revive())
        await desk.until_serving("api")
        await office.until_active(made.matcher_id)
        found: dict[str, set[RecordKey]] = {}
        for each in records:
            found.setdefault((await insist(desk, each)).profile_id, set()).add(record_of(each).key)
        matcher = replace(read_model(by_surname, {}), join=1.0, fracture=0.0)
        mine = {record_of(each).key for each in records}
        clusters = resolve([record_of(each) for each in rig.loaded], matcher).partition.clusters
        wanted = {frozenset(mine.intersection(each)) for each in clusters} - {frozenset()}
        assert {frozenset(each) for each in found.values()} == wanted
        await office.activate(shipped.matcher_id)
        await office.until_active(shipped.matcher_id)
