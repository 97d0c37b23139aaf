"""Keys are durable before they are used, gone once destroyed, and no older backup opens after a rotation."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_identity.adapters import key_store as module
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.secret_keys import SecretKeys


async def test_keys_are_read_back_as_they_were_created(key_store: PostgresKeyStore) -> None:
    keys = await key_store.create(50)
    assert await key_store.get([key.key_id for key in keys]) == dict(keys)
    assert len({key.secret for key in keys}) == len({key.key_id for key in keys}) == 50
    assert {(len(key.key_id), len(key.secret)) for key in keys} == {(16, 32)}


async def test_keys_lie_wrapped_in_the_database(key_store: PostgresKeyStore, made_keys: Any) -> None:
    keys = await key_store.create(20)
    stored = made_keys.database.execute("SELECT key_id, wrapped FROM record_keys")
    everything = b"".join(key_id + wrapped for key_id, wrapped in stored)
    assert len(stored) == 20
    assert not [key for key in keys if key.secret in everything]


async def test_destroyed_key_is_absent_for_ever_and_others_stay(key_store: PostgresKeyStore) -> None:
    gone, stays = await key_store.create(2)
    assert await key_store.destroy([gone.key_id]) == 1
    assert await key_store.destroy([gone.key_id, os.urandom(16)]) == 0
    assert await key_store.get([gone.key_id, stays.key_id]) == {stays.key_id: stays.secret}


async def test_key_that_cannot_be_unwrapped_is_not_taken_for_destroyed(
    key_store: PostgresKeyStore, keys_database: Database, tmp_path: Any
) -> None:
    (key,) = await key_store.create(1)
    (tmp_path / "others").mkdir()
    elsewhere = PostgresKeyStore(keys_database, SecretKeys.load(tmp_path / "others"))
    with pytest.raises(RapportError, match="NOT_READY"):
        await elsewhere.get([key.key_id])


async def test_rotation_keeps_every_key_and_leaves_one_epoch(
    key_store: PostgresKeyStore, epoch_keys: SecretKeys, made_keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REWRAP_BATCH", 7)
    keys = await key_store.create(30)
    assert await key_store.rotate_epoch() == 30
    assert await key_store.get([key.key_id for key in keys]) == dict(keys)
    assert made_keys.database.execute("SELECT DISTINCT epoch FROM record_keys") == [(2,)]
    assert made_keys.database.execute("SELECT epoch FROM epochs") == [(2,)]
    assert list(epoch_keys.current().keys) == [2]
    assert await key_store.rotate_epoch() == 30
    assert list(epoch_keys.current().keys) == [3]


async def test_rotation_that_was_cut_off_is_gone_on_with(
    key_store: PostgresKeyStore, epoch_keys: SecretKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REWRAP_BATCH", 7)
    keys = await key_store.create(30)
    for point, passage in (("keys.rewrapped", 2), ("keys.epoch_ended", 1)):
        passages: list[str] = []

        def cut(name: str, point: str = point, passage: int = passage, seen: list[str] = passages) -> None:
            seen += [name] if name == point else []
            if len(seen) == passage:
                raise RuntimeError("cut off")

        monkeypatch.setattr(module, "failpoint", cut)
        with pytest.raises(RuntimeError, match="cut off"):
            await key_store.rotate_epoch()
        assert await key_store.get([key.key_id for key in keys]) == dict(keys)
        assert list(epoch_keys.current().keys) == [2, 1]
    monkeypatch.setattr(module, "failpoint", lambda _: None)
    await key_store.rotate_epoch()
    assert list(epoch_keys.current().keys) == [2]
    assert await key_store.get([key.key_id for key in keys]) == dict(keys)


async def test_keys_are_created_read_and_destroyed_while_two_rotate(
    key_store: PostgresKeyStore, keys_database: Database, epoch_keys: SecretKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REWRAP_BATCH", 10)
    other = PostgresKeyStore(keys_database, epoch_keys)
    kept = dict(await key_store.create(200))
    doomed = [key.key_id for key in await key_store.create(50)]
    rotations = [asyncio.create_task(each.rotate_epoch()) for each in (key_store, other)]

    async def work() -> None:
        while not all(each.done() for each in rotations):
            kept.update(await other.create(5))
            if doomed:
                await key_store.destroy([doomed.pop()])
            assert await key_store.get(list(kept)) == kept

    await asyncio.gather(work(), *rotations)
    assert await key_store.get(list(kept)) == kept
    assert len(epoch_keys.current().keys) == 1


async def test_backup_older_than_a_rotation_opens_nothing(
    key_store: PostgresKeyStore, epoch_keys: SecretKeys, made_keys: Any
) -> None:
    keys = await key_store.create(10)
    backup = made_keys.database.execute("SELECT key_id, wrapped FROM record_keys")
    await key_store.destroy([key.key_id for key in keys])
    await key_store.rotate_epoch()
    made_keys.database.execute("ALTER TABLE record_keys DISABLE TRIGGER ALL")
    for key_id, wrapped in backup:
        made_keys.database.execute(
            f"INSERT INTO record_keys VALUES ('\\x{key_id.hex()}', '\\x{wrapped.hex()}', 1, now())"
        )
    assert list(epoch_keys.current().keys) == [2]
    for key in keys:
        with pytest.raises(RapportError, match="NOT_READY"):
            await key_store.get([key.key_id])
    made_keys.database.execute("UPDATE record_keys SET epoch = 2")
    for key in keys:
        with pytest.raises(RapportError, match="NOT_READY"):
            await key_store.get([key.key_id])


async def test_process_that_missed_a_rotation_creates_no_key_under_the_destroyed_one(
    key_store: PostgresKeyStore, keys_database: Database, tmp_path: Any
) -> None:
    await key_store.create(1)
    (tmp_path / "stale").mkdir()
    stale = PostgresKeyStore(keys_database, SecretKeys.load(tmp_path / "stale"))
    await key_store.rotate_epoch()
    with pytest.raises(RapportError, match="NOT_READY"):
        await stale.create(1)


async def test_created_keys_are_listed_by_time_in_pages(key_store: PostgresKeyStore) -> None:
    keys = sorted(key.key_id for key in await key_store.create(25))
    now, day = datetime.now(UTC), timedelta(days=1)
    first = await key_store.created_between(now - day, now + day, b"", 20)
    assert first + await key_store.created_between(now - day, now + day, first[-1], 20) == keys
    assert await key_store.created_between(now - 2 * day, now - day, b"", 20) == []


async def test_lasting_key_is_made_once_outlives_rotations_and_is_no_orphan(
    key_store: PostgresKeyStore, keys_database: Database, epoch_keys: SecretKeys
) -> None:
    name = b"a lasting key..."
    other = PostgresKeyStore(keys_database, epoch_keys)
    first, second = await asyncio.gather(key_store.lasting(name), other.lasting(name))
    assert first == second
    await key_store.rotate_epoch()
    assert await key_store.lasting(name) == first
    past, future = datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
    assert await key_store.created_between(past, future, b"", 10) == []
