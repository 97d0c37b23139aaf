"""Keys made ahead are durable, given out once, and not after they have waited too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rapport_identity.adapters.key_pool import FRESH_S, SIZE, KeyPool
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_testing.clock import TestClock


@pytest.fixture
async def pool(key_store: PostgresKeyStore, test_clock: TestClock) -> AsyncIterator[KeyPool]:
    pool = KeyPool(key_store, test_clock)
    yield pool
    await pool.close()


async def test_each_key_is_durable_and_given_out_once(pool: KeyPool, key_store: PostgresKeyStore) -> None:
    taken = [
        key for batch in await asyncio.gather(*(pool.take(count) for count in (1, 300, 2, 500, 1))) for key in batch
    ]
    taken += [(await pool.take(1))[0] for _ in range(2 * SIZE)]
    assert len({key.key_id for key in taken}) == len(taken) == 804 + 2 * SIZE
    assert await key_store.get([key.key_id for key in taken]) == dict(taken)


async def test_few_keys_are_taken_without_asking_the_key_store(pool: KeyPool, made_keys: Any) -> None:
    await pool.take(1)
    made = made_keys.database.execute("SELECT count(*) FROM record_keys")
    for _ in range(SIZE // 4):
        await pool.take(1)
    assert made_keys.database.execute("SELECT count(*) FROM record_keys") == made


async def test_key_that_has_waited_too_long_is_not_given_out(
    pool: KeyPool, made_keys: Any, test_clock: TestClock
) -> None:
    await pool.take(1)
    waiting = {row[0] for row in made_keys.database.execute("SELECT key_id FROM record_keys")}
    test_clock.advance(FRESH_S + 1)
    (taken,) = await pool.take(1)
    assert taken.key_id not in waiting
