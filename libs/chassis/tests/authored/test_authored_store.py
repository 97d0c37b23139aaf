"""Versions never change, follow one another in time, and stop when the thing is retired."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from rapport_chassis.authored import AuthoredStore, Version
from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.errors import RapportError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
store = AuthoredStore("purpose")


async def draft(connection: Connection, body: bytes, thing: str = "news") -> Version:
    return await store.draft(connection, thing, body, actor="author", now=NOW)


async def activate(connection: Connection, version: int, *, after: timedelta = timedelta(0)) -> Version:
    return await store.activate(
        connection, "news", version, actor="officer", reason="approved", now=NOW, active_from=NOW + after
    )


async def body_at(connection: Connection, after: timedelta) -> bytes | None:
    version = await store.active_at(connection, "news", NOW + after)
    return version.body if version else None


async def test_a_draft_has_no_effect_until_it_is_activated(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        drafted = await draft(connection, b"one")
        assert (drafted.version, drafted.state, drafted.created_by) == (1, "draft", "author")
        assert await body_at(connection, DAY) is None
        active = await activate(connection, 1, after=DAY)
        assert (active.decided_by, active.reason, active.active_from) == ("officer", "approved", NOW + DAY)
        assert await store.get(connection, "news", 1) == active
        assert await body_at(connection, DAY - timedelta(microseconds=1)) is None
        assert await body_at(connection, DAY) == b"one"


async def test_the_latest_activation_up_to_a_time_is_in_force(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        for body in (b"one", b"two", b"three"):
            await draft(connection, body)
        await activate(connection, 1)
        await activate(connection, 3, after=10 * DAY)
        await activate(connection, 2, after=5 * DAY)
        in_force = [await body_at(connection, days * DAY) for days in (0, 4, 5, 9, 10, 999)]
    assert in_force == [b"one", b"one", b"two", b"two", b"three", b"three"]


async def test_retiring_stops_what_is_active_and_what_is_scheduled(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        for body in (b"one", b"two", b"three"):
            await draft(connection, body)
        await activate(connection, 1)
        await activate(connection, 2, after=9 * DAY)
        retired = await store.retire(connection, "news", actor="officer", reason="wound up", now=NOW + 3 * DAY)
        assert [(each.version, each.retire_reason) for each in retired] == [(1, "wound up"), (2, "wound up")]
        assert [await body_at(connection, days * DAY) for days in (2, 3, 9)] == [b"one", None, None]
        await store.activate(connection, "news", 3, actor="officer", reason="back", now=NOW + 5 * DAY)
        assert [await body_at(connection, days * DAY) for days in (2, 4, 5, 9)] == [b"one", None, b"three", b"three"]


async def test_drafts_at_once_get_numbers_of_their_own(service_database: Database) -> None:
    async def write(number: int) -> Version:
        async with service_database.transaction() as connection:
            return await draft(connection, str(number).encode())

    versions = await asyncio.gather(*(write(number) for number in range(20)))
    assert sorted(version.version for version in versions) == list(range(1, 21))


async def test_of_two_activations_of_one_draft_the_second_is_refused(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        await draft(connection, b"one")

    async def attempt() -> str:
        try:
            async with service_database.transaction() as connection:
                await activate(connection, 1)
        except RapportError as error:
            return error.reason.name
        return "activated"

    assert sorted(await asyncio.gather(attempt(), attempt())) == ["VERSION_STATE_INVALID", "activated"]


@pytest.mark.parametrize(
    ("version", "after", "reason", "refusal"),
    [
        (2, DAY, "approved", "VERSION_NOT_FOUND"),
        (1, -DAY, "approved", "INVALID_REQUEST"),
        (1, DAY, "", "INVALID_REQUEST"),
    ],
)
async def test_a_decision_needs_a_version_a_time_to_come_and_a_reason(
    service_database: Database, version: int, after: timedelta, reason: str, refusal: str
) -> None:
    async with service_database.transaction() as connection:
        await draft(connection, b"one")
        with pytest.raises(RapportError) as caught:
            await store.activate(
                connection, "news", version, actor="officer", reason=reason, now=NOW, active_from=NOW + after
            )
    assert caught.value.reason.name == refusal


async def test_only_what_is_active_can_be_retired(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        refusals = []
        for _ in range(2):
            with pytest.raises(RapportError) as caught:
                await store.retire(connection, "news", actor="officer", reason="wound up", now=NOW)
            refusals.append(caught.value.reason.name)
            await draft(connection, b"one")
        with pytest.raises(RapportError) as caught:
            await store.retire(connection, "news", actor="officer", reason="", now=NOW)
    assert [*refusals, caught.value.reason.name] == ["VERSION_NOT_FOUND", "VERSION_STATE_INVALID", "INVALID_REQUEST"]


async def test_versions_are_listed_page_by_page_and_by_state(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        for thing in ("news", "ads"):
            for body in (b"one", b"two"):
                await draft(connection, body, thing)
        await activate(connection, 2)
        listed: list[tuple[str, int]] = []
        while page := await store.list(connection, after=listed[-1] if listed else ("", 0), limit=3):
            listed += [(version.id, version.version) for version in page]
        assert listed == [("ads", 1), ("ads", 2), ("news", 1), ("news", 2)]
        assert [each.version for each in await store.list(connection, thing_id="news", state="draft")] == [1]
        assert await AuthoredStore("notice").list(connection) == []
