"""An import from beginning to end: customers, their decisions, what they did; each batch journalled once durable."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rapport.consent.v1 import consent_pb2_grpc
from rapport.identity.v1 import identity_pb2_grpc, ingest_pb2_grpc
from rapport_privacy.freshness import BOUND_S
from rapport_testing.files import replace_file

from rapport_local.ingest import stages
from rapport_local.ingest.journal import Journal, Rejected
from rapport_local.ingest.mapping import Mapping, PastConsents
from rapport_local.ingest.stages import Send, Stage
from rapport_local.ingest.tables import Files, Item, Tables

BATCH: Final = 250
"""Items sent together: what identity writes in one transaction."""

Notify = Callable[[str, int], None]
"""Told of every batch: the stage, and how many items of it are settled."""


@dataclass(frozen=True)
class Services:
    """Where things are sent."""

    identity: identity_pb2_grpc.IdentityServiceAsyncStub
    touchpoints: ingest_pb2_grpc.TouchpointServiceAsyncStub
    consent: consent_pb2_grpc.ConsentServiceAsyncStub


class Import:
    """One import.

    Args:
        mapping: What the files hold.
        files: The files.
        journal: What is settled already.
        services: Where it goes.
        notify: Told of progress.
    """

    def __init__(self, mapping: Mapping, files: Files, journal: Journal, services: Services, notify: Notify) -> None:
        self._mapping = mapping
        self._files = files
        self._tables = Tables(mapping, files)
        self._journal = journal
        self._services = services
        self._notify = notify

    async def run(self) -> dict[str, dict[str, int]]:
        """Settle all that is not settled, and return what became of the items of each stage.

        Raises:
            Failure: A service was away for too long, a file cannot be read, or consents may not be declared here.
            RemoteError: A service refused a whole batch.
        """
        for stage in self._customers():
            await self._settle(stage)
        decided = [await self._settle(stage) for stage in self._decisions()]
        if any(decided):
            # Every gate knows a decision within its bound, or says that it is stale and is asked again.
            await asyncio.sleep(BOUND_S)
        for stage in self._transactions():
            await self._settle(stage)
        return {name: dict(self._journal.state(name).counts) for name in self.stages()}

    def stages(self) -> list[str]:
        """Return the names of all stages, in their order."""
        return [stage.name for part in (self._customers, self._decisions, self._transactions) for stage in part()]

    async def _settle(self, stage: Stage[Any]) -> bool:
        """Settle what is left of a stage, and say whether anything was."""
        before = self._journal.state(stage.name)
        if before.done:
            self._notify(stage.name, before.settled)
            return False
        items = stage.items()
        _pass_over(items, before.settled)
        count = before.settled
        async with stage.opened() as send:
            while batch := list(islice(items, BATCH)):
                await self._send(stage, batch, send)
                count += len(batch)
                self._notify(stage.name, count)
        self._journal.settle(stage.name, 0, {}, done=True)
        return count > before.settled

    async def _send(self, stage: Stage[Any], batch: list[Item[Any]], send: Send[Any]) -> None:
        sound = [item for item in batch if item.message is not None]
        outcomes = await send([item.message for item in sound]) if sound else []
        counts = Counter(outcome.word for outcome in outcomes)
        rejected = [Rejected(item.number, item.fault.path, item.fault.reason) for item in batch if item.fault]
        counts["rejected"] += len(rejected)
        people = {}
        for item, outcome in zip(sound, outcomes, strict=True):
            if outcome.fault is not None:
                rejected.append(Rejected(item.number, outcome.fault.path, outcome.fault.reason))
            elif stage.person is not None:
                people[stage.person(item.message)] = outcome.profile_id
        self._journal.settle(stage.name, len(batch), +counts, rejected=rejected, people=people)

    def _customers(self) -> Iterator[Stage[Any]]:
        for at, table in enumerate(self._mapping.customers, 1):
            name = f"customers {at} {table.file.name}"
            yield Stage(
                name,
                partial(self._tables.customers, name, table),
                partial(stages.records, self._services.identity),
                lambda record: (record.key.source, record.key.source_record_id),
            )

    def _decisions(self) -> Iterator[Stage[Any]]:
        for at, table in enumerate(self._mapping.past_consents, 1):
            name = f"decisions {at} {table.file.name}"
            yield Stage(
                name,
                partial(self._tables.past_consents, name, table, self._journal.profile),
                partial(self._import, table),
            )
        declared = self._mapping.declared_consents
        if declared is not None:
            yield Stage(
                f"decisions declared by {declared.rule}",
                lambda: stages.declarations(self._mapping.name, declared, self._journal.profiles()),
                partial(stages.declared_consents, self._services.consent),
            )

    def _import(self, table: PastConsents) -> AbstractAsyncContextManager[Send[Any]]:
        return stages.past_consents(self._services.consent, table, self._files.source(table).sha256())

    def _transactions(self) -> Iterator[Stage[Any]]:
        for at, table in enumerate(self._mapping.transactions, 1):
            name = f"transactions {at} {table.name}"
            yield Stage(
                name,
                partial(self._tables.transactions, name, table),
                partial(stages.touchpoints, self._services.touchpoints),
            )


def digest_of(mapping: Mapping, files: Files) -> str:
    """Return what an import is known by: the mapping, the contents of its files, and how much of them is read.

    Raises:
        Failure: A file cannot be read.
    """
    digest = hashlib.sha256(mapping.model_dump_json().encode())
    for table in (*mapping.customers, *mapping.past_consents, *mapping.transactions):
        digest.update(files.source(table).sha256())
    digest.update(f"{files.most} {files.share}".encode())
    return digest.hexdigest()


def write_rejected(path: Path, journal: Journal) -> int:
    """Write the report of rejected rows, which holds no value of any row, and return how many there are."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(("stage", "row", "field", "reason"))
    count = 0
    for stage, rejected in journal.rejected():
        lines.writerow((stage, *rejected))
        count += 1
    replace_file(path, text.getvalue().encode(), mode=0o600)
    return count


def _pass_over(items: Iterator[Item[Any]], count: int) -> None:
    for _ in islice(items, count):
        pass
