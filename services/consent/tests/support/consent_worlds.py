"""Histories in which the same few people, keys and times meet often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from consent_model import CAPTURED, DECLARED, DM, NEGATIVE, day
from hypothesis import strategies as st
from rapport_consent.domain.rows import LedgerRow, PartitionChange, ResultingProfile, RowKind


@dataclass
class World:
    """Identity, which knows who is who, and a ledger that hears of it late or in another order."""

    profiles: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    pending: list[tuple[RowKind, PartitionChange]] = field(default_factory=list)
    rows: list[LedgerRow] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def issue(self) -> str:
        self.ids.append(f"prf_{len(self.ids) + 1}")
        return self.ids[-1]

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
