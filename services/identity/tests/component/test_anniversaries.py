"""Whose day has come, over the wire: told once, by permission, also where processes are killed while they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from identity_desk import EMAIL, Desk, IdentityInstallation, identifier, open_desk, record, start_installation
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.jetstream import StoredMessage
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually

OFFERS = "offers.personal"
STREAM = "RAPPORT_IDENTITY"


@dataclass(frozen=True)
class Rig:
    """Servers, two processes that look whose day has come, one that publishes, and all that was read of it so far."""

    installation: IdentityInstallation
    one: ServiceProcess
    other: ServiceProcess
    stored: list[StoredMessage] = field(default_factory=list)

    async def told(self) -> list[events_pb2.AnniversaryDue]:
        """Read what a consumer gets, each message held against its contract."""
        async with self.installation.broker().api() as api:
            last = (await api.stream_info(STREAM))["state"]["last_seq"]
            for sequence in range(len(self.stored) + 1, last + 1):
                stored = await api.get(STREAM, sequence)
                assert stored is not None
                self.stored.append(stored)
        messages = [
            Received.of(each.subject, each.headers, each.data, stream=STREAM, sequence=each.sequence)
            for each in self.stored
            if ".anniversary_due." in each.subject
        ]
        assert len({each.id for each in messages}) == len(messages)
        parsed = [each.parse(events_pb2.AnniversaryDue) for each in messages]
        return [each for each in parsed if each.kind == events_pb2.ANNIVERSARY_KIND_BIRTHDAY]

    async def ids_told(self) -> list[str]:
        """Return the profiles whose birthday was told."""
        return [each.profile_id for each in await self.told()]

    async def whole_look(self, desk: Desk) -> str:
        """Wait until whoever is due has been told of: somebody who comes now is, and everybody before."""
        last = await congratulable(self, desk)
        await eventually(lambda: self._has(last), timeout_s=30, interval_s=0.1)
        return last

    async def _has(self, profile_id: str) -> bool:
        return profile_id in await self.ids_told()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    installation = start_installation(tmp_path_factory.mktemp("anniversaries"))
    one, other = (
        installation.process(name, only="api", grpc__port=str(free_port()), anniversaries__look_every_s="0.2")
        for name in ("one", "other")
    )
    relay = installation.process("relay", only="relay")
    try:
        for each in (one, other, relay):
            each.start()
        yield Rig(installation, one, other)
    finally:
        for each in (one, other, relay):
            each.kill()
        installation.stop()


def born_today(**fields: str) -> record_pb2.Record:
    """A record of somebody whose birthday it is, in a zone where it is about noon."""
    now = datetime.now(UTC)
    zone = f"Etc/GMT{now.hour - 12:+}"  # in these names the sign says how far west a zone is
    made = record("", identifier(EMAIL, f"m{uuid4().hex[:12]}@posteo.net"), time_zone=zone, **fields)
    born = made.person.birth_date
    born.year, born.month, born.day = 1976, now.month, now.day
    return made


async def congratulable(rig: Rig, desk: Desk) -> str:
    """Take in somebody whose birthday it is and who may be congratulated."""
    made = await desk.resolve(born_today())
    rig.installation.ledger.grant(made.profile_id, OFFERS)
    return made.profile_id


async def test_a_consumer_is_told_once_of_each_who_may_be_congratulated(rig: Rig) -> None:
    async with open_desk(rig.installation, process="one") as desk:
        await desk.until_serving("api")
        before = await rig.ids_told()
        undecided = (await desk.resolve(born_today())).profile_id
        refusing = (await desk.resolve(born_today())).profile_id
        rig.installation.ledger.refuse(refusing, OFFERS)
        granting = [await congratulable(rig, desk) for _ in range(3)]
        last = await rig.whole_look(desk)
        assert sorted(await rig.ids_told()) == sorted([*before, *granting, last])
        rig.installation.ledger.grant(undecided, OFFERS)
        further = await rig.whole_look(desk)
        last_of_all = await rig.whole_look(desk)
        assert sorted(await rig.ids_told()) == sorted([*before, *granting, last, undecided, further, last_of_all])
    for each in await rig.told():
        assert each.version == datetime.now(UTC).year
        assert each.expires_at.seconds - each.recorded_at.seconds == 86_400


async def test_a_process_killed_while_it_tells_repeats_nothing_and_leaves_nobody_out(rig: Rig) -> None:
    async with open_desk(rig.installation, process="one") as desk:
        await desk.until_serving("api")
        people = [(await desk.resolve(born_today())).profile_id for _ in range(12)]
        await asyncio.to_thread(rig.other.kill)
        before = await rig.ids_told()
    await restart(rig, "anniversaries.written=kill")
    rig.installation.ledger.grant(people[0], OFFERS)
    await asyncio.to_thread(rig.one.wait_killed)
    assert await rig.ids_told() == before
    await restart(rig, "anniversaries.told=kill")
    for each in people[1:]:
        rig.installation.ledger.grant(each, OFFERS)
    await asyncio.to_thread(rig.one.wait_killed)
    await restart(rig)
    await asyncio.to_thread(rig.other.start)
    async with open_desk(rig.installation, process="other") as desk:
        await desk.until_serving("api")
        last = [await rig.whole_look(desk), await rig.whole_look(desk)]
    await eventually(lambda: all_told(rig, [*before, *people, *last]), timeout_s=30, interval_s=0.1)


async def restart(rig: Rig, *failpoints: str) -> None:
    """Kill the one process and start it with these failpoints armed."""
    await asyncio.to_thread(rig.one.kill)
    rig.one.arm(*failpoints)
    await asyncio.to_thread(rig.one.start)


async def all_told(rig: Rig, expected: Sequence[str]) -> bool:
    """Whether exactly these were told of, each once."""
    return sorted(await rig.ids_told()) == sorted(expected)
