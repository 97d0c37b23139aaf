"""The ledger in the database comes to what the prose of the rules says, whatever is written in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from consent_model import DECLARED, START, TRAITS, Model, day, told
from consent_worlds import World, worlds
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rapport.consent.v1 import ledger_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.adapters.authority import Authority
from rapport_consent.adapters.feed import LedgerReader
from rapport_consent.adapters.ledger import LedgerStore, LedgerUnit
from rapport_consent.adapters.rows import READ_COLUMNS, row_of
from rapport_consent.app.follow_profiles import follow_profiles
from rapport_consent.app.get_consent_state import consent_state
from rapport_consent.app.import_consents import ImportRow, import_consents
from rapport_consent.app.ledger import write
from rapport_consent.app.raise_fence import raise_fence
from rapport_consent.app.tell_of_purpose import tell_of_purpose
from rapport_consent.domain.answers import PastDecision
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.evidence import ImportedEvidence
from rapport_consent.domain.purposes import BasisRule, PurposeTerms
from rapport_consent.domain.resolution import resolve_subject
from rapport_consent.domain.rows import STATUS_OF, LedgerRow, RowKind
from rapport_consent.domain.states import SubjectState
from rapport_consent.translate.ledger import subject_state
from rapport_privacy.contents import Contents
from rapport_privacy.snapshot import SnapshotLoad
from rapport_privacy.vocabulary import Basis, EvidenceKind
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale

CHUNKS = 8
FAR_AHEAD = timedelta(days=36_500)
EVIDENCE = ImportedEvidence("old-crm", START, bytes(32))


@dataclass
class Books:
    """The ledger of one database, in which every world has people of its own."""

    database: Database
    store: LedgerStore
    authority: Authority
    numbers: Iterator[int] = field(default_factory=count)

    async def open(self) -> None:
        """Activate the purposes that the worlds know."""
        await self.database.open()
        for purpose_id, traits in TRAITS.items():
            terms = PurposeTerms((BasisRule(Basis.CONSENT),), traits.brand_scoped, traits.direct_marketing)
            async with self.store.unit() as unit:
                before = START - timedelta(days=1)
                version = await unit.versions.draft(purpose_id, terms, actor="mia", now=before)
                await unit.versions.activate(
                    purpose_id, version.version, active_from=None, actor="mia", reason="known", now=before
                )
                await tell_of_purpose(unit, await unit.versions.purpose(purpose_id), version.version, now=before)

    async def record(self, rows: Sequence[LedgerRow], random: Random) -> None:
        """Write rows, some side by side, some imported, each as one transaction."""
        left = list(rows)
        while left:
            together = [left.pop(0) for _ in range(min(random.choice((1, 1, 1, 2, 3)), len(left)))]
            await asyncio.gather(*(self._record(row, random.random() < 0.2) for row in together))

    async def _record(self, row: LedgerRow, imported: bool) -> None:
        async with self.store.unit() as unit:
            if row.partition is not None:
                await follow_profiles(unit, row.kind, row.named_id, row.partition, occurred_at=row.occurred_at)
            elif imported and row.purpose_id in TRAITS and row.evidence is not DECLARED:
                await self._import(unit, row)
            else:
                draft = Draft(
                    row.kind,
                    row.occurred_at,
                    row.purpose_id,
                    row.brand_id,
                    row.expires_at,
                    row.reask_not_before,
                    evidence=row.evidence,
                    ground="CLAIMS" if row.kind is RowKind.RESTRICT else "",
                )
                await write(unit, await unit.lock([row.named_id]), row.named_id, [draft])

    async def _import(self, unit: LedgerUnit, row: LedgerRow) -> None:
        past = PastDecision(row.purpose_id, row.brand_id, STATUS_OF[row.kind], row.occurred_at)
        imported = ImportRow(f"row-{next(self.numbers)}", row.named_id, past)
        batch = await import_consents(unit, [imported], EVIDENCE, now=day(400), dry_run=False)
        assert [result.error for result in batch.results] == [None]

    async def rows(self, ids: Sequence[str]) -> list[LedgerRow]:
        """Return the rows that name these ids, without the help of families."""
        async with self.database.transaction() as connection:
            query = f"SELECT {READ_COLUMNS} FROM ledger WHERE named_id = ANY (%s) ORDER BY position"
            found = await (await connection.execute(query.encode(), (list(ids),))).fetchall()
        return [row_of(columns) for columns in found]

    async def subject(self, profile_id: str) -> SubjectState:
        """Resolve a profile anew, from the rows of its family."""
        return resolve_subject((await self.authority.read(profile_id)).history(), profile_id)

    async def stored(self, ids: Sequence[str]) -> dict[str, ledger_pb2.SubjectState]:
        """Return the states kept beside the rows."""
        async with self.database.transaction() as connection:
            query = b"SELECT profile_id, state FROM subject_states WHERE profile_id = ANY (%s)"
            found = await (await connection.execute(query, (list(ids),))).fetchall()
        return {profile_id: ledger_pb2.SubjectState.FromString(state) for profile_id, state in found}

    async def assert_kept_is_resolved(self, ids: Sequence[str], now: datetime) -> None:
        """What is kept beside the rows is what the rows come to."""
        stored = await self.stored(ids)
        for profile_id in ids:
            resolved = await self.subject(profile_id)
            if resolved.profile_id != profile_id:
                assert profile_id not in stored
            elif not resolved.fences:
                nothing = ledger_pb2.SubjectState(profile_id=profile_id, whole=True)
                assert in_order(stored.get(profile_id, nothing)) == in_order(subject_state(resolved, now))


def in_order(state: ledger_pb2.SubjectState) -> ledger_pb2.SubjectState:
    state.states.sort(key=lambda each: (each.purpose_id, each.brand_id))
    return state


def settled(world: World, number: int) -> World:
    """The world with names that no other has, and with grants that have expired or never will while we look."""

    def named(i: str) -> str:
        return f"prf_{number}x{i.removeprefix('prf_')}"

    def renamed(row: LedgerRow) -> LedgerRow:
        partition = row.partition and replace(
            row.partition,
            profiles=tuple(
                replace(each, profile_id=named(each.profile_id), redirect_ids=tuple(map(named, each.redirect_ids)))
                for each in row.partition.profiles
            ),
            issued_ids=tuple(map(named, row.partition.issued_ids)),
        )
        expires = row.expires_at + FAR_AHEAD if row.expires_at == day(9) else row.expires_at
        return row._replace(named_id=named(row.named_id), partition=partition, expires_at=expires)

    profiles = {named(i): (version, frozenset(map(named, ids))) for i, (version, ids) in world.profiles.items()}
    return replace(world, profiles=profiles, rows=[renamed(row) for row in world.rows], ids=[*map(named, world.ids)])


@contextmanager
def books(settings: DatabaseSettings) -> Iterator[tuple[asyncio.Runner, Books]]:
    """The ledger and the loop it is used in: one for all examples of a property."""
    with asyncio.Runner() as runner:
        database = Database(settings, service="consent")
        made = Books(database, LedgerStore(database, lambda _: None), Authority(database, SystemClock()))
        runner.run(made.open())
        try:
            yield runner, made
        finally:
            runner.run(database.close())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_interleaving_comes_to_what_the_prose_says(
    settings: DatabaseSettings, scale: Scale, prove: Prove, progress: MakeProgress, chunk: int
) -> None:
    examples = scale.pick(small=15, full=2_500)
    bar = progress(examples, f"histories of the ledger, part {chunk + 1} of {CHUNKS}")
    with books(settings) as (runner, ledger):

        @seed(chunk)
        @hypothesis_settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # writers race, so an example does not fail the same way again and cannot shrink
        )
        @given(worlds(steps=14), st.integers(0, 2**32))
        def hold(world: World, choices: int) -> None:
            runner.run(compare(ledger, settled(world, next(ledger.numbers)), Random(choices)))
            bar.advance()

        hold()
        runner.run(assert_replica_is_the_ledger(ledger))
    prove("consent", **{f"ledger_cases_{chunk}": examples})


async def compare(ledger: Books, world: World, random: Random) -> None:
    """Record a world and hold every view of it against the model."""
    await ledger.record(world.rows, random)
    rows, ids = await ledger.rows(world.ids), world.ids
    assert [row.position for row in rows] == sorted({row.position for row in rows})
    assert len(rows) == len(world.rows)
    now, model = SystemClock().now(), Model(rows)
    for profile_id in ids:
        assert told(await ledger.subject(profile_id)) == model.subject(profile_id)
    await ledger.assert_kept_is_resolved(ids, now)
    await travel(ledger, rows, ids, random)
    await merge_and_split(ledger, world, random)
    await erase(ledger, ids, random)


async def travel(ledger: Books, rows: list[LedgerRow], ids: list[str], random: Random) -> None:
    """What was known at a time about another is what replaying the rows up to it gives."""
    if not rows:
        return
    known_at, as_of = random.choice(rows).recorded_at, day(random.randint(0, 6))
    prefix = [
        row for row in rows if row.recorded_at <= known_at and (row.partition is not None or row.occurred_at <= as_of)
    ]
    model = Model(prefix)
    for profile_id in ids:
        reading = await ledger.authority.read(profile_id)
        state = consent_state(reading, profile_id, as_of=as_of, as_known_at=known_at)
        assert told(state) == model.subject(profile_id)


async def merge_and_split(ledger: Books, world: World, random: Random) -> None:
    """A merge taken back leaves everything as it was."""
    if len(world.profiles) < 2:
        return
    before = {i: await ledger.subject(i) for i in world.ids}
    kept = {i: in_order(state) for i, state in (await ledger.stored(world.ids)).items()}
    one, other = random.sample(sorted(world.profiles), 2)
    sides = world.profiles[one][1], world.profiles[other][1]
    world.rows.clear()
    world.merge(one, other)
    world.deliver(0)
    world.announce(RowKind.SPLIT, {one: sides[0], other: sides[1]}, world.profiles[one][0] + 1, ())
    world.deliver(0)
    for row in world.rows:
        await ledger.record([row], random)
    assert {i: await ledger.subject(i) for i in world.ids} == before
    after = {i: in_order(state) for i, state in (await ledger.stored(world.ids)).items()}
    assert {i: state for i, state in after.items() if i in kept or said_something(state)} == kept


def said_something(state: ledger_pb2.SubjectState) -> bool:
    return bool(state.states or state.redirect_ids or state.HasField("restriction"))


async def erase(ledger: Books, ids: list[str], random: Random) -> None:
    """Of the erased nothing is left; for everybody else nothing has changed."""
    before = {i: await ledger.subject(i) for i in ids}
    person = random.choice(ids)
    closure = {before[person].profile_id, *before[person].redirect_ids}
    async with ledger.store.unit() as unit:
        written = await raise_fence(unit, person, "req_00000000", now=SystemClock().now())
    assert {row.named_id for row in written.rows} == closure
    left = {row.kind for row in await ledger.rows(sorted(closure))}
    assert left <= {RowKind.BLANK, RowKind.FENCE, RowKind.MERGE, RowKind.SPLIT}
    living = [i for i in ids if i not in closure]
    for profile_id in living:
        assert anonymous(await ledger.subject(profile_id)) == anonymous(before[profile_id])
    await ledger.assert_kept_is_resolved(living, SystemClock().now())
    assert not set(await ledger.stored(sorted(closure)))


def anonymous(state: SubjectState) -> Any:
    """A state without what names or proves one of several rows that say the same: it may have been the erased's."""
    states = tuple(each._replace(reference="", position=0, evidence=EvidenceKind.UNSPECIFIED) for each in state.states)
    return replace(state, states=states, restriction=state.restriction is not None)  # type: ignore[arg-type]


async def assert_replica_is_the_ledger(ledger: Books) -> None:
    """Who follows every change from the first holds what a snapshot gives."""
    reader, folded, load = LedgerReader(ledger.database), Contents(), SnapshotLoad()
    position, fences = 0, set()
    while changes := await reader.after(position, 1000, ""):
        for change in changes:
            assert change.position == position + 1
            position = change.position
            folded.fold(change)
            fences |= {fence.profile_id for fence in change.fences}
    async for message in reader.stream():
        load.take(message)
    load.complete()
    assert (load.position, set(load.fences)) == (position, fences)
    assert load.contents.purposes == folded.purposes

    def living(contents: Contents) -> dict[str, Any]:
        return {
            i: subject
            for i, subject in contents.subjects.items()
            if not fences.intersection((subject.profile_id, *subject.redirect_ids))
        }

    assert living(load.contents) == living(folded)
