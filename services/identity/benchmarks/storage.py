"""Speed of identity's storage: what a batch and a start cost, with encryption, keyed hashes and durable commits.

python services/identity/benchmarks/storage.py [--records 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from rapport.identity.v1 import record_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.ids import new_id
from rapport_chassis.settings import DatabaseSettings
from rapport_identity.adapters import moves, profiles
from rapport_identity.adapters.key_pool import KeyPool
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import RecordLoader
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.vault import HashKeys, seal_new
from rapport_identity.app.stored import (
    Move,
    MoveKind,
    ProfileStatus,
    RecordDraft,
    SourceKey,
    StoredProfile,
    Term,
)
from rapport_identity.domain.facets import Facet, state_of
from rapport_identity.population import Population, Sighting
from rapport_identity.population.messages import message_of
from rapport_testing.bench import Figure, Report, p50, p99
from rapport_testing.postgres import PostgresServer

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGE: Final = ROOT / "services/identity/src/rapport_identity"
BATCH: Final = 500
SINGLES: Final = 200
BULK_FLOOR: Final = 3900.0
START_S: Final = 30.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    report = Report("identity-storage", ROOT / "build" / "bench")
    try:
        with PostgresServer(folder / "postgres", settings={"fsync": "on", "synchronous_commit": "on"}) as server:
            asyncio.run(measure(server, folder, report, options.records))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


def made(server: PostgresServer, service: str, migrations: Path) -> Database:
    """Create a database with its roles and tables."""
    passwords = RolePasswords(owner="owner", runtime="runtime")
    names = create_service_database(server.dsn(), service, passwords)
    settings = DatabaseSettings.model_validate(
        {
            "dsn": server.dsn(names.name, names.runtime_role, passwords.runtime),
            "owner_dsn": server.dsn(names.name, names.owner_role, passwords.owner),
        }
    )
    upgrade(settings, migrations)
    return Database(settings, service="identity")


def keys_in(folder: Path) -> SecretKeys:
    """Make a folder of keys."""
    folder.mkdir()
    return SecretKeys.load(folder)


async def measure(server: PostgresServer, folder: Path, report: Report, count: int) -> None:
    """Write so many records, then one by one, then read all."""
    identity, apart = (
        made(server, "identity", PACKAGE / "migrations"),
        made(server, "identity_keys", PACKAGE / "keys_migrations"),
    )
    await identity.open()
    await apart.open()
    keys = PostgresKeyStore(apart, keys_in(folder / "epochs"))
    store = PartitionStore(identity, HashKeys(keys_in(folder / "hashes")))
    drafts = [draft_of(sighting) for sighting in Population(1).sightings(count + SINGLES)]
    report.add(Figure("bytes of a record", sum(len(each.payload) for each in drafts) / len(drafts), "B"))
    report.add(Figure("identifiers of a record", sum(len(each.terms) for each in drafts) / len(drafts), ""))
    pool = KeyPool(keys, SystemClock())
    with cpu_of(report, "a record written", server.pid, count):
        await bulk(store, pool, report, drafts[:count])
    await singles(store, pool, report, drafts[count:])
    await pool.close()
    with cpu_of(report, "a record read", server.pid, count):
        await start(identity, keys, report)
    began = time.perf_counter()
    rewrapped = await keys.rotate_epoch()
    report.add(Figure("keys re-wrapped", rewrapped / (time.perf_counter() - began), "/s"))
    await identity.close()
    await apart.close()


async def bulk(store: PartitionStore, pool: KeyPool, report: Report, drafts: Sequence[RecordDraft]) -> None:
    """Write batches one after the other, and say what each part takes."""
    parts = {"keys": 0.0, "seal": 0.0, "write and commit": 0.0}
    for first in range(0, len(drafts), BATCH):
        for part, taken in zip(parts, await take_in(store, pool, drafts[first : first + BATCH]), strict=True):
            parts[part] += taken
    count = len(drafts)
    report.add(Figure("bulk, batches of 500", count / sum(parts.values()), "/s", BULK_FLOOR, ">= 1"))
    for part, taken in parts.items():
        report.add(Figure(f"  a record: {part}", taken / count * 1e6, "us"))


async def singles(store: PartitionStore, pool: KeyPool, report: Report, drafts: Sequence[RecordDraft]) -> None:
    """Write records one by one, each durable before the next."""
    taken = [sum(await take_in(store, pool, [draft])) * 1e6 for draft in drafts]
    report.add(Figure("one record, p50", p50(taken), "us"))
    report.add(Figure("one record, p99", p99(taken), "us"))


async def start(identity: Database, keys: PostgresKeyStore, report: Report) -> None:
    """Read all records in clear and parse them, as a replica does when it starts."""
    began, count = time.perf_counter(), 0
    async for chunk in RecordLoader(identity, keys).everything():
        count += len([record_pb2.Record.FromString(each.payload or b"") for each in chunk])
    taken = time.perf_counter() - began
    report.add(Figure("read, decrypted and parsed", count / taken, "/s"))
    report.add(Figure("  so a start at 1 M records", taken / count * 1e6, "s", START_S, "<= 1"))


async def take_in(store: PartitionStore, pool: KeyPool, drafts: Sequence[RecordDraft]) -> tuple[float, float, float]:
    """Write new records, each a profile, and return the seconds of each part."""
    times = [time.perf_counter()]
    fresh = await pool.take(len(drafts))
    times.append(time.perf_counter())
    sealed = seal_new(drafts, fresh, await store.hasher())
    times.append(time.perf_counter())
    async with store.unit() as unit:
        at = await unit.lock()
        records = unit.records(at)
        _, numbers = await records.find(drafts, fresh=len(drafts))
        ids = [new_id("profile") for _ in drafts]
        held = await unit.hold()
        await records.add(held, list(zip(numbers, ids, sealed, strict=True)))
        state = state_of([(1, Facet((), True, "", "", "", "", held.recorded_at))])
        profiles_made = [StoredProfile(each, 1, ProfileStatus.ACTIVE, state) for each in ids]
        await profiles.create(unit.connection, held, profiles_made)
        steps = [
            Move(MoveKind.RECORD, "", profile_id, number, "mat_1", "matcher")
            for profile_id, number in zip(ids, numbers, strict=True)
        ]
        await moves.add(unit.connection, held, steps)
        await unit.advance(held)
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1], times[3] - times[2]


def draft_of(sighting: Sighting) -> RecordDraft:
    """Return a record of the population as storage takes it."""
    message = message_of(sighting)
    terms = tuple(Term(each.kind, f"{each.namespace}\0{each.value}") for each in message.person.identifiers)
    return RecordDraft(SourceKey(*sighting.record.key), message.SerializeToString(), terms, sighting.occurred_at)


@contextmanager
def cpu_of(report: Report, thing: str, server_pid: int | None, count: int) -> Iterator[None]:
    """Report the CPU time spent here and in the server: it says more than a rate on a machine with other work."""
    pids = {"this process": os.getpid(), "PostgreSQL": server_pid}
    before = {name: _cpu_s(pid) for name, pid in pids.items()}
    yield
    for name, pid in pids.items():
        report.add(Figure(f"CPU of {thing}: {name}", (_cpu_s(pid) - before[name]) / count * 1e6, "us"))


def _cpu_s(pid: int | None) -> float:
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    whole = [each.cpu_times() for each in (process, *children)]
    return float(sum(each.user + each.system for each in whole))


if __name__ == "__main__":
    main()
