"""A service does what privacy requests ask once, whatever fails on the way, and its answers are its own."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport_chassis import failpoints
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.pool import Connection
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.errors import RapportError
from rapport_chassis.events import topology
from rapport_chassis.events.envelope import Event, Received, event_of
from rapport_chassis.events.eraser import Eraser
from rapport_chassis.events.relay import Relay
from rapport_chassis.failpoints import FailpointError
from rapport_chassis.ids import new_id
from rapport_chassis.settings import DatabaseSettings, NatsSettings
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.participant import living
from rapport_privacy.participant.answers import is_genuine
from rapport_privacy.participant.export import parts
from rapport_privacy.participant.export import rows as exported_rows
from rapport_privacy.participant.holding import (
    Answer,
    Exported,
    Holding,
    Kept,
    Origin,
    Store,
    StoreCount,
    Subject,
    TaskKind,
)
from rapport_privacy.participant.ledger import Known
from rapport_privacy.participant.participant import Participant
from rapport_privacy.participant.replaying import MARK, AfterRestore
from rapport_privacy.participant.retention import Retention
from rapport_testing.clock import TestClock
from rapport_testing.events import Broker, append, count, granted, rows
from rapport_testing.nats import NatsServer
from rapport_testing.waiting import eventually

MIGRATIONS = Path(__file__).with_name("migrations")
PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")
SERVICE = "consent"
STREAM = "RAPPORT_CONSENT"
EPOCH = "epoch-1"
KNOWN = 7
UNTIL = datetime(2031, 1, 1, tzinfo=UTC)


class Notes(Holding):
    """What the sample service holds; notes that are needed until a time are kept."""

    stores = (Store("notes", "user.content", Origin.PROVIDED, kept_for=timedelta(days=30)),)

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield the notes."""
        query = "SELECT note_id, needed_until FROM notes WHERE profile_id = ANY (%s) ORDER BY note_id"
        async for row in exported_rows(connection, query, [subject.ids]):
            yield Exported("notes", str(row["note_id"]), row)

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Count the notes."""
        cursor = await connection.execute("SELECT FROM notes WHERE profile_id = ANY (%s)", [subject.ids])
        return Answer((StoreCount("notes", cursor.rowcount),))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete the notes that nobody needs."""
        found = (await self.count(connection, subject)).stores[0].found
        held = subject.held_in("notes")
        gone = await connection.execute(
            "DELETE FROM notes WHERE profile_id = ANY (%s) AND needed_until IS NULL AND NOT %s"
            " AND note_id::text <> ALL (%s)",
            [subject.ids, held.everything, list(held.record_ids)],
        )
        needed = await connection.execute(
            "SELECT FROM notes WHERE profile_id = ANY (%s) AND needed_until IS NOT NULL", [subject.ids]
        )
        kept = [
            Kept("notes", needed.rowcount, "LEGAL_CLAIM", UNTIL),
            Kept("notes", found - gone.rowcount - needed.rowcount, held.ground, held.until),
        ]
        return Answer((StoreCount("notes", found, gone.rowcount),), tuple(each for each in kept if each.count))

    async def freeze(self, connection: Connection, subject: Subject) -> Answer:
        """Mark the notes; the sample knows every id of a person."""
        return Answer((await self._set(connection, subject, frozen=True)).stores, closure_ids=subject.profile_ids)

    async def release(self, connection: Connection, subject: Subject) -> Answer:
        """Unmark the notes."""
        return await self._set(connection, subject, frozen=False)

    async def expire(self, connection: Connection, store: Store, before: datetime, limit: int) -> int:
        """Delete old notes, but for those of who is frozen."""
        still = living.STILL.format(profile_id="notes.profile_id")
        query = f"""DELETE FROM notes WHERE note_id IN (
            SELECT note_id FROM notes WHERE written_at < %s AND NOT ({still}) LIMIT %s)"""
        return (await connection.execute(query.encode(), (before, limit))).rowcount

    async def _set(self, connection: Connection, subject: Subject, *, frozen: bool) -> Answer:
        cursor = await connection.execute(
            "UPDATE notes SET frozen = %s WHERE profile_id = ANY (%s)", [frozen, subject.ids]
        )
        return Answer((StoreCount("notes", cursor.rowcount, cursor.rowcount),))


def _build_template(made: Any) -> None:
    create_service_database(made.access.dsn(), "sample", PASSWORDS, database=made.name)
    upgrade(_settings(made), MIGRATIONS)


def _settings(made: Any) -> DatabaseSettings:
    return DatabaseSettings(
        dsn=SecretStr(made.dsn("rapport_sample", PASSWORDS.runtime)),
        owner_dsn=SecretStr(made.dsn("rapport_sample_owner", PASSWORDS.owner)),
    )


@pytest.fixture
def made(database: Callable[..., Any]) -> Any:
    """The database of the sample service, as the superuser sees it."""
    made = database(_build_template)
    create_service_database(made.access.dsn(), "sample", PASSWORDS, database=made.name)
    return made


@pytest.fixture
async def store(made: Any) -> AsyncIterator[Database]:
    """The database of the sample service."""
    opened = Database(_settings(made), service="sample")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with everything that is declared."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    made = Broker(server, NatsSettings(url=server.url), topology.load(topology.DECLARED, max_bytes=2**28))
    asyncio.run(made.provision())
    yield made
    server.stop()


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    """What the service signs with."""
    (tmp_path / "signing").mkdir()
    return SigningKeys.load(tmp_path / "signing")


async def known() -> Known:
    """How far the sample service knows the ledger; it is behind."""
    return Known(EPOCH, KNOWN, fresh=False)


@pytest.fixture
def participant(store: Database, broker: Broker, keys: SigningKeys, test_clock: TestClock) -> Participant:
    """The participant of the sample service, which publishes to the stream of consent."""
    return Participant(
        SERVICE,
        database=store,
        holding=Notes(),
        eraser=Eraser(SERVICE, database=store, nats=broker.settings),
        keys=keys,
        ledger=known,
        clock=test_clock,
    )


@pytest.fixture
async def relay(store: Database, broker: Broker) -> AsyncIterator[None]:
    """Publishes what is in the outbox."""
    running = Relay(SERVICE, database=store, nats=broker.settings, telemetry=Telemetry.off())
    await running.start()
    yield
    await running.stop()


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def asked(
    kind: TaskKind,
    *profile_ids: str,
    participants: tuple[str, ...] = (SERVICE, "other"),
    position: int = KNOWN,
    epoch: str = EPOCH,
    hold: privacy_pb2.LegalHold | None = None,
) -> Event:
    message = events_pb2.PrivacyTaskRequested(
        request_id=new_id("privacy_request"),
        task_id=new_id("task"),
        kind=privacy_pb2.PrivacyTaskKind.ValueType(kind),
        profile_ids=profile_ids,
        participants=participants,
        position=position,
        epoch=epoch,
        hold=hold,
    )
    return event_of(message, source="consent", occurred_at=UNTIL)


async def take(participant: Participant, store: Database, *events: Event) -> None:
    for at, event in enumerate(events):
        received = Received.of(event.subject, event.headers(), event.payload(), stream=STREAM, sequence=at + 1)
        async with store.transaction() as connection:
            await participant.handle(received, connection)


async def write(store: Database, *profile_ids: str, needed: bool = False) -> None:
    for each in profile_ids:
        values = [each, UNTIL if needed else None]
        await rows(store, "INSERT INTO notes (profile_id, needed_until) VALUES (%s, %s) RETURNING 1", values)


async def work(participant: Participant) -> None:
    """Work until there is nothing to do."""
    while await participant.step():
        pass


async def answers(store: Database) -> list[privacy_pb2.PrivacyTaskCompleted]:
    """What the service has answered and not yet published."""
    found = await rows(store, "SELECT payload FROM outbox WHERE type LIKE '%%privacy_task_completed%%' ORDER BY seq")
    return [privacy_pb2.PrivacyTaskCompleted.FromString(payload) for (payload,) in found]


async def kinds(store: Database) -> list[TaskKind]:
    return [TaskKind(each.kind) for each in await answers(store)]


async def test_an_erasure_deletes_what_is_held_and_published_and_says_so_signed(
    store: Database, broker: Broker, participant: Participant, relay: None, keys: SigningKeys
) -> None:
    person, absorbed, other = (new_id("profile") for _ in range(3))
    await write(store, person, absorbed, other)
    await append(store, granted(person), granted(other))

    async def published() -> bool:
        return await count(store, "outbox") == 0

    await eventually(published, 20)
    await take(participant, store, asked(TaskKind.ERASE, person, absorbed))
    await work(participant)
    assert await rows(store, "SELECT profile_id FROM notes") == [(other,)]
    await eventually(published, 20)
    kept, told = await broker.stored(STREAM)
    assert person.encode() not in kept.data
    answer = privacy_pb2.PrivacyTaskCompleted.FromString(told.data)
    assert [(each.store, each.found, each.acted) for each in answer.stores] == [
        ("notes", 2, 2),
        ("events", 1, 1),
        ("answers", 0, 0),
    ]
    assert (answer.outcome, answer.epoch, answer.position) == (privacy_pb2.PRIVACY_TASK_OUTCOME_DONE, EPOCH, KNOWN)
    assert is_genuine(answer, keys.public_keys())
    async with store.transaction() as connection:
        assert await living.buried(connection, [person, absorbed, other]) == {person, absorbed}


async def test_an_answer_that_was_changed_is_not_genuine_and_one_of_a_retired_key_is(
    store: Database, participant: Participant, keys: SigningKeys
) -> None:
    await take(participant, store, asked(TaskKind.PROBE, new_id("profile")))
    await work(participant)
    (answer,) = await answers(store)
    keys.rotate()
    assert is_genuine(answer, keys.public_keys())
    answer.outcome = privacy_pb2.PRIVACY_TASK_OUTCOME_DONE
    assert not is_genuine(answer, keys.public_keys())


async def test_what_has_to_be_kept_is_named_with_its_ground_and_end(store: Database, participant: Participant) -> None:
    person = new_id("profile")
    await write(store, person)
    await write(store, person, needed=True)
    await take(participant, store, asked(TaskKind.ERASE, person))
    await work(participant)
    (answer,) = await answers(store)
    assert answer.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_PARTIAL
    (kept,) = answer.exceptions
    assert (kept.store, kept.count, kept.ground, kept.until.ToDatetime(UTC)) == ("notes", 1, "LEGAL_CLAIM", UNTIL)


async def test_who_holds_nothing_says_so_and_leaves_a_tombstone(store: Database, participant: Participant) -> None:
    person = new_id("profile")
    await take(participant, store, asked(TaskKind.ERASE, person))
    await work(participant)
    (answer,) = await answers(store)
    assert answer.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD
    async with store.transaction() as connection:
        assert await living.buried(connection, [person]) == {person}


async def test_a_freeze_holds_until_it_is_released(store: Database, participant: Participant) -> None:
    person = new_id("profile")
    await write(store, person)
    await take(participant, store, asked(TaskKind.FREEZE, person))
    await work(participant)
    assert await rows(store, "SELECT frozen FROM notes") == [(True,)]
    await take(participant, store, asked(TaskKind.RELEASE, person))
    await work(participant)
    assert await rows(store, "SELECT frozen FROM notes") == [(False,)]
    assert await kinds(store) == [TaskKind.FREEZE, TaskKind.RELEASE]


async def test_a_task_for_others_is_left_alone_and_one_that_comes_twice_is_done_once(
    store: Database, participant: Participant
) -> None:
    await take(participant, store, asked(TaskKind.ERASE, new_id("profile"), participants=("other",)))
    twice = asked(TaskKind.PROBE, new_id("profile"))
    await take(participant, store, twice, twice)
    await work(participant)
    await take(participant, store, twice)
    await work(participant)
    assert len(await answers(store)) == 1


async def test_nothing_is_done_before_the_ledger_is_known_far_enough(store: Database, participant: Participant) -> None:
    early, person = asked(TaskKind.ERASE, new_id("profile"), position=KNOWN + 1), new_id("profile")
    foreign = asked(TaskKind.ERASE, new_id("profile"), position=1, epoch="epoch-2")
    await take(participant, store, early, foreign, asked(TaskKind.PROBE, person))
    await work(participant)
    assert await kinds(store) == [TaskKind.PROBE]


async def test_an_event_that_is_not_published_yet_holds_its_erasure_back_and_no_other_task(
    store: Database, participant: Participant
) -> None:
    person = new_id("profile")
    await append(store, granted(person))
    await take(participant, store, asked(TaskKind.ERASE, person), asked(TaskKind.PROBE, new_id("profile")))
    await work(participant)
    assert await kinds(store) == [TaskKind.PROBE]
    await rows(store, "DELETE FROM outbox WHERE profile_ids <> '{}' RETURNING 1")
    await work(participant)
    assert await kinds(store) == [TaskKind.PROBE, TaskKind.ERASE]


@pytest.mark.parametrize("where", ["acting", "acted", "purged", "published_erased", "answering"])
async def test_an_erasure_that_is_cut_off_anywhere_is_done_and_told_once(
    store: Database, participant: Participant, where: str
) -> None:
    person = new_id("profile")
    await write(store, person)
    await take(participant, store, asked(TaskKind.ERASE, person))
    failpoints.arm(f"privacy.{where}=raise@1")
    with pytest.raises(FailpointError):
        await work(participant)
    assert await answers(store) == []
    await work(participant)
    (answer,) = await answers(store)
    assert [(each.store, each.found, each.acted) for each in answer.stores] == [
        ("notes", 1, 1),
        ("events", 0, 0),
        ("answers", 0, 0),
    ]
    assert await rows(store, "SELECT state FROM privacy_tasks") == [("answered",)]


async def test_two_processes_at_once_answer_each_task_once(store: Database, participant: Participant) -> None:
    people = [new_id("profile") for _ in range(6)]
    await write(store, *people)
    await take(participant, store, *(asked(TaskKind.ERASE, each) for each in people))
    await asyncio.gather(*(work(participant) for _ in range(3)))
    await work(participant)
    told = await answers(store)
    assert len({each.task_id for each in told}) == len(told) == len(people)
    assert await count(store, "notes") == 0


async def test_what_a_hold_keeps_outlives_an_erasure_and_goes_with_the_next_once_it_is_let_go(
    store: Database, participant: Participant
) -> None:
    person = new_id("profile")
    await write(store, person, person)
    ((held,), *_) = await rows(store, "SELECT note_id::text FROM notes ORDER BY note_id")
    records = [
        privacy_pb2.HeldRecords(participant=SERVICE, store="notes", record_ids=[held]),
        privacy_pb2.HeldRecords(participant="other", store="notes"),
    ]
    hold = privacy_pb2.LegalHold(hold_id="matter-1", ground="LITIGATION", records=records)
    await take(participant, store, asked(TaskKind.HOLD, person, hold=hold), asked(TaskKind.ERASE, person))
    await work(participant)
    (_, erased) = await answers(store)
    assert [(each.store, each.count, each.ground) for each in erased.exceptions] == [("notes", 1, "LITIGATION")]
    assert await rows(store, "SELECT note_id::text FROM notes") == [(held,)]
    await take(participant, store, asked(TaskKind.UNHOLD, person, hold=hold), asked(TaskKind.ERASE, person))
    await work(participant)
    assert await count(store, "notes") == 0


async def test_a_copy_is_handed_out_in_parts_of_bounded_size_with_their_totals_last(
    store: Database, participant: Participant
) -> None:
    person = new_id("profile")
    await rows(store, "INSERT INTO notes (profile_id) SELECT %s FROM generate_series(1, 2500) RETURNING 1", [person])
    exported = [part async for part in parts(store, Notes(), Subject("req_0", (person,)))]
    assert [len(part.records) for part in exported] == [1000, 1000, 500, 0]
    assert len({record.record_id for part in exported for record in part.records}) == 2500
    assert [(each.store, each.found) for each in exported[-1].totals] == [("notes", 2500)]
    await take(participant, store, asked(TaskKind.ACCESS, person))
    await work(participant)
    (answer,) = await answers(store)
    assert answer.stores == exported[-1].totals


async def test_an_erasure_waits_for_who_writes_about_the_person_and_nobody_writes_after_it(
    store: Database, participant: Participant
) -> None:
    person, other = new_id("profile"), new_id("profile")
    await take(participant, store, asked(TaskKind.ERASE, person))
    async with store.transaction() as connection:
        assert await living.writable(connection, [person, other]) == {person, other}
        working = asyncio.create_task(work(participant))

        async def waits() -> bool:
            return bool(await rows(store, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))

        await eventually(waits, 20)
        await connection.execute("INSERT INTO notes (profile_id) VALUES (%s)", [person])
    await working
    assert await count(store, "notes") == 0
    async with store.transaction() as connection:
        assert await living.writable(connection, [person, other]) == {other}


async def test_what_still_comes_about_an_erased_person_is_dropped(store: Database, participant: Participant) -> None:
    person, other = new_id("profile"), new_id("profile")
    await take(participant, store, asked(TaskKind.ERASE, person))
    await work(participant)
    taken: list[str] = []

    async def write_down(event: Received, connection: Connection) -> None:
        taken.append(event.parse(events_pb2.ConsentGranted).change.current_id)

    handler = living.of_the_living(write_down, [events_pb2.ConsentGranted])
    for event in (granted(person), granted(other)):
        received = Received.of(event.subject, event.headers(), event.payload(), stream=STREAM, sequence=1)
        async with store.transaction() as connection:
            await handler(received, connection)
    assert taken == [other]


async def test_what_was_kept_long_enough_goes_and_is_logged_but_nothing_of_who_is_frozen(
    store: Database, participant: Participant, test_clock: TestClock
) -> None:
    frozen, other, young = (new_id("profile") for _ in range(3))
    await write(store, frozen, other, young)
    old = [frozen, other]
    await rows(
        store, "UPDATE notes SET written_at = now() - interval '40 days' WHERE profile_id = ANY (%s) RETURNING 1", [old]
    )
    await take(participant, store, asked(TaskKind.FREEZE, frozen))
    await work(participant)
    retention = Retention(Notes(), store, test_clock)
    assert await retention.sweep(datetime.now(UTC)) == {"notes": 1}
    assert await retention.sweep(datetime.now(UTC)) == {}
    assert {each for (each,) in await rows(store, "SELECT profile_id FROM notes")} == {frozen, young}
    assert await rows(store, "SELECT store, deleted FROM privacy_sweeps") == [("notes", 1)]


async def test_a_restored_database_is_not_ready_until_whoever_was_erased_since_is_erased_again(
    made: Any, store: Database, broker: Broker, participant: Participant, test_clock: TestClock
) -> None:
    since, before, living_one = (new_id("profile") for _ in range(3))
    await take(participant, store, asked(TaskKind.ERASE, before))
    await work(participant)
    await write(store, since, living_one)  # as the backup has it: `since` was erased after it was made
    told = Known(EPOCH, KNOWN, fresh=True, fenced=(since, before))
    fresh = [False]

    async def ledger() -> Known:
        return told if fresh[0] else Known()

    restored = AfterRestore(store, Notes(), Eraser(SERVICE, database=store, nats=broker.settings), ledger, test_clock)
    await restored.check()
    made.execute(MARK)
    assert not await restored.step()  # nobody knows yet who was erased
    with pytest.raises(RapportError, match="NOT_READY"):
        await restored.check()
    assert await count(store, "notes") == 2
    fresh[0] = True
    assert await restored.step()
    await restored.check()
    assert await rows(store, "SELECT profile_id FROM notes") == [(living_one,)]
    assert len(await answers(store)) == 1  # that of the task: nobody asked for what was replayed
    async with store.transaction() as connection:
        assert await living.buried(connection, [since, before, living_one]) == {since, before}
    assert not await restored.step()


async def test_a_copy_four_times_as_long_takes_no_more_memory(store: Database) -> None:
    some, many = new_id("profile"), new_id("profile")
    for person, number in ((some, 1_500), (many, 6_000)):
        values = [person, number]
        await rows(store, "INSERT INTO notes (profile_id) SELECT %s FROM generate_series(1, %s) RETURNING 1", values)
    peaks, sent = [], 0
    for person in (some, many):
        tracemalloc.start()
        sent = 0
        async with aclosing(parts(store, Notes(), Subject("req_0", (person,)))) as exported:
            async for part in exported:
                sent += len(part.records)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sent == 6_000
    assert peaks[1] < 1.5 * peaks[0]
