"""Any interleaving of rows, late events, merges and splits comes to the state that the prose of the rules gives.

`Model` tells the rules as a story, row by row, with sets and full scans; it shares nothing with the code but the rows.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from rapport_consent.domain.erasure import carried_over
from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence
from rapport_consent.domain.history import History, PurposeTraits
from rapport_consent.domain.resolution import resolve_keys, resolve_restriction, resolve_subject, touched_keys
from rapport_consent.domain.rows import LedgerRow, PartitionChange, ResultingProfile, RowKind, as_known
from rapport_consent.domain.states import SubjectState

DM = "direct_marketing.*"
TRAITS = {
    "news": PurposeTraits(brand_scoped=True, direct_marketing=True),
    "promo": PurposeTraits(brand_scoped=False, direct_marketing=True),
    "stats": PurposeTraits(brand_scoped=True, direct_marketing=False),
}
START = datetime(2026, 1, 1, tzinfo=UTC)
NEGATIVE = {RowKind.REFUSE: 1, RowKind.WITHDRAW: 2, RowKind.OPT_OUT: 3, RowKind.OBJECT: 4}
STATUS = {"refuse": 2, "withdraw": 3, "object": 4, "opt_out": 5}
CAPTURED, DECLARED = CapturedEvidence("page"), DeclaredEvidence("rule")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


class Model:
    """The rules of the ledger, told in the order in which things are recorded."""

    def __init__(self, rows: Iterable[LedgerRow] = ()) -> None:
        self.newest: dict[str, tuple[int, str]] = {}
        self.since: dict[frozenset[str], int] = {}  # two ids that are together: since when
        self.own: dict[str, list[LedgerRow]] = defaultdict(list)
        self.seen: dict[str, list[tuple[LedgerRow, int]]] = defaultdict(list)  # recorded while together with the id
        self.parted: set[tuple[int, str]] = set()  # position of a row seen, id that has left the one it names
        self.issued: dict[str, tuple[int, frozenset[str]]] = {}
        self.ids: set[str] = set()
        self.fenced: set[str] = set()
        for row in rows:
            self.tell(row)

    def current(self, i: str) -> str:
        while i in self.newest and self.newest[i][1] != i:
            i = self.newest[i][1]
        return i

    def closure(self, i: str) -> set[str]:
        return {j for j in self.ids | {i} if self.current(j) == self.current(i)}

    def tell(self, row: LedgerRow) -> None:
        if row.partition is not None:
            self.follow(row.position, row.partition)
        elif row.kind is RowKind.FENCE:
            self.ids.add(row.named_id)
            self.fenced.add(row.named_id)
        else:
            self.ids.add(row.named_id)
            self.own[row.named_id].append(row)
            for i in self.closure(row.named_id) - {row.named_id}:
                self.seen[i].append((row, self.since[frozenset((i, row.named_id))]))

    def follow(self, position: int, change: PartitionChange) -> None:
        for profile in change.profiles:
            for i in (profile.profile_id, *profile.redirect_ids):
                self.ids.add(i)
                self.newest[i] = max(self.newest.get(i, (0, "")), (profile.version, profile.profile_id))
        for i in change.issued_ids:
            left = {j for p in change.profiles for j in (p.profile_id, *p.redirect_ids)} - set(change.issued_ids)
            self.issued.setdefault(i, (position, frozenset(left)))
        pairs = {frozenset(pair) for pair in combinations(self.ids, 2) if len({*map(self.current, pair)}) == 1}
        self.since = {pair: self.since.get(pair, position) for pair in pairs}
        for i, rows in self.seen.items():
            self.parted |= {(row.position, i) for row, _ in rows if self.current(row.named_id) != self.current(i)}

    def taken_at_issue(self, i: str, trail: frozenset[str] = frozenset()) -> dict[int, LedgerRow]:
        """Every negative of the profile that the id left, when it was first issued."""
        taken: dict[int, LedgerRow] = {}
        if i in self.issued and i not in trail:
            position, left = self.issued[i]
            for j in left:
                of_profile = [
                    *self.own[j],
                    *(row for row, _ in self.seen[j]),
                    *self.taken_at_issue(j, trail | {i}).values(),
                ]
                taken.update({row.position: row for row in of_profile if row.position < position})
        return taken

    def against(self, ids: Iterable[str]) -> list[tuple[LedgerRow, str, int]]:
        """Rows that count on these ids: with the id, and the position of the merge by which they came to."""
        found = []
        for i in ids:
            found += [(row, i, row.carried_after or 0) for row in self.own[i]]
            found += [
                (row, i, merged)
                for row, merged in self.seen[i]
                if (row.position, i) in self.parted and row.carried_after is None
            ]
            found += [(row, i, 0) for row in self.taken_at_issue(i).values() if row.named_id != i]
        return found

    def standing(
        self, against: list[tuple[LedgerRow, str, int]], grants: list[LedgerRow]
    ) -> list[tuple[LedgerRow, str, int]]:
        def lifted_by(grant: LedgerRow, row: LedgerRow, i: str, merged: int) -> bool:
            joined = 0 if grant.named_id == i else self.since[frozenset((grant.named_id, i))]
            by_the_person = grant.evidence is not DECLARED or row.kind is not RowKind.OBJECT
            return grant.occurred_at > row.occurred_at and grant.position > max(joined, merged) and by_the_person

        return [entry for entry in against if not any(lifted_by(grant, *entry) for grant in grants)]

    def bears(self, row: LedgerRow, purpose: str, brand: str) -> bool:
        brands = {row.brand_id} if purpose == "promo" else {brand, ""} if row.kind in NEGATIVE else {brand}
        objected = row.kind is RowKind.OBJECT and row.purpose_id == DM and purpose in ("news", "promo")
        return (row.purpose_id == purpose or objected) and row.brand_id in brands

    def keys(self, closure: set[str]) -> set[tuple[str, str]]:
        rows = [row for row, _, _ in self.against(closure) if row.kind in NEGATIVE]
        rows += [row for i in closure for row in self.own[i] if row.kind is RowKind.GRANT]
        return {(row.purpose_id, "" if row.purpose_id == "promo" else row.brand_id) for row in rows}

    def key_state(self, closure: set[str], purpose: str, brand: str) -> Any:
        against = [e for e in self.against(closure) if e[0].kind in NEGATIVE and self.bears(e[0], purpose, brand)]
        grants = [
            row for i in closure for row in self.own[i] if row.kind is RowKind.GRANT and self.bears(row, purpose, brand)
        ]
        rows = [row for row, _, _ in self.standing(against, grants)]
        if rows:
            objections = [row for row in rows if row.kind is RowKind.OBJECT]
            last = max(objections or rows, key=lambda r: (r.occurred_at, NEGATIVE[r.kind], r.position))
            reask = [row.reask_not_before for row in rows if row.reask_not_before]
            return STATUS[last.kind], last.reference, None, (), max(reask) if reask else None
        if not grants:
            return None
        last = self.latest(grants)
        survivor = self.current(next(iter(closure)))
        granting = {}
        for i in closure:
            mine = [e for e in against if e[1] == i]
            own = [g for g in grants if g.named_id == i]
            decision = [g for g in grants if g.named_id == survivor]
            if decision and not self.standing([e for e in against if e[1] == survivor], decision):
                covering = self.latest(decision)
                if i != survivor and covering.position > self.since[frozenset((i, survivor))]:
                    own = [*own, covering]
            if own and not self.standing(mine, own):
                granting[i] = self.latest(own).expires_at
        return 1, last.reference, last.expires_at, tuple(sorted(granting.items())), None

    @staticmethod
    def latest(grants: list[LedgerRow]) -> LedgerRow:
        return sorted(grants, key=lambda row: (row.occurred_at, row.position))[-1]

    def subject(self, i: str) -> Any:
        closure = self.closure(i)
        states = {key: self.key_state(closure, *key) for key in self.keys(closure)}
        placed = [entry for entry in self.against(closure) if entry[0].kind is RowKind.RESTRICT]
        lifts = [row for j in closure for row in self.own[j] if row.kind is RowKind.LIFT]
        still = [row for row, _, _ in self.standing(placed, lifts)]
        restriction = self.latest(still).reference if still else None
        return self.current(i), sorted(closure - {self.current(i)}), states, restriction, sorted(closure & self.fenced)


def told(state: SubjectState) -> Any:
    """The code's state in the model's words."""
    states = {
        tuple(s.key): (
            int(s.status),
            s.reference,
            s.expires_at,
            tuple((g.profile_id, g.expires_at) for g in s.granting),
            s.reask_not_before,
        )
        for s in state.states
    }
    restriction = state.restriction.reference if state.restriction else None
    return state.profile_id, list(state.redirect_ids), states, restriction, [f.profile_id for f in state.fences]


@dataclass
class World:
    """Identity, which knows who is who, and a ledger that hears of it late or in another order."""

    profiles: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    pending: list[tuple[RowKind, PartitionChange]] = field(default_factory=list)
    rows: list[LedgerRow] = field(default_factory=list)
    issued: int = 0

    def issue(self) -> str:
        self.issued += 1
        return f"prf_{self.issued}"

    @property
    def ids(self) -> list[str]:
        return [f"prf_{number + 1}" for number in range(self.issued)]

    def record(self, named_id: str, kind: RowKind, occurred: int, **fields: Any) -> None:
        position = len(self.rows) + 1
        self.rows.append(LedgerRow(position, day(position), f"cev_{position}", named_id, kind, day(occurred), **fields))

    def announce(
        self, kind: RowKind, results: dict[str, frozenset[str]], version: int, issued: tuple[str, ...]
    ) -> None:
        for survivor, ids in results.items():
            self.profiles[survivor] = (version, ids)
        profiles = tuple(ResultingProfile(s, version, tuple(sorted(ids - {s}))) for s, ids in results.items())
        self.pending.append((kind, PartitionChange(f"evt_{len(self.rows)}", profiles, issued)))

    def merge(self, survivor: str, absorbed: str) -> None:
        (version, ids), (other, more) = self.profiles[survivor], self.profiles.pop(absorbed)
        self.announce(RowKind.MERGE, {survivor: ids | more}, max(version, other) + 1, ())

    def split(self, survivor: str, groups: list[int], issue: bool) -> None:
        """Part the ids of a profile: group 0 stays, 1 leaves under an id it had, 2 under one that is issued now."""
        version, ids = self.profiles[survivor]
        parts: dict[int, set[str]] = {0: {survivor}, 1: set(), 2: set()}
        for i, group in zip(sorted(ids - {survivor}), groups, strict=False):
            parts[group if issue or group < 2 else 1].add(i)
        parts[0] |= ids - parts[1] - parts[2]
        results = {survivor: frozenset(parts[0])}
        if parts[1]:
            results[min(parts[1])] = frozenset(parts[1])
        issued: tuple[str, ...] = ()
        if issue:
            issued = (self.issue(),)
            results[issued[0]] = frozenset(parts[2] | {*issued})
        if len(results) > 1:
            self.announce(RowKind.SPLIT, results, version + 1, issued)

    def deliver(self, index: int) -> None:
        kind, change = self.pending.pop(index)
        self.record(change.profiles[0].profile_id, kind, len(self.rows), partition=change)


KEYS = [("news", "a"), ("news", "b"), ("news", ""), ("promo", ""), ("stats", "a"), ("stats", ""), (DM, "a"), (DM, "")]


@st.composite
def worlds(draw: st.DrawFn, steps: int = 22, restrictions: bool = True) -> World:
    """A history in which the same few ids, keys and times meet often."""
    world = World()
    for _ in range(draw(st.integers(1, 3))):
        survivor = world.issue()
        world.profiles[survivor] = (1, frozenset((survivor,)))
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    late = draw(st.booleans())
    moves = ["grant", "grant", "no", "no", "merge", "merge", "split"] + ["restrict"] * restrictions
    for _ in range(draw(st.integers(1, steps))):
        move = draw(st.sampled_from(moves))
        survivors = sorted(world.profiles)
        if move == "merge" and len(survivors) > 1:
            one, other = draw(st.permutations(survivors))[:2]
            world.merge(one, other)
        elif move == "split":
            survivor = draw(st.sampled_from(survivors))
            groups = draw(st.lists(st.integers(0, 2), min_size=5, max_size=5))
            world.split(survivor, groups, draw(st.booleans()))
        elif move == "restrict":
            kind = draw(st.sampled_from([RowKind.RESTRICT, RowKind.LIFT]))
            world.record(draw(st.sampled_from(world.ids)), kind, draw(st.integers(0, 5)))
        else:
            decide(draw, world, keys, granted=move == "grant")
        while world.pending and not (late and draw(st.booleans())):
            world.deliver(draw(st.integers(0, len(world.pending) - 1)) if late else 0)
    while world.pending:
        world.deliver(draw(st.integers(0, len(world.pending) - 1)))
    return world


def decide(draw: st.DrawFn, world: World, keys: list[tuple[str, str]], *, granted: bool) -> None:
    purpose, brand = draw(st.sampled_from(keys))
    if granted:
        possible = [key for key in keys if key[0] != DM and (key[1] or key[0] == "promo")]
        if not possible:
            return
        purpose, brand = draw(st.sampled_from(possible))
        kind, expires, reask = RowKind.GRANT, draw(st.sampled_from([None, day(7), day(9)])), None
        evidence = draw(st.sampled_from([CAPTURED, DECLARED]))
    else:
        kind = RowKind.OBJECT if purpose == DM else draw(st.sampled_from([*sorted(NEGATIVE), RowKind.OBJECT]))
        expires, reask, evidence = None, draw(st.sampled_from([None, day(8), day(11)])), CAPTURED
        if purpose == "promo":
            brand = draw(st.sampled_from(["", "a"]))
    named = draw(st.sampled_from(world.ids))
    occurred = draw(st.integers(0, 5))
    world.record(
        named,
        kind,
        occurred,
        purpose_id=purpose,
        brand_id=brand,
        expires_at=expires,
        reask_not_before=reask,
        evidence=evidence,
    )


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
    rows = [replace(row, position=position) for position, row in enumerate([*decisions, *changes], 1)]
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
    kept = [replace(r, kind=RowKind.BLANK) if r.named_id in erased and not r.partition else r for r in world.rows]
    for named_id, draft in carried:
        position += 1
        kept.append(draft.at(position, recorded_at=START, reference="cev_carried", named_id=named_id))
    for named_id in sorted(erased):
        position += 1
        kept.append(LedgerRow(position, START, "cev_fence", named_id, RowKind.FENCE, START))
    living = [i for i in world.ids if i not in erased]
    tail = [row for row in later.rows if row.partition is None and row.named_id in living]
    tail = [replace(row, position=position + n, reference=f"cev_tail_{n}") for n, row in enumerate(tail, 1)]
    for n in range(len(tail) + 1):
        with_person = History(TRAITS, [*world.rows, *tail[:n]])
        without = History(TRAITS, [*kept, *tail[:n]])
        for i in living:
            assert anonymous(resolve_subject(without, i)) == anonymous(resolve_subject(with_person, i))
    fenced = History(TRAITS, kept)
    assert all({fence.profile_id for fence in resolve_subject(fenced, i).fences} == erased for i in erased)


def anonymous(state: SubjectState) -> Any:
    """A state without the references of the rows that it rests on, which may be those of the erased."""
    states = tuple(replace(s, reference="", position=0) for s in state.states)
    return replace(state, states=states, restriction=None), state.restriction is not None
