"""The rules of the ledger told from their prose, row by row: what resolution must come to.

It shares nothing with the code that it is held against but the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence
from rapport_consent.domain.history import PurposeTraits
from rapport_consent.domain.rows import LedgerRow, PartitionChange, RowKind
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
            by_the_person = grant.evidence != DECLARED or row.kind is not RowKind.OBJECT
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
