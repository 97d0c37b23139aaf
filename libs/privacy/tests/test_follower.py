"""The follower: what keeps a replica complete and fresh, on a clock that the test moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import timedelta

import pytest
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_privacy.follower import Follower, Occurrence, Timing
from rapport_privacy.freshness import BOUND_S, CONTINUATION_S, Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.ports import LedgerHead
from rapport_privacy.replica import Applied, Replica
from rapport_privacy.vocabulary import Answer, Reason
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import BEGINNING, LedgerModel

ANNA = "prf_anna"
WITHDRAWN = ledger_pb2.CONSENT_STATUS_WITHDRAWN
STEP_S = 0.0625  # a binary fraction: steps add up exactly
TURNS = 30


class Ledger(LedgerModel):
    """The model with faults: heads that hang or lie, changes that are withheld, snapshots that are damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.head_gate = asyncio.Event()
        self.head_gate.set()
        self.heads_asked = 0
        self.changes_gate = asyncio.Event()
        self.changes_gate.set()
        self.changes_asked: list[str] = []
        self.head_answer: LedgerHead | None = None
        self.withheld = False
        self.broken_snapshots = 0
        self.open_snapshots = 0
        self.heads_hang_after_load = False
        since = BEGINNING - timedelta(days=1)
        self.define("mail", purpose_pb2.LEGAL_BASIS_CONSENT, active_from=since)
        self.define("orders", purpose_pb2.LEGAL_BASIS_CONTRACT, active_from=since)
        self.grant(ANNA, "mail")

    async def read(self) -> LedgerHead:
        self.heads_asked += 1
        head = self.head_answer or await super().read()
        await self.head_gate.wait()
        return head

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        self.changes_asked.append(epoch)
        changes = await super().after(position, limit, epoch)
        await self.changes_gate.wait()
        return [] if self.withheld else changes

    async def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        messages = [message async for message in super().stream()]
        if self.broken_snapshots:
            self.broken_snapshots -= 1
            messages.insert(1, messages[0])
        self.open_snapshots += 1
        if self.heads_hang_after_load:
            self.head_gate.clear()
        try:
            for message in messages:
                yield message
        finally:
            self.open_snapshots -= 1


class World:
    """A follower of that ledger."""

    def __init__(
        self, timing: Timing | None = None, chance: Callable[[], float] = lambda: 0.0, *, pushed: bool = False
    ) -> None:
        self.pushed = pushed
        self.ledger = Ledger()
        self.clock = TestClock(BEGINNING)
        self.replica = Replica()
        freshness = Freshness()
        self.gate = Gate(self.replica, freshness, self.clock)
        self.reports: list[Occurrence] = []
        self.observed: list[int] = []
        self.follower = Follower(
            self.replica,
            freshness,
            heads=self.ledger,
            changes=self.ledger,
            snapshots=self.ledger,
            clock=self.clock,
            timing=timing,
            report=self.reports.append,
            observe=lambda change: self.observed.append(change.position),
            is_pushed=lambda: self.pushed,
            chance=chance,
        )

    async def settle(self) -> None:
        """Let everybody run who can; the fakes need no more turns than this."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, with everybody running in between."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            await self.settle()

    def answer(self, purpose: str = "mail") -> Answer:
        return Answer(self.gate.check(ANNA, purpose).answer)

    def reason(self, purpose: str = "mail") -> Reason:
        return Reason(self.gate.check(ANNA, purpose).reason)


Started = AsyncIterator[World]


@pytest.fixture
async def world() -> Started:
    """Started, loaded and fresh."""
    world = World()
    await world.follower.start()
    await world.settle()
    yield world
    await world.follower.stop()


async def test_a_start_loads_and_turns_fresh_without_delay(world: World) -> None:
    assert world.answer() == Answer.PERMIT
    assert world.replica.position == world.ledger.position
    assert world.reports == [Occurrence.LOADED]


async def test_it_stays_fresh_while_nothing_happens(world: World) -> None:
    for _ in range(20):
        await world.pass_time(1)
        assert world.answer() == Answer.PERMIT
        assert world.gate.staleness_s <= Timing().head_every_s + STEP_S


async def test_an_idle_gate_reads_the_head_less_often_and_is_fresh_for_the_first_who_asks() -> None:
    world, timing = World(pushed=True), Timing()
    await world.follower.start()
    await world.settle()
    for _ in range(20):
        asked = world.ledger.heads_asked
        await world.pass_time(10 * timing.idle_head_every_s)
        assert world.ledger.heads_asked - asked <= 11
        assert world.answer() == Answer.PERMIT
        assert world.gate.staleness_s <= timing.idle_head_every_s + STEP_S
    await world.follower.stop()


@pytest.mark.parametrize("reason", ["asked", "not pushed", "unreadable", "behind"])
async def test_an_idle_gate_reads_the_head_as_often_as_any_once_that_matters(reason: str) -> None:
    world, timing = World(pushed=reason != "not pushed"), Timing()
    await world.follower.start()
    await world.pass_time(10)
    world.ledger.reachable = reason != "unreadable"
    if reason == "behind":
        world.ledger.withheld = True
        world.ledger.grant(ANNA, "mail")
        await world.pass_time(timing.idle_head_every_s)
    elif reason == "unreadable":
        await world.pass_time(timing.idle_head_every_s)
    asked = world.ledger.heads_asked
    for _ in range(round(10 / timing.head_every_s)):
        if reason == "asked":
            world.answer()
        await world.pass_time(timing.head_every_s)
    assert world.ledger.heads_asked - asked >= 0.8 * 10 / timing.head_every_s
    await world.follower.stop()


async def test_a_ledger_that_cannot_be_reached_delays_no_start_and_is_asked_until_it_answers() -> None:
    world = World()
    world.ledger.reachable = False
    await world.follower.start()
    await world.pass_time(20)
    assert world.reason("orders") == Reason.COLD
    world.ledger.reachable = True
    await world.pass_time(Timing().retry_most_s)
    assert world.answer() == Answer.PERMIT
    await world.follower.stop()


async def test_a_damaged_snapshot_is_closed_and_asked_for_again() -> None:
    world = World()
    world.ledger.broken_snapshots = 2
    await world.follower.start()
    await world.settle()
    assert world.reason() == Reason.COLD
    assert world.ledger.open_snapshots == 0
    await world.pass_time(2)
    assert world.answer() == Answer.PERMIT
    assert world.reports.count(Occurrence.CHANGES_UNREADABLE) == 2
    await world.follower.stop()


async def test_a_pushed_change_is_applied_at_once(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    assert world.follower.offer(world.ledger.changes[-1]) is Applied.FOLDED
    assert world.reason() == Reason.WITHDRAWN


async def test_an_announced_change_is_fetched_at_once(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    world.follower.hint()
    await world.settle()
    assert world.reason() == Reason.WITHDRAWN


@pytest.mark.parametrize(("chance", "after_s"), [(0.0, 0.5), (1.0, 0.75)])
async def test_a_gap_is_filled_after_its_time_with_jitter(chance: float, after_s: float) -> None:
    world = World(chance=lambda: chance)
    await world.follower.start()
    await world.settle()
    for _ in range(3):
        world.ledger.grant(ANNA, "mail")
    position = world.replica.position
    world.follower.offer(world.ledger.changes[-1])
    await world.pass_time(after_s - STEP_S)
    assert world.replica.position == position
    await world.pass_time(2 * STEP_S)
    assert world.replica.position == world.ledger.position
    assert world.reports[-1] == Occurrence.GAP_FILLED
    await world.follower.stop()


async def test_changes_are_observed_as_they_come_and_as_they_are_filled_in_but_not_those_of_a_snapshot(
    world: World,
) -> None:
    assert world.observed == []
    for _ in range(3):
        world.ledger.grant(ANNA, "mail")
    first, second, third = (change.position for change in world.ledger.changes[-3:])
    world.follower.offer(world.ledger.changes[-1])
    assert world.observed == [third]
    await world.pass_time(1)
    assert {first, second} <= set(world.observed)


async def test_a_gap_that_closes_by_itself_is_not_filled(world: World) -> None:
    for _ in range(2):
        world.ledger.grant(ANNA, "mail")
    missing, early = world.ledger.changes[-2:]
    world.follower.offer(early)
    await world.pass_time(0.375)
    world.follower.offer(missing)
    asked = len(world.ledger.changes_asked)
    await world.pass_time(1)
    assert world.replica.position == world.ledger.position
    assert len(world.ledger.changes_asked) == asked


async def test_without_any_feed_the_head_alone_brings_a_withdrawal_within_the_bound(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    await world.pass_time(BOUND_S)
    assert world.reason() == Reason.WITHDRAWN


async def test_a_replica_fed_by_filling_alone_fills_as_soon_as_the_head_moves() -> None:
    world = World(Timing(fill_after_s=0.0))
    await world.follower.start()
    await world.settle()
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    await world.pass_time(Timing().head_every_s + STEP_S)
    assert world.reason() == Reason.WITHDRAWN
    assert world.reports == [Occurrence.LOADED]  # nothing was ever missing
    await world.follower.stop()


async def test_a_long_gap_is_filled_page_by_page() -> None:
    world = World(Timing(page=2))
    await world.follower.start()
    await world.settle()
    for _ in range(11):
        world.ledger.grant(ANNA, "mail")
    await world.pass_time(1)
    assert world.replica.position == world.ledger.position
    await world.follower.stop()


async def test_a_head_that_moves_while_its_changes_are_withheld_ends_in_staleness_and_recovers(world: World) -> None:
    world.ledger.withheld = True
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    await world.pass_time(BOUND_S)
    assert world.reason() == Reason.STALE
    assert world.answer("orders") == Answer.PERMIT
    assert Occurrence.CHANGES_UNREADABLE in world.reports
    world.ledger.withheld = False
    await world.pass_time(Timing().retry_most_s)
    assert world.reason() == Reason.WITHDRAWN


async def test_an_unreachable_ledger_ends_in_staleness_then_in_silence_and_recovers_by_itself(world: World) -> None:
    world.ledger.reachable = False
    await world.pass_time(BOUND_S)
    assert world.reason() == Reason.STALE
    assert world.answer("orders") == Answer.PERMIT
    await world.pass_time(CONTINUATION_S - BOUND_S)
    assert world.answer("orders") == Answer.DENY_STALE
    world.ledger.reachable = True
    await world.pass_time(0.5)
    assert world.answer() == Answer.PERMIT
    assert world.reports[1:] == [Occurrence.HEAD_UNREADABLE, Occurrence.HEAD_READABLE]


async def test_a_process_that_was_paused_permits_nothing_until_it_has_asked_again(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    world.clock.advance(60)
    assert world.reason() == Reason.STALE
    await world.pass_time(1)
    assert world.reason() == Reason.WITHDRAWN


async def test_a_head_whose_answer_takes_longer_than_the_bound_makes_nothing_fresh(world: World) -> None:
    world.ledger.head_gate.clear()
    await world.pass_time(BOUND_S + 0.5)
    assert world.reason() == Reason.STALE
    world.ledger.head_gate.set()
    await world.settle()
    assert world.reason() == Reason.STALE
    await world.pass_time(0.5)
    assert world.answer() == Answer.PERMIT


async def test_a_head_below_the_prefix_makes_stale_at_once_is_reported_and_ends_in_a_new_load(world: World) -> None:
    world.ledger.broken_snapshots = 2
    world.ledger.head_answer = LedgerHead(world.ledger.epoch, world.ledger.position - 1)
    await world.pass_time(0.25)
    assert world.reason() == Reason.STALE
    assert world.answer("orders") == Answer.PERMIT
    assert world.reports[1:] == [Occurrence.HEAD_REGRESSED, Occurrence.CHANGES_UNREADABLE]
    world.ledger.head_answer = None
    await world.pass_time(1)
    assert world.reason() == Reason.STALE  # a head that has come back does not clear what is in doubt
    await world.pass_time(1)
    assert world.reports[-1] == Occurrence.LOADED
    assert world.answer() == Answer.PERMIT


async def test_another_epoch_makes_cold_and_ends_in_a_new_load(world: World) -> None:
    world.ledger.restore(2, "epoch-2")
    world.ledger.reachable = True
    world.ledger.broken_snapshots = 1
    await world.pass_time(0.25)
    assert world.reason("orders") == Reason.COLD
    await world.pass_time(1)
    assert world.reason() == Reason.NO_DECISION
    assert world.replica.epoch == "epoch-2"
    assert Occurrence.EPOCH_CHANGED in world.reports


async def test_a_page_of_an_old_epoch_that_comes_late_leads_to_no_further_reading() -> None:
    world = World(Timing(page=1))
    await world.follower.start()
    await world.settle()
    world.ledger.broken_snapshots = 1
    world.ledger.changes_gate.clear()
    world.ledger.grant(ANNA, "mail")
    world.follower.hint()
    await world.settle()
    world.ledger.restore(3, "epoch-2")
    await world.pass_time(0.25)
    world.ledger.changes_gate.set()
    await world.pass_time(1)
    assert world.answer() == Answer.PERMIT
    assert "" not in world.ledger.changes_asked
    await world.follower.stop()


async def test_what_was_fresh_in_an_old_epoch_is_not_fresh_in_a_new_one(world: World) -> None:
    world.ledger.restore(3, "epoch-2")
    world.ledger.heads_hang_after_load = True
    await world.pass_time(0.25)
    assert world.replica.epoch == "epoch-2"
    assert world.reason("orders") == Reason.STALE
    world.ledger.head_gate.set()
    await world.settle()
    assert world.answer("orders") == Answer.PERMIT


async def test_a_replica_is_fresh_as_soon_as_it_has_caught_up_with_a_head_it_knows(world: World) -> None:
    world.ledger.withheld = True
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    await world.pass_time(0.25)
    world.ledger.head_gate.clear()
    await world.pass_time(BOUND_S - 0.25)
    assert world.reason() == Reason.STALE
    world.follower.offer(world.ledger.changes[-1])
    assert world.reason() == Reason.WITHDRAWN


async def test_a_late_message_of_an_old_epoch_changes_nothing(world: World) -> None:
    late = world.ledger.changes[-1]
    world.ledger.restore(3, "epoch-2")
    await world.pass_time(0.5)
    assert world.follower.offer(late) is Applied.FOREIGN
    await world.pass_time(0.5)
    assert world.answer() == Answer.PERMIT
    assert world.reports.count(Occurrence.EPOCH_CHANGED) == 1


async def test_the_first_message_of_a_new_epoch_has_the_head_asked_at_once(world: World) -> None:
    world.ledger.restore(2, "epoch-2")
    world.ledger.grant("prf_bert", "mail")
    world.follower.offer(world.ledger.changes[-1])
    await world.settle()
    assert world.reason() == Reason.NO_DECISION
    assert world.gate.check("prf_bert", "mail").answer == Answer.PERMIT


async def test_a_head_asked_before_a_load_says_nothing_about_what_was_loaded(world: World) -> None:
    world.ledger.head_gate.clear()
    await world.pass_time(0.25)
    world.replica.chill()
    world.ledger.head_gate.set()
    await world.settle()
    assert world.reason() == Reason.COLD
    assert world.reports == [Occurrence.LOADED]


async def test_a_stopped_follower_asks_nothing_and_leaves_a_replica_that_turns_stale(world: World) -> None:
    await world.follower.stop()
    asked = world.ledger.heads_asked
    await world.pass_time(BOUND_S)
    assert world.ledger.heads_asked == asked
    assert world.reason() == Reason.STALE
