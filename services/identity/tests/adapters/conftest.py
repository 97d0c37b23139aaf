"""Two databases as the service has them, identity's and the key store's, and people to store in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rapport_identity
from identity_shop import Shop
from rapport.identity.v1 import record_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.ids import new_id
from rapport_chassis.settings import DatabaseSettings
from rapport_identity.adapters import moves, profiles
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import IndexLoader, RecordLoader
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.resolving import ResolvingUnits
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.vault import HashKeys, seal_new
from rapport_identity.app.partition import Partition
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.stored import (
    Move,
    MoveKind,
    ProfileStatus,
    RecordDraft,
    SourceKey,
    StoredProfile,
    Term,
)
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.facets import Facet, state_of
from rapport_identity.population import Population, Sighting
from rapport_identity.population.messages import message_of
from rapport_identity.translate.records import submission_of
from rapport_testing.databases import Database as MadeDatabase
from rapport_testing.plugin import MakeDatabase

_PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")
_PACKAGE = Path(rapport_identity.__file__).parent
MIGRATIONS = {"identity": _PACKAGE / "migrations", "identity_keys": _PACKAGE / "keys_migrations"}


def _settings(made: MadeDatabase, service: str) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn(f"rapport_{service}", _PASSWORDS.runtime),
            "owner_dsn": made.dsn(f"rapport_{service}_owner", _PASSWORDS.owner),
        }
    )


def _build(made: MadeDatabase, service: str) -> None:
    create_service_database(made.access.dsn(), service, _PASSWORDS, database=made.name)
    upgrade(_settings(made, service), MIGRATIONS[service])


def _build_identity(made: MadeDatabase) -> None:
    _build(made, "identity")


def _build_keys(made: MadeDatabase) -> None:
    _build(made, "identity_keys")


@dataclass
class Made:
    """A migrated database: as the superuser sees it, and how its two roles reach it."""

    database: MadeDatabase
    settings: DatabaseSettings
    migrations: Path


@pytest.fixture
def made_identity(database: MakeDatabase) -> Made:
    made = database(_build_identity)
    create_service_database(made.access.dsn(), "identity", _PASSWORDS, database=made.name)  # a copy is its maker's
    return Made(made, _settings(made, "identity"), MIGRATIONS["identity"])


@pytest.fixture
def empty_identity(database: MakeDatabase) -> Made:
    """A database without tables, to restore a dump into."""
    made = database()
    create_service_database(made.access.dsn(), "identity", _PASSWORDS, database=made.name)
    return Made(made, _settings(made, "identity"), MIGRATIONS["identity"])


@pytest.fixture
def made_keys(database: MakeDatabase) -> Made:
    made = database(_build_keys)
    create_service_database(made.access.dsn(), "identity_keys", _PASSWORDS, database=made.name)
    return Made(made, _settings(made, "identity_keys"), MIGRATIONS["identity_keys"])


@pytest.fixture
async def opened(made_identity: Made) -> AsyncIterator[Database]:
    database = Database(made_identity.settings, service="identity")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def keys_database(made_keys: Made) -> AsyncIterator[Database]:
    database = Database(made_keys.settings, service="identity")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def epoch_keys(tmp_path: Path) -> SecretKeys:
    (tmp_path / "epochs").mkdir()
    return SecretKeys.load(tmp_path / "epochs")


@pytest.fixture
def hash_keys(tmp_path: Path) -> SecretKeys:
    (tmp_path / "hashes").mkdir()
    return SecretKeys.load(tmp_path / "hashes")


@pytest.fixture
def key_store(keys_database: Database, epoch_keys: SecretKeys) -> PostgresKeyStore:
    return PostgresKeyStore(keys_database, epoch_keys)


@pytest.fixture
def store(opened: Database, hash_keys: SecretKeys) -> PartitionStore:
    return PartitionStore(opened, HashKeys(hash_keys))


def readable(payload: bytes) -> tuple[SourceKey, tuple[Term, ...]]:
    """How a payload's record is found, as the use cases will say it."""
    message = record_pb2.Record.FromString(payload)
    return (
        SourceKey(message.key.source, message.key.source_record_id),
        tuple(Term(each.kind, f"{each.namespace}\0{each.value}") for each in message.person.identifiers),
    )


def draft_of(sighting: Sighting) -> RecordDraft:
    payload = message_of(sighting).SerializeToString()
    key, terms = readable(payload)
    return RecordDraft(key, payload, terms, sighting.occurred_at)


@dataclass
class Desk:
    """Writes and reads as the use cases will, each record a profile of its own."""

    store: PartitionStore
    keys: PostgresKeyStore
    read: Callable[[bytes], tuple[SourceKey, tuple[Term, ...]]] = field(default=readable)

    def people(self, count: int, seed: int = 1) -> list[RecordDraft]:
        return [draft_of(sighting) for sighting in Population(seed).sightings(count)]

    async def take_in(self, drafts: Sequence[RecordDraft]) -> dict[SourceKey, int]:
        """Write new records and return their numbers."""
        fresh = await self.keys.create(len(drafts))
        sealed = seal_new(drafts, fresh, await self.store.hasher())
        async with self.store.unit() as unit:
            at = await unit.lock()
            records = unit.records(at)
            known, numbers = await records.find(drafts, fresh=len(drafts))
            assert not known
            ids = [new_id("profile") for _ in drafts]
            held = await unit.hold()
            await records.add(held, list(zip(numbers, ids, sealed, strict=True)))
            facets = [Facet((), True, "", "", "", "", draft.occurred_at) for draft in drafts]
            made = [
                StoredProfile(each, 1, ProfileStatus.ACTIVE, state_of([(1, facet)]))
                for each, facet in zip(ids, facets, strict=True)
            ]
            await profiles.create(unit.connection, held, made)
            steps = [
                Move(MoveKind.RECORD, "", profile_id, number, "mat_1", "matcher")
                for number, profile_id in zip(numbers, ids, strict=True)
            ]
            await moves.add(unit.connection, held, steps)
            await unit.advance(held)
        return {draft.key: number for draft, number in zip(drafts, numbers, strict=True)}

    async def erase(self, numbers: Sequence[int]) -> int:
        """Erase records: their keys first, so that no copy can be read whatever comes between."""
        async with self.store.unit() as unit:
            key_ids = await unit.records(await unit.read()).key_ids(numbers)
        await self.keys.destroy(key_ids)
        async with self.store.unit() as unit:
            records = unit.records(await unit.lock())
            held = await unit.hold()
            erased = await records.erase(held, numbers)
            await unit.advance(held)
        return erased


@pytest.fixture
def desk(store: PartitionStore, key_store: PostgresKeyStore) -> Desk:
    return Desk(store, key_store)


@pytest.fixture
def as_message() -> Callable[[Sighting], record_pb2.Record]:
    return message_of


class FreshKeys:
    """Draws keys straight from the key store."""

    def __init__(self, store):
        self._store = store

    async def take(self, count):
        return await self._store.create(count) if count else []


class Process:
    """A resolver with a replica of its own."""

    def __init__(self, opened, store, key_store):
        units = ResolvingUnits(store, key_store, SystemClock())
        loader = IndexLoader(RecordLoader(opened, key_store))
        self.partition = Partition(units, loader, default_matcher(), "mat_test")
        self.resolve_records = ResolveRecords(self.partition, FreshKeys(key_store))

    async def resolve(self, messages):
        return await self.resolve_records([submission_of(message, SystemClock().now()) for message in messages])

    def persons(self):
        replica = self.partition.replica
        return {
            profile_id: tuple(sorted(replica.index[number].key for number in numbers))
            for profile_id, numbers in replica.members.items()
        }


Start = Callable[[], Awaitable[Process]]


@pytest.fixture
def start(opened: Database, store: PartitionStore, key_store) -> Start:
    async def started() -> Process:
        process = Process(opened, store, key_store)
        await process.partition.load()
        return process

    return started


@pytest.fixture
async def shop(start: Start, opened: Database, key_store: PostgresKeyStore) -> Shop:
    return Shop(await start(), opened, key_store)
