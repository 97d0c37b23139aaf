"""Worlds in which everything goes wrong that can: no decision of any gate may be wrong in the dangerous direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from math import inf
from typing import Any

import pytest
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_privacy.freshness import BOUND_S, CONTINUATION_S, Freshness
from rapport_privacy.replica import Applied, Replica
from rapport_testing.gate_history.judge import Fault, Windows
from rapport_testing.gate_history.machine import Make
from rapport_testing.gate_history.world import World
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale

STEPS = 400
PARTS = 4
WINDOWS = (Windows(), Windows(continuation_s=15.0))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_decision_in_any_world_is_wrong_in_the_dangerous_direction(
    scale: Scale, prove: Prove, progress: MakeProgress, part: int
) -> None:
    wanted = scale.pick(small=2_500, full=250_000)
    bar = progress(wanted, f"judged decisions, part {part + 1} of {PARTS}")
    answers, troubles = Counter[int](), Counter[str]()
    for seed in seeds(part):
        with closing(World(seed, WINDOWS[seed // PARTS % 2])) as world:
            world.run(STEPS)
            world.settle()
            assert not world.judge.condemned, f"seed {seed}: {world.judge.condemned}"
            world.assert_all_replicas_are_the_ledger()
        answers += world.judge.answers
        troubles += world.troubles.counted
        bar.advance(world.judge.decisions)
        if answers.total() >= wanted:
            break
    assert answers[consent_pb2.ANSWER_PERMIT] > wanted / 10
    prove("gate", **{f"simulated_decisions_{part}": answers.total(), f"simulated_troubles_{part}": troubles.total()})


def test_a_world_follows_from_its_seed() -> None:
    first, second = (played(World(77)) for _ in range(2))
    assert (first.answers, first.faults) == (second.answers, second.faults)


class AlwaysFresh(Freshness):
    """Once fresh, for ever fresh."""

    def applied(self, position: int, now: float) -> None:
        super().applied(position, now)
        if self.confirmed_at > -inf:
            self.fresh_until = self.continues_until = inf


class FreshByReceipt(Freshness):
    """Counts from when the head arrived, not from when it was asked for."""

    def head_read(self, began_at: float, head: int, applied: int, now: float) -> None:
        super().head_read(now, head, applied, now)


class FreshByHearsay(Freshness):
    """Takes a head that was read for a ledger that is known."""

    def head_read(self, began_at: float, head: int, applied: int, now: float) -> None:
        super().head_read(began_at, 0, applied, now)


class ThroughFences(Replica):
    """Overlooks fences."""

    def apply(self, change: ledger_pb2.LedgerChange) -> Applied:
        return super().apply(copied(change, without_fences=True))


class OverGaps(Replica):
    """Takes whatever comes for the next change."""

    def apply(self, change: ledger_pb2.LedgerChange) -> Applied:
        if self.warm and change.epoch == self.epoch:
            self.position = max(self.position, change.position - 1)
        return super().apply(change)


class AcrossEpochs(Replica):
    """Takes changes of any epoch."""

    def apply(self, change: ledger_pb2.LedgerChange) -> Applied:
        return super().apply(copied(change, epoch=self.epoch) if self.warm else change)


def copied(change: ledger_pb2.LedgerChange, *, epoch: str = "", without_fences: bool = False) -> Any:
    made = ledger_pb2.LedgerChange()
    made.CopyFrom(change)
    made.epoch = epoch or change.epoch
    if without_fences:
        del made.fences[:]
    return made


@pytest.mark.parametrize(
    ("unsound", "fault"),
    [
        (AlwaysFresh, Fault.LATE),
        (FreshByReceipt, Fault.WITHOUT_PROOF),
        (FreshByHearsay, Fault.OUTDATED),
        (ThroughFences, Fault.FENCED),
        (OverGaps, Fault.WRONG),
        (AcrossEpochs, Fault.NOWHERE),
    ],
    ids=lambda each: each.name.lower() if isinstance(each, Fault) else each.__name__,
)
def test_a_gate_that_is_not_sound_is_condemned(unsound: Any, fault: Fault) -> None:
    if issubclass(unsound, Replica):
        make = Make(replica=unsound)
    else:
        make = Make(freshness=lambda windows: unsound(**windows._asdict()))
    assert any(is_found(fault, World(seed, Windows(continuation_s=15.0), make)) for seed in range(40))


def is_found(fault: Fault, world: World) -> bool:
    """Whether a world comes to a fault; it ends with the first."""
    with closing(world):
        for _ in range(STEPS):
            world.run(1)
            if fault in world.judge.faults:
                return True
    return False


def played(world: World) -> Any:
    with closing(world):
        world.run(STEPS // 2)
        return world.judge


def seeds(part: int) -> Iterator[int]:
    return (PARTS * number + part for number in count())


def test_the_windows_judged_by_are_those_of_the_gate() -> None:
    assert Windows() == (BOUND_S, CONTINUATION_S)
