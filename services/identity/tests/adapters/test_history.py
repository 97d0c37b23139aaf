"""Profiles, the ids that stand for them, and who was who at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_identity.adapters import moves, profiles
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.partition import PartitionStore, PartitionUnit
from rapport_identity.app.stored import Move, MoveKind, ProfileStatus, StoredProfile
from rapport_identity.domain.facets import Facet, state_of
from rapport_identity.domain.identities import Passage


def profile(name: str, version: int, status: ProfileStatus = ProfileStatus.ACTIVE) -> StoredProfile:
    facet = Facet((1,), False, name, "", "", "", datetime(2026, 1, version, tzinfo=UTC))
    return StoredProfile(f"prf_{name}", version, status, state_of([(1, facet)]))


def redirect(issued: str, current: str) -> Move:
    return Move(MoveKind.REDIRECT, f"prf_{issued}", f"prf_{current}", None, "", "steward")


def move(record_no: int, source: str, target: str) -> Move:
    return Move(MoveKind.RECORD, f"prf_{source}" if source else "", f"prf_{target}", record_no, "mat_1", "matcher")


async def make(store: PartitionStore) -> Head:
    """Two people, `a` with the records 1 and 2, `b` with 3, both at position 1."""
    async with store.unit() as unit:
        held = await unit.hold()
        await profiles.create(unit.connection, held, [profile("a", 1), profile("b", 1)])
        steps = [move(1, "", "a"), move(2, "", "a"), move(3, "", "b")]
        await moves.add(unit.connection, held, steps)
        await unit.advance(held)
    return held


async def merge(unit: PartitionUnit) -> Head:
    held = await unit.hold()
    await profiles.change(unit.connection, held, [profile("a", 2), profile("b", 2, ProfileStatus.MERGED)])
    await profiles.redirect(unit.connection, {"prf_b": "prf_a"})
    await moves.add(unit.connection, held, [redirect("b", "a"), move(3, "b", "a")])
    await unit.advance(held)
    return held


async def split(unit: PartitionUnit) -> Head:
    held = await unit.hold()
    await profiles.change(unit.connection, held, [profile("a", 3), profile("b", 3)])
    await profiles.redirect(unit.connection, {"prf_b": "prf_b"})
    await moves.add(unit.connection, held, [redirect("b", "b"), move(3, "a", "b")])
    await unit.advance(held)
    return held


async def test_every_issued_id_stands_for_one_profile_in_one_hop(store: PartitionStore) -> None:
    await make(store)
    everyone = ["prf_a", "prf_b", "prf_unknown"]
    async with store.unit() as unit:
        await merge(unit)
    async with store.unit() as unit:
        assert await profiles.current(unit.connection, everyone) == {"prf_a": "prf_a", "prf_b": "prf_a"}
        assert await profiles.redirecting(unit.connection, ["prf_a", "prf_b"]) == {"prf_a": ["prf_b"], "prf_b": []}
        assert await profiles.id_map(unit.connection, "", 10) == [("prf_a", "prf_a"), ("prf_b", "prf_a")]
        assert await profiles.id_map(unit.connection, "prf_a", 10) == [("prf_b", "prf_a")]
        await split(unit)
    async with store.unit() as unit:
        assert await profiles.current(unit.connection, everyone) == {"prf_a": "prf_a", "prf_b": "prf_b"}
        assert await profiles.redirecting(unit.connection, ["prf_a"]) == {"prf_a": []}


async def test_present_and_past_of_an_id_and_its_records_are_told_apart(store: PartitionStore) -> None:
    heads = [await make(store)]
    for step in (merge, split):
        async with store.unit() as unit:
            heads.append(await step(unit))
    together = {"prf_a": [1, 2, 3], "prf_b": []}
    apart = {"prf_a": [1, 2], "prf_b": [3]}
    async with store.unit() as unit:
        for held, stood, members in (
            (heads[0], {"prf_a": "prf_a", "prf_b": "prf_b"}, apart),
            (heads[1], {"prf_a": "prf_a", "prf_b": "prf_a"}, together),
            (heads[2], {"prf_a": "prf_a", "prf_b": "prf_b"}, apart),
        ):
            assert await moves.stood_for(unit.connection, ["prf_a", "prf_b"], held.recorded_at) == stood
            for profile_id, numbers in members.items():
                assert await moves.members(unit.connection, [profile_id], held.recorded_at) == {profile_id: numbers}
        before = heads[0].recorded_at - timedelta(microseconds=1)
        assert await moves.stood_for(unit.connection, ["prf_a"], before) == {}
        assert await moves.members(unit.connection, ["prf_a"], before) == {"prf_a": []}


async def test_history_is_replayed_in_order_from_any_position(store: PartitionStore) -> None:
    first = await make(store)
    async with store.unit() as unit:
        second = await merge(unit)
    async with store.unit() as unit:
        recorded = await moves.since(unit.connection, 0, 2)
        assert [each.move for each in await moves.since(unit.connection, 1, 2)] == [
            redirect("b", "a"),
            move(3, "b", "a"),
        ]
        changed = await profiles.since(unit.connection, 1, 2)
    assert [each.position for each in recorded] == [1, 1, 1, 2, 2]
    assert {each.recorded_at for each in recorded} == {first.recorded_at, second.recorded_at}
    assert changed == [profile("a", 2), profile("b", 2, ProfileStatus.MERGED)]


async def test_passages_of_a_record_say_which_were_by_merge(store: PartitionStore) -> None:
    await make(store)
    for step in (merge, split):
        async with store.unit() as unit:
            await step(unit)
    async with store.unit() as unit:
        of_records, of_ids = await moves.histories(unit.connection, [1, 3], ["prf_b"])
    assert of_records == {
        1: [Passage("prf_a", False)],
        3: [Passage("prf_b", False), Passage("prf_a", True), Passage("prf_b", False)],
    }
    assert of_ids == {"prf_b": [Passage("prf_a", False), Passage("prf_b", False)]}


async def test_replayed_history_gives_the_partition_that_is_stored(store: PartitionStore, desk: Any) -> None:
    drafts = desk.people(60)
    for start in range(0, 60, 20):
        await desk.take_in(drafts[start : start + 20])
    async with store.unit() as unit:
        owner = {each.move.record_no: each.move.to_profile for each in await moves.since(unit.connection, 0, 99)}
        rows = await (await unit.connection.execute("SELECT record_no, profile_id FROM records")).fetchall()
    assert {number: profile_id for number, profile_id in owner.items() if number is not None} == dict(rows)


async def test_version_of_a_profile_rises_or_nothing_is_written(store: PartitionStore) -> None:
    await make(store)
    for stale in (profile("a", 1), profile("unknown", 9)):
        with pytest.raises(RuntimeError):
            async with store.unit() as unit:
                await profiles.change(unit.connection, await unit.hold(), [profile("b", 2), stale])
    async with store.unit() as unit:
        assert await profiles.get(unit.connection, ["prf_a", "prf_b"]) == {
            "prf_a": profile("a", 1),
            "prf_b": profile("b", 1),
        }


async def test_id_that_was_never_issued_cannot_be_redirected(store: PartitionStore) -> None:
    await make(store)
    with pytest.raises(RuntimeError):
        async with store.unit() as unit:
            await profiles.redirect(unit.connection, {"prf_b": "prf_a", "prf_unknown": "prf_a"})
    async with store.unit() as unit:
        assert await profiles.current(unit.connection, ["prf_b"]) == {"prf_b": "prf_b"}
