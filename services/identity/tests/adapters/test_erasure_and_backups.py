"""What was erased cannot be read again from any backup, and what was not erased can."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from rapport_chassis.database.engine import Database
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import RecordLoader
from rapport_testing.postgres_binaries import binary


async def readable_payloads(database: Database, keys: PostgresKeyStore) -> set[bytes]:
    return {each.payload async for chunk in RecordLoader(database, keys).everything() for each in chunk if each.payload}


def dump(made: Any, path: Path) -> None:
    program = [binary("pg_dump"), "--format=custom", "--file", path, made.database.dsn()]
    subprocess.run(program, check=True, capture_output=True)


def restore(made: Any, path: Path) -> None:
    subprocess.run([binary("pg_restore"), "--dbname", made.database.dsn(), path], check=True, capture_output=True)


async def test_dump_from_before_an_erasure_with_the_keys_of_today_reads_none_of_what_was_erased(
    desk: Any, made_identity: Any, empty_identity: Any, opened: Database, key_store: PostgresKeyStore, tmp_path: Path
) -> None:
    drafts = desk.people(200)
    numbers = await desk.take_in(drafts)
    dump(made_identity, tmp_path / "identity.dump")
    erased = drafts[::3]
    assert await desk.erase([numbers[draft.key] for draft in erased]) == len(erased)
    kept = {draft.payload for draft in drafts} - {draft.payload for draft in erased}
    assert await readable_payloads(opened, key_store) == kept

    restore(empty_identity, tmp_path / "identity.dump")
    assert empty_identity.database.execute("SELECT count(value) FROM records") == [(200,)]
    restored = Database(empty_identity.settings, service="identity")
    await restored.open()
    try:
        assert await readable_payloads(restored, key_store) == kept
    finally:
        await restored.close()


async def test_erased_record_leaves_nothing_it_said_and_its_name_may_come_again(
    desk: Any, made_identity: Any, opened: Database, key_store: PostgresKeyStore
) -> None:
    drafts = [draft for draft in desk.people(50) if draft.terms][:5]
    numbers = await desk.take_in(drafts)
    gone = numbers[drafts[0].key]
    assert await desk.erase([gone]) == 1
    assert await desk.erase([gone]) == 0
    row = "SELECT source_key, key_id, value, digest, occurred_at, erased FROM records WHERE record_no ="
    assert made_identity.database.execute(f"{row} {gone}") == [(None, None, None, None, None, True)]
    assert made_identity.database.execute(f"SELECT FROM identifiers WHERE record_no = {gone}") == []
    again = await desk.take_in(drafts[:1])
    assert again[drafts[0].key] not in numbers.values()
    assert await readable_payloads(opened, key_store) == {draft.payload for draft in drafts}
