"""Hash keys are rotated while records are found, added and revised; a rotation that was cut off goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_identity.adapters import facts, hash_rotation
from rapport_identity.adapters.facts import Answer
from rapport_identity.adapters.hash_rotation import HashRotation, RotateHashes
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.vault import HashKeys, seal_new, seal_revision
from rapport_identity.app.stored import RecordDraft, SourceKey
from rapport_testing.clock import TestClock


@pytest.fixture
def rotation(desk: Any, opened: Database, key_store: PostgresKeyStore, hash_keys: SecretKeys) -> HashRotation:
    return HashRotation(opened, key_store, hash_keys, desk.read)


async def found(store: PartitionStore, drafts: list[RecordDraft]) -> tuple[set[SourceKey], bool, set[int]]:
    """Names that are found, whether all are unchanged, and who holds the terms of any of them."""
    async with store.unit() as unit:
        records = unit.records(await unit.read())
        known, _ = await records.find(drafts)
        holders = await records.holders(sorted({term for draft in drafts for term in draft.terms}))
    unchanged = all(each.unchanged for each in known.values())
    return set(known), unchanged, {number for numbers in holders.values() for number in numbers}


async def test_everything_is_found_at_every_moment_of_a_rotation(
    desk: Any, store: PartitionStore, rotation: HashRotation, hash_keys: SecretKeys, made_identity: Any
) -> None:
    drafts = desk.people(90)
    numbers = await desk.take_in(drafts[:60])
    assert await rotation.begin() == 2
    numbers |= await desk.take_in(drafts[60:80])
    holders = {numbers[draft.key] for draft in drafts[:80] if draft.terms}

    async def all_found() -> bool:
        return await found(store, drafts) == ({draft.key for draft in drafts[:80]}, True, holders)

    assert await all_found()
    after = 0
    while (after := await rotation.rehash(after, 25) or 0) > 0:
        assert await all_found()
        left = made_identity.database.execute("SELECT FROM records WHERE hash_version = 1")
        assert await rotation.finish() == (not left)
    assert await rotation.finish()
    assert await all_found()
    assert list(hash_keys.current().keys) == [2]
    assert made_identity.database.execute("SELECT DISTINCT hash_version FROM records") == [(2,)]
    numbers |= await desk.take_in(drafts[80:])
    assert (await found(store, drafts))[0] == set(numbers)


async def test_no_hash_of_the_old_key_is_left(desk: Any, rotation: HashRotation, made_identity: Any) -> None:
    def hashes() -> set[bytes]:
        rows = made_identity.database.execute(
            "SELECT source_key FROM records UNION SELECT digest FROM records UNION SELECT hash FROM identifiers"
        )
        return {row[0] for row in rows}

    await desk.take_in(desk.people(30))
    before = hashes()
    await rotation.begin()
    while await rotation.rehash():
        pass
    await rotation.finish()
    assert len(hashes()) == len(before)
    assert not hashes() & before


async def test_rotation_that_was_cut_off_anywhere_is_gone_on_with(
    desk: Any, store: PartitionStore, rotation: HashRotation, hash_keys: SecretKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = desk.people(30)
    await desk.take_in(drafts)
    assert await rotation.begin() == await rotation.begin() == 2
    await rotation.rehash(0, 10)

    def cut(_: str) -> None:
        raise RuntimeError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(hash_rotation, "failpoint", cut)
        with pytest.raises(RuntimeError):
            await rotation.rehash(0, 100)
        with pytest.raises(RuntimeError):
            await rotation.finish()
    assert (await found(store, drafts))[:2] == ({draft.key for draft in drafts}, True)
    assert await rotation.begin() == 2
    assert await rotation.rehash() is None
    assert await rotation.finish()
    assert list(hash_keys.current().keys) == [2]
    assert await rotation.begin() == 3


async def test_record_sealed_before_a_rotation_ended_is_refused_and_not_lost_from_sight(
    desk: Any, store: PartitionStore, rotation: HashRotation, key_store: PostgresKeyStore
) -> None:
    draft, *others = desk.people(5)
    await desk.take_in(others)
    (sealed,) = seal_new([draft], await key_store.create(1), await store.hasher())

    async def add(number: int) -> None:
        async with store.unit() as unit:
            held = await unit.hold()
            await unit.records(held).add(held, [(number, "prf_1", sealed)])

    await rotation.begin()
    await add(1000)  # still found under both
    await desk.erase([1000])
    while await rotation.rehash():
        pass
    assert await rotation.finish()
    with pytest.raises(RapportError, match="NOT_READY"):
        await add(1001)


async def test_revision_takes_a_record_to_the_new_key(
    desk: Any, store: PartitionStore, rotation: HashRotation, key_store: PostgresKeyStore
) -> None:
    (draft,) = desk.people(1)
    await desk.take_in([draft])
    await rotation.begin()
    changed = replace(draft, payload=draft.payload + b"\x2a\x00")
    async with store.unit() as unit:
        at = await unit.lock()
        records = unit.records(at)
        known = (await records.find([changed]))[0][draft.key]
        sealed = seal_revision(changed, known, await key_store.get([known.key_id]), unit.hasher(at))
        held = await unit.hold()
        await records.revise(held, [(known.record_no, sealed)])
    assert await rotation.rehash() is None
    assert await rotation.finish()
    assert (await found(store, [changed]))[:2] == ({draft.key}, True)


async def test_old_key_stays_while_an_event_is_remembered_under_it(
    store: PartitionStore, rotation: HashRotation, hash_keys: SecretKeys
) -> None:
    event = SourceKey("shop", "order 1")
    async with store.unit() as unit:
        held = await unit.hold()
        await facts.remember(unit.connection, held.recorded_at, unit.hasher(held), [(event, Answer(None, b"yes"))])
    await rotation.begin()
    assert not await rotation.finish()
    async with store.unit() as unit:
        assert list(await facts.answered(unit.connection, unit.hasher(await unit.read()), [event])) == [event]
        assert await facts.sweep(unit.connection, held.recorded_at + timedelta(days=1)) == 1
    assert await rotation.finish()
    assert list(hash_keys.current().keys) == [2]


async def test_process_without_a_key_in_use_is_not_ready_rather_than_blind(
    desk: Any, opened: Database, rotation: HashRotation, tmp_path: Path
) -> None:
    await desk.take_in(desk.people(1))
    (tmp_path / "stale").mkdir()
    stale = PartitionStore(opened, HashKeys(SecretKeys.load(tmp_path / "stale")))

    async def look() -> None:
        async with stale.unit() as unit:
            unit.records(await unit.lock())

    await look()
    await rotation.begin()
    with pytest.raises(RapportError, match="NOT_READY"):
        await look()


async def steps(rotating: RotateHashes) -> int:
    """Do what there is to do, and return in how many steps that were worth their while."""
    count = 0
    while await rotating.step():
        count += 1
    return count


async def test_old_key_is_rotated_by_itself_once_and_not_again_before_the_new_one_is_old(
    desk: Any, rotation: HashRotation, hash_keys: SecretKeys, test_clock: TestClock
) -> None:
    await desk.take_in(desk.people(120))
    rotating = RotateHashes(rotation, timedelta(days=30), test_clock)
    test_clock.set(datetime.now(UTC) + timedelta(days=29))
    assert await steps(rotating) == 0
    test_clock.set(datetime.now(UTC) + timedelta(days=31))
    assert await steps(rotating) == 4  # one to begin, three of fifty records each
    assert list(hash_keys.current().keys) == [2]
    test_clock.set(datetime.now(UTC) + timedelta(days=29))
    assert await steps(rotating) == 0
    assert list(hash_keys.current().keys) == [2]


async def test_key_that_an_operator_brings_is_taken_up_and_a_key_left_by_a_kill_is_destroyed(
    desk: Any, rotation: HashRotation, hash_keys: SecretKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.take_in(desk.people(10))
    rotating = RotateHashes(rotation, timedelta(days=365), SystemClock())
    assert await steps(rotating) == 0
    hash_keys.add(activate=True)

    def cut(name: str) -> None:
        if name == "hashes.finished":
            raise RuntimeError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(hash_rotation, "failpoint", cut)
        with pytest.raises(RuntimeError):
            await steps(rotating)
    assert list(hash_keys.current().keys) == [2, 1]
    assert await steps(rotating) == 0
    assert list(hash_keys.current().keys) == [2]


async def test_folder_that_nobody_may_write_leaves_everything_as_it_is(
    desk: Any, store: PartitionStore, rotation: HashRotation, tmp_path: Path, test_clock: TestClock
) -> None:
    drafts = desk.people(5)
    await desk.take_in(drafts)
    (tmp_path / "hashes" / ".lock").unlink()
    (tmp_path / "hashes" / ".lock").mkdir()
    assert await steps(RotateHashes(rotation, timedelta(days=1), test_clock)) == 0
    assert (await found(store, drafts))[:2] == ({draft.key for draft in drafts}, True)


async def test_record_that_somebody_else_holds_is_left_for_later(
    desk: Any, opened: Database, rotation: HashRotation, made_identity: Any
) -> None:
    await desk.take_in(desk.people(3))
    await rotation.begin()
    async with opened.transaction() as connection:
        await connection.execute("SELECT FROM records WHERE record_no = 2 FOR UPDATE")
        assert await rotation.rehash() == 3
        assert await rotation.rehash() is None
        assert not await rotation.finish()
    assert await rotation.rehash() == 2
    assert await rotation.finish()
