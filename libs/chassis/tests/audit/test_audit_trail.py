"""The audit trail shows every change, removal, exchange and cut."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from rapport_chassis.audit import GENESIS, AuditContent, AuditEntry, AuditHead, AuditTrail, chained, link_faults
from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.clock import TestClock

COLUMNS = ("recorded_at", "actor", "caller", "action", "target", "reason", "outcome", "trace_id")
CONTENT = AuditContent(datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "a", "b", "c", "d", "e", "allowed", "f")


async def append(connection: Connection, trail: AuditTrail, target: str, reason: str = "asked by mail") -> AuditHead:
    return await trail.append(
        connection,
        actor="officer-1",
        caller="spiffe://rapport/client/desk",
        action="rapport.consent.v1.PurposeService/UpsertPurpose",
        target=target,
        reason=reason,
        outcome="allowed",
    )


@pytest.fixture
async def heads(service_database: Database) -> list[AuditHead]:
    """A trail of five entries: the head after each."""
    trail = AuditTrail()
    async with service_database.transaction() as connection:
        return [await append(connection, trail, f"target-{number}") for number in range(5)]


@pytest.fixture
def tamper(database_settings: DatabaseSettings) -> psycopg.Connection[tuple[object, ...]]:
    """The owner of the database, who may change everything."""
    assert database_settings.owner_dsn is not None
    return psycopg.connect(database_settings.owner_dsn.get_secret_value(), autocommit=True)


async def faults(database: Database, expected: AuditHead | None = None) -> dict[int, str]:
    async with database.transaction() as connection:
        return {fault.position: fault.what for fault in await AuditTrail().verify(connection, expected)}


def test_the_bytes_that_are_hashed_are_as_documented() -> None:
    fields = [b"1893553445678901", b"a", b"b", b"c", b"d", b"e", b"allowed", b"f"]
    assert CONTENT.canonical() == b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def _fields(names: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


@given(st.tuples(*[st.text(max_size=3)] * 5), st.tuples(*[st.text(max_size=3)] * 5))
def test_different_contents_have_different_bytes(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    names = COLUMNS[1:6]
    first, second = (replace(CONTENT, **_fields(names, values)) for values in (one, other))
    assert (first.canonical() == second.canonical()) == (one == other)


def chain_of(reasons: list[str]) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    previous = GENESIS
    for position, reason in enumerate(reasons, start=1):
        content = replace(CONTENT, reason=reason)
        entries.append(AuditEntry(position, content, previous, chained(previous, position, content)))
        previous = entries[-1].hash
    return entries


def is_whole(entries: list[AuditEntry], head: AuditHead) -> bool:
    position, previous = 0, GENESIS
    for entry in entries:
        if link_faults(entry, position, previous):
            return False
        position, previous = entry.position, entry.hash
    return (position, previous) == (head.position, head.hash)


@given(reasons=st.lists(st.text(max_size=3), min_size=1, max_size=8), data=st.data())
def test_no_change_of_a_chain_keeps_it_whole(reasons: list[str], data: st.DataObject) -> None:
    entries = chain_of(reasons)
    head = AuditHead(entries[-1].position, entries[-1].hash)
    assert is_whole(entries, head)
    index = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[index]
    changed = data.draw(
        st.sampled_from(
            [
                [*entries[:index], *entries[index + 1 :]],
                entries[:index],
                [*entries[: index + 1], entry, *entries[index + 1 :]],
                [*entries[:index], *reversed(entries[index:])],
                chain_of([*reasons[:index], reasons[index] + ".", *reasons[index + 1 :]]),
                [*entries[:index], replace(entry, position=entry.position + 1), *entries[index + 1 :]],
                [
                    *entries[:index],
                    replace(entry, content=replace(entry.content, actor="another")),
                    *entries[index + 1 :],
                ],
            ]
        )
    )
    assert is_whole(changed, head) == (changed == entries)


async def test_entries_say_what_was_said_and_follow_one_another(
    service_database: Database, test_clock: TestClock
) -> None:
    trail = AuditTrail(test_clock)
    tracer = TracerProvider().get_tracer("test")
    async with service_database.transaction() as connection:
        await append(connection, trail, "one", reason="Zürich \N{SNOWMAN}; '\\x00")
        test_clock.advance(1.000001)
        with tracer.start_as_current_span("call") as span:
            head = await append(connection, trail, "two")
    async with service_database.transaction() as connection:
        second, first = await trail.read(connection)
        assert await trail.read(connection, before=2) == [first]
        assert await trail.read(connection, limit=1) == [second]
    assert (first.position, first.previous_hash) == (1, GENESIS)
    assert first.content.reason == "Zürich \N{SNOWMAN}; '\\x00"
    assert second.content.recorded_at == test_clock.now()
    assert second.content.trace_id == f"{span.get_span_context().trace_id:032x}"
    assert second.hash == chained(first.hash, 2, second.content) == head.hash
    assert await faults(service_database, head) == {}


async def test_an_entry_shares_the_fate_of_its_transaction(service_database: Database) -> None:
    async def fail() -> None:
        async with service_database.transaction() as connection:
            await append(connection, AuditTrail(), "undone")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with service_database.transaction() as connection:
        assert (await append(connection, AuditTrail(), "first")).position == 1
    assert await faults(service_database) == {}


async def test_entries_written_at_once_form_one_chain(service_database: Database) -> None:
    async def write(number: int) -> None:
        async with service_database.transaction() as connection:
            await append(connection, AuditTrail(), str(number))
            await append(connection, AuditTrail(), str(number))

    await asyncio.gather(*(write(number) for number in range(20)))
    assert await faults(service_database) == {}
    async with service_database.transaction() as connection:
        entries = await AuditTrail().read(connection)
    assert [entry.position for entry in entries] == list(range(40, 0, -1))


@pytest.mark.parametrize("column", [*COLUMNS, "hash", "previous_hash"])
async def test_a_changed_entry_is_found(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]], column: str
) -> None:
    new = {
        "recorded_at": "recorded_at + interval '1 microsecond'",
        "outcome": "'refused'",
        "hash": "sha256(hash)",
        "previous_hash": "sha256(hash)",
    }.get(column, f"{column} || ' '")
    with tamper:
        tamper.execute(f"UPDATE audit SET {column} = {new} WHERE position = 3".encode())
    assert 3 in await faults(service_database)
    assert len(heads) == 5


@pytest.mark.parametrize("position", [1, 3, 5])
async def test_a_removed_entry_is_found(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]], position: int
) -> None:
    with tamper:
        tamper.execute("DELETE FROM audit WHERE position = %s", [position])
    assert position in await faults(service_database, heads[-1])


async def test_exchanged_entries_are_found(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]]
) -> None:
    with tamper:
        for change in ("-1 WHERE position = 2", "2 WHERE position = 3", "3 WHERE position = -1"):
            tamper.execute(f"UPDATE audit SET position = {change}".encode())
    assert {2, 3} <= (await faults(service_database, heads[-1])).keys()


async def test_a_trail_cut_off_together_with_its_head_is_found_by_a_head_kept_elsewhere(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]]
) -> None:
    with tamper:
        tamper.execute("DELETE FROM audit WHERE position > 3")
        tamper.execute("UPDATE audit_head SET position = 3, hash = %s", [heads[2].hash])
    assert await faults(service_database) == {}
    assert 5 in await faults(service_database, heads[-1])


async def test_a_trail_written_anew_is_found_by_a_head_kept_elsewhere(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]]
) -> None:
    with tamper:
        tamper.execute("DELETE FROM audit")
        tamper.execute("UPDATE audit_head SET position = 0, hash = %s", [GENESIS])
    async with service_database.transaction() as connection:
        for number in range(5):
            await append(connection, AuditTrail(), f"forged-{number}")
    assert await faults(service_database) == {}
    assert await faults(service_database, heads[1]) == {2: "the entry is not the one that was expected"}


async def test_an_entry_beyond_the_head_is_found(
    service_database: Database, heads: list[AuditHead], tamper: psycopg.Connection[tuple[object, ...]]
) -> None:
    with tamper:
        tamper.execute("UPDATE audit_head SET position = 4, hash = %s", [heads[3].hash])
    assert await faults(service_database, heads[3]) == {4: "the trail does not end at its head"}
