"""Matchers against real databases: kept without a value, activated without downtime, rolled back to the very ids."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rapport_chassis.clock import SystemClock
from rapport_chassis.errors import RapportError
from rapport_identity.adapters.computing import ChildComputing
from rapport_identity.adapters.matcher_store import MatcherStore
from rapport_identity.adapters.orphans import OLD_AFTER, sweep_orphans
from rapport_identity.app.activate import activate, ship
from rapport_identity.app.matchers import MatcherOrigin, Previewed, get_matcher
from rapport_identity.app.preview import PreviewMatcher
from rapport_identity.app.take_over import TakeOver
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.index import Index
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.relinking import relink
from rapport_identity.population import Population

SHIPPED, OTHER = "mat_shipped00000", "mat_another000000"


def lenient():
    """A matcher that joins more than the one that ships."""
    return replace(default_matcher(), join=-14.0, fracture=-15.0)


@pytest.fixture
def matchers(key_store):
    return MatcherStore(key_store)


async def keep(process, matchers, matcher, matcher_id=OTHER, origin=MatcherOrigin.TRAINED):
    draft = await matchers.draft(matcher, origin, trained_on=7)
    async with process.partition.units.unit() as unit:
        await matchers.add(unit, matcher_id, draft)


async def let_decide(process, matchers, matcher_id, most_moved=None):
    async with process.partition.session() as session:
        return await activate(session, matchers, matcher_id, actor="ops-1", reason="better", most_moved=most_moved)


async def take_over(process, matchers):
    step = TakeOver(process.partition, matchers, at_once=40).step
    while await step():
        pass


def expected(process, matcher):
    """The persons that a matcher makes of all records at once."""
    known, index = process.partition.replica.index, Index(matcher)
    for number in process.partition.replica.owners:
        index.put_folded(number, known[number].key, known[number].values)
    index.settle()
    persons = relink(index, [index[number] for number in process.partition.replica.owners], Bonds())
    return {tuple(sorted(entry.key for entry in person)) for person in persons}


@pytest.fixture
async def process(start, matchers, as_message):
    started = await start()
    await ship(started.partition, matchers, SHIPPED, default_matcher())
    sightings = list(Population(5).sightings(220))
    await started.resolve([as_message(each) for each in sightings])
    return started


async def test_another_matcher_takes_over_and_rolling_back_gives_every_profile_its_id_back(process, matchers, start):
    before = process.persons()
    await keep(process, matchers, lenient())
    activated = await let_decide(process, matchers, OTHER)
    assert activated.deciding
    assert activated.activation.pending == len(process.partition.replica.owners)
    await take_over(process, matchers)
    joined = process.persons()
    assert set(joined.values()) == expected(process, lenient())
    assert len(joined) < len(before)
    restarted = await start()
    assert restarted.partition.matcher_id == OTHER
    assert restarted.persons() == joined
    await let_decide(process, matchers, SHIPPED)
    await take_over(process, matchers)
    assert process.persons() == before
    async with process.partition.units.unit() as unit:
        versions = {each.matcher_id: each for each in await matchers.page(unit, None, 10)}
    assert [versions[each].deciding for each in (SHIPPED, OTHER)] == [True, False]
    assert versions[SHIPPED].activation.pending == 0


async def test_other_processes_follow_at_once_and_go_on_writing_while_it_takes_over(
    process, matchers, start, as_message
):
    other = await start()
    await keep(process, matchers, lenient())
    await let_decide(process, matchers, OTHER)
    more = list(Population(6).sightings(60))
    for at in range(0, 60, 20):
        renamed = [
            replace(each, record=replace(each.record, key=RecordKey("later", f"{number}")))
            for number, each in enumerate(more[at : at + 20], at)
        ]
        await other.resolve([as_message(each) for each in renamed])
        assert other.partition.matcher_id == OTHER
        await TakeOver(process.partition, matchers, at_once=50).step()
    await take_over(other, matchers)
    await process.partition.refresh()
    assert process.persons() == other.persons()
    assert set(process.persons().values()) == expected(process, lenient())


async def test_what_a_matcher_knows_of_values_is_found_by_them_and_written_nowhere(
    process, matchers, opened, key_store
):
    rare = replace(default_matcher(), frequencies={"surname": {"zyxwvutonian": 0.25}}, unseen={})
    await keep(process, matchers, rare)
    async with process.partition.units.unit() as unit:
        found = await get_matcher(matchers, unit, OTHER)
        weights = await unit.matcher(OTHER)
    assert (found.origin, found.trained_on, found.activation) == (MatcherOrigin.TRAINED, 7, None)
    record = Record(RecordKey("crm", "1"), surname="Zyxwvutonian")
    assert weights.prepare(record).frequencies == rare.prepare(record).frequencies
    async with opened.transaction() as connection:
        rows = await (await connection.execute("SELECT matchers::text, body FROM matchers")).fetchall()
        assert len(rows) == 2
        assert all(b"zyxwvuton" not in body and "zyxwvuton" not in text for text, body in rows)
        assert all(b'"smith"' not in body for _, body in rows)
        (key_id,) = await (await connection.execute("SELECT key_id FROM matchers WHERE origin = 'trained'")).fetchone()
    now = SystemClock().now() + OLD_AFTER * 2
    await sweep_orphans(opened, key_store, now=now, since=now - timedelta(days=1))
    assert key_id in await key_store.get([key_id])


async def test_a_preview_says_exactly_what_an_activation_then_moves(process, matchers, opened, key_store):
    mixed = replace(lenient(), join=-6.0, fracture=-8.0, prior=default_matcher().prior - 1)
    await keep(process, matchers, mixed)
    preview = PreviewMatcher(process.partition, matchers, ChildComputing(opened, key_store), SystemClock())
    phases = []

    async def report(phase, done, total):
        phases.append(phase)

    said = await preview(OTHER, 3, report)
    before, held = dict(process.partition.replica.owners), process.persons()
    assert (said.against, said.records, said.before) == (SHIPPED, len(before), len(held))
    assert said.largest_before == max(map(len, held.values()))
    await let_decide(process, matchers, OTHER, most_moved=said.moved)
    await take_over(process, matchers)
    after = process.partition.replica.owners
    assert said.moved == sum(after[number] != owner for number, owner in before.items())
    assert said.moved > 0
    assert said.after == len(process.persons())
    assert said.largest_after == max(map(len, process.persons().values()))
    gone = held.keys() - process.persons().keys()
    assert said.merges == len(gone)
    assert len(said.changes) == 3
    assert [each.moved for each in said.changes] == sorted((each.moved for each in said.changes), reverse=True)


async def test_a_bound_on_moved_records_needs_a_preview_of_the_day_and_holds(process, matchers):
    await keep(process, matchers, lenient())
    with pytest.raises(RapportError) as refused:
        await let_decide(process, matchers, OTHER, most_moved=10)
    assert refused.value.reason.name == "PREVIEW_NEEDED"
    now = SystemClock().now()
    async with process.partition.units.unit() as unit:
        await matchers.keep_preview(unit, OTHER, SHIPPED, Previewed(3, now - timedelta(days=2)))
    with pytest.raises(RapportError) as refused:
        await let_decide(process, matchers, OTHER, most_moved=10)
    assert refused.value.reason.name == "PREVIEW_NEEDED"
    async with process.partition.units.unit() as unit:
        await matchers.keep_preview(unit, OTHER, SHIPPED, Previewed(11, now))
    with pytest.raises(RapportError) as refused:
        await let_decide(process, matchers, OTHER, most_moved=10)
    assert refused.value.reason.name == "TOO_MANY_MOVED"
    assert (await let_decide(process, matchers, OTHER, most_moved=11)).deciding


async def test_a_release_that_ships_another_matcher_leaves_the_one_that_decides(process, matchers):
    await ship(process.partition, matchers, "mat_nextrelease0", lenient())
    await process.partition.refresh()
    assert process.partition.matcher_id == SHIPPED
    async with process.partition.units.unit() as unit:
        assert (await get_matcher(matchers, unit, "mat_nextrelease0")).activation is None
        assert await matchers.pending(unit, 1) is None
        with pytest.raises(RapportError) as refused:
            await get_matcher(matchers, unit, "mat_neverkept000")
    assert refused.value.reason.name == "MATCHER_NOT_FOUND"
