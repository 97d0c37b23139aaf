"""Any interleaving of rows, late events, merges and splits comes to the state that the prose of the rules gives."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from consent_model import START, TRAITS, Model, day, told
from consent_worlds import World, worlds
from hypothesis import event, given
from hypothesis import strategies as st
from rapport_consent.domain.erasure import carried_over
from rapport_consent.domain.history import History
from rapport_consent.domain.resolution import resolve_keys, resolve_restriction, resolve_subject, touched_keys
from rapport_consent.domain.rows import LedgerRow, RowKind, as_known
from rapport_consent.domain.states import SubjectState


def note(model: Model, ids: Iterable[str]) -> None:
    """Say which corners a history reached, for `--hypothesis-show-statistics`."""
    against = model.against(ids)
    event(f"a closure of several: {any(len(model.closure(i)) > 1 for i in ids)}")
    event(f"negative shared across a split: {any(merged for _, _, merged in against)}")
    event(f"negative taken at issue: {any(row.named_id != i and not merged for row, i, merged in against)}")
    reunited = any(merged and model.current(row.named_id) == model.current(i) for row, i, merged in against)
    event(f"shared, parted and together again: {reunited}")


@given(worlds())
def test_state_is_what_the_prose_says(world: World) -> None:
    history, model = History(TRAITS, world.rows), Model(world.rows)
    note(model, world.ids)
    for i in world.ids:
        assert told(resolve_subject(history, i)) == model.subject(i)


@given(worlds(steps=16))
def test_changes_told_row_by_row_add_up_to_the_state(world: World) -> None:
    """What a gate does: it stores the states it is told, and never computes any."""
    history = History(TRAITS)
    stored: dict[str, Any] = {}
    for row in world.rows:
        affected = history.add(row)
        if row.partition is not None:
            stored.update({i: resolve_subject(history, i) for i in affected})
            for i in affected:
                for absorbed in stored[i].redirect_ids:
                    stored.pop(absorbed, None)
        else:
            (current,) = affected
            known = stored.get(current) or SubjectState(current, (), (), None, ())
            states = {state.key: state for state in known.states}
            if row.kind in (RowKind.RESTRICT, RowKind.LIFT):
                known = replace(known, restriction=resolve_restriction(history, current))
            else:
                keys = touched_keys(history, row)
                states.update({state.key: state for state in resolve_keys(history, current, keys)})
            stored[current] = replace(known, states=tuple(states[key] for key in sorted(states)))
        for i in world.ids:
            expected = resolve_subject(history, i)
            assert stored.get(expected.profile_id, SubjectState(i, (), (), None, ())) == expected


@given(worlds(), st.data())
def test_merges_then_a_split_restore_the_state_exactly(world: World, data: st.DataObject) -> None:
    history = History(TRAITS, world.rows)
    if len(world.profiles) < 2:
        world.split(min(world.profiles), [], issue=True)
        world.deliver(0)
        history.add(world.rows[-1])
    before = {i: resolve_subject(history, i) for i in world.ids}
    survivor, *others = data.draw(st.permutations(sorted(world.profiles)))
    others = others[: data.draw(st.integers(1, len(others)))]
    sides = {i: world.profiles[i][1] for i in (survivor, *others)}
    for other in others:
        world.merge(survivor, other)
        world.deliver(0)
        history.add(world.rows[-1])
    assert history.partition.closure_of(others[0]) == frozenset().union(*sides.values())
    world.announce(RowKind.SPLIT, sides, world.profiles[survivor][0] + 1, ())
    world.deliver(0)
    history.add(world.rows[-1])
    assert {i: resolve_subject(history, i) for i in world.ids} == before


@given(worlds(), st.data())
def test_time_travel_is_replaying_the_prefix(world: World, data: st.DataObject) -> None:
    known, until = data.draw(st.integers(0, len(world.rows))), data.draw(st.integers(0, 6))
    history = History(TRAITS, as_known(world.rows, position=known, decided_until=day(until)))
    by_time = History(TRAITS, as_known(world.rows, recorded_until=day(known), decided_until=day(until)))
    prefix = [row for row in world.rows[:known] if row.partition is not None or row.occurred_at <= day(until)]
    model = Model(prefix)
    for i in world.ids:
        assert told(resolve_subject(history, i)) == model.subject(i)
        assert resolve_subject(by_time, i) == resolve_subject(history, i)


@given(worlds(), st.randoms())
def test_order_of_identity_events_does_not_matter_in_the_end(world: World, random: Any) -> None:
    """Rows first, merges and splits after them in any order: everyone stands where identity says, with one state."""
    decisions = [row for row in world.rows if row.partition is None]
    changes = [row for row in world.rows if row.partition is not None]
    random.shuffle(changes)
    rows = [row._replace(position=position) for position, row in enumerate([*decisions, *changes], 1)]
    history = History(TRAITS, rows)
    for survivor, (_, ids) in world.profiles.items():
        assert history.partition.closure_of(survivor) == ids
        assert history.partition.survivor(min(ids)) == survivor


@given(worlds(), worlds(restrictions=False), st.data())
def test_erasing_one_person_changes_nobody_else(world: World, later: World, data: st.DataObject) -> None:
    """Also after what the living decide later, which must lift what it lifted before."""
    history = History(TRAITS, world.rows)
    erased = history.partition.closure_of(data.draw(st.sampled_from(world.ids)))
    carried = carried_over(history, erased)
    event(f"negatives carried over: {bool(carried)}")
    position = len(world.rows)
    kept = [r._replace(kind=RowKind.BLANK) if r.named_id in erased and not r.partition else r for r in world.rows]
    for named_id, draft in carried:
        position += 1
        kept.append(draft.at(position, recorded_at=START, reference="cev_carried", named_id=named_id))
    for named_id in sorted(erased):
        position += 1
        kept.append(LedgerRow(position, START, "cev_fence", named_id, RowKind.FENCE, START))
    living = [i for i in world.ids if i not in erased]
    tail = [row for row in later.rows if row.partition is None and row.named_id in living]
    tail = [row._replace(position=position + n, reference=f"cev_tail_{n}") for n, row in enumerate(tail, 1)]
    for n in range(len(tail) + 1):
        with_person = History(TRAITS, [*world.rows, *tail[:n]])
        without = History(TRAITS, [*kept, *tail[:n]])
        for i in living:
            assert anonymous(resolve_subject(without, i)) == anonymous(resolve_subject(with_person, i))
    fenced = History(TRAITS, kept)
    assert all({fence.profile_id for fence in resolve_subject(fenced, i).fences} == erased for i in erased)


def anonymous(state: SubjectState) -> Any:
    """A state without the references of the rows that it rests on, which may be those of the erased."""
    states = tuple(s._replace(reference="", position=0) for s in state.states)
    return replace(state, states=states, restriction=None), state.restriction is not None
