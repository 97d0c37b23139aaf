"""Whatever is killed, and whenever: what was answered is there, once, and everybody hears of it."""

from __future__ import annotations

import asyncio

import pytest
from consent_desk import ROLES, Desk, open_desk, profile, verdict
from consent_events import Identity, merge
from consent_load import Load, persist
from consent_reader import make_reader, running_reader
from consent_rig import Rig
from rapport.consent.v1 import consent_pb2
from rapport_privacy.contents import Contents
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.process import RandomKiller
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy


async def assert_told_once(rig: Rig, after: int, head: int) -> None:
    """Every position after one and up to another is on the stream, in one event, as the ledger lists it."""
    published = await rig.log.until(head)
    told = [event.change.position for event in await rig.log.read() if after < event.change.position <= head]
    assert sorted(told) == list(range(after + 1, head + 1))
    async with open_desk(rig.installation) as desk:
        for change in await desk.changes(after):
            if change.position <= head:
                assert published[change.position].change == change


async def test_service_killed_within_a_write_has_written_all_of_it_or_nothing(rig: Rig, scale: Scale) -> None:
    failpoints = ("ledger.locked", "ledger.inserted", "ledger.written")
    for passage in range(1, scale.pick(small=2, full=25)):
        await rig.restart(f"{failpoints[0]}=kill@{passage}")
        async with open_desk(rig.installation) as desk:
            load = Load(desk, writers=4, writes=len(failpoints) * (passage + 20))
            await asyncio.gather(load.run(), rig.killed_at(failpoints[1:], passage))
            await load.assert_each_took_effect_once(desk)


async def test_relay_killed_around_its_note_loses_and_doubles_no_event(rig: Rig, scale: Scale) -> None:
    for passage in range(1, scale.pick(small=2, full=25)):
        await rig.restart(f"relay.published=kill@{passage}")
        async with open_desk(rig.installation) as desk:
            load = Load(desk, writers=4, writes=80)
            await asyncio.gather(load.run(), rig.killed_at(["relay.marked"], passage))
            head = await load.assert_each_took_effect_once(desk)
        await assert_told_once(rig, load.after, head)


async def test_service_killed_between_commit_and_publication_publishes_once_it_is_back(rig: Rig) -> None:
    await rig.running()
    async with open_desk(rig.installation) as desk:
        rig.installation.nats.suspend()
        try:
            load = Load(desk, writers=2, writes=20)
            await load.run()
            await asyncio.to_thread(rig.service.kill)
        finally:
            rig.installation.nats.resume()
        await asyncio.to_thread(rig.service.start)
        await desk.until_serving(*ROLES)
        head = await load.assert_each_took_effect_once(desk)
    await assert_told_once(rig, load.after, head)


async def test_consumer_killed_around_its_effect_follows_each_merge_once(rig: Rig, scale: Scale) -> None:
    failpoints = ("consumer.received", "consumer.effected", "ledger.written")
    for passage in range(1, scale.pick(small=2, full=15)):
        await rig.restart(f"{failpoints[0]}=kill@{passage}")
        merges = [merge(profile(), profile()) for _ in range(len(failpoints) * (passage + 3))]
        await Identity(rig.installation).publish(*merges)
        await rig.killed_at(failpoints[1:], passage)
        for each in merges:
            await rig.log.answer_to(each.id)
        told = [event for event in await rig.log.read() if event.name == "consents_merged"]
        answered = [event.message.identity_event_id for event in told]
        assert all(answered.count(each.id) == 1 for each in merges)


async def test_with_everything_killed_at_random_no_write_is_lost_and_no_effect_doubled(
    rig: Rig, scale: Scale, prove, progress
) -> None:
    writes, kills = scale.pick(small=300, full=10_000), scale.pick(small=5, full=100)
    await rig.running()
    installation = rig.installation
    settings = await asyncio.to_thread(make_reader, installation)
    victims = [rig.service, installation.postgres, installation.nats]
    async with open_desk(installation) as desk, running_reader(installation, settings) as reader:
        await desk.until_serving(*ROLES)
        pause_s = scale.pick(small=0.05, full=0.0)
        load = Load(desk, writers=8, writes=writes, pause_s=pause_s, progress=progress(writes, "writes under kills"))
        killer = RandomKiller(victims, seed=7, between=(0.1, 1.0))  # type: ignore[arg-type]
        with killer:
            await asyncio.gather(load.run(go_on=lambda: killer.is_killing), stop_after(killer, kills))
        await desk.until_serving(*ROLES)
        head = await load.assert_each_took_effect_once(desk)
        await assert_told_once(rig, load.after, head)
        positions = {entry.position for write in load.answered.values() for entry in write.entries}
        effects = [each for each in await reader.until(positions) if each[1] in positions]
        assert sorted(position for _, position in effects) == sorted(positions)
        await assert_snapshot_is_the_fold(desk)
    prove(
        "consent",
        random_kills=killer.kills,
        random_kill_writes=len(load.answered),
        random_kill_lost=0,
        random_kill_doubled=0,
    )


async def stop_after(killer: RandomKiller, kills: int) -> None:
    await eventually(lambda: killer.kills >= kills or not killer.is_killing, timeout_s=3600)
    await asyncio.to_thread(killer.stop)


async def assert_snapshot_is_the_fold(desk: Desk) -> None:
    """What a replica loads is what it would have followed."""
    load, folded = SnapshotLoad(), Contents()
    async for message in desk.shop.StreamSnapshot(consent_pb2.StreamSnapshotRequest()):
        load.take(message)
    load.complete()
    for change in await desk.changes():
        if change.position <= load.position:
            folded.fold(change)
    assert load.contents.subjects == folded.subjects
    assert load.contents.purposes == folded.purposes


async def test_service_suspended_in_mid_step_goes_on_where_it_was(rig: Rig) -> None:
    """Stopped longer than the bound, it permits nothing on what it knew before; then it catches up."""
    await rig.running()
    async with open_desk(rig.installation) as desk:
        await desk.until_serving(*ROLES)
        person = profile()
        write = await desk.answer(person, "yes promo")
        await desk.check(person, "promo", at_least=write.token)
        second = rig.installation.process("second")
        try:
            await asyncio.to_thread(second.start)
            async with open_desk(rig.installation, process="second") as other:
                await other.until_serving("api")
                rig.service.suspend()
                try:
                    withdrawn = await other.withdraw(person, "promo")
                finally:
                    rig.service.resume()
                assert await other.verdict(person, "promo") == "DENY WITHDRAWN"
        finally:
            await asyncio.to_thread(second.terminate)
        decision = await persist(
            desk.shop.CheckConsent,
            consent_pb2.CheckConsentRequest(
                entry=consent_pb2.CheckEntry(profile_id=person, purpose_id="promo"), at_least=withdrawn.token
            ),
        )
        assert verdict(decision) in ("DENY WITHDRAWN", "DENY_STALE TOKEN_UNMET", "DENY_STALE STALE")
        assert verdict(await desk.check(person, "promo", at_least=withdrawn.token)) == "DENY WITHDRAWN"
