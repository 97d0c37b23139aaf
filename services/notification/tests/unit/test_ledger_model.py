"""All interleavings of two workers, a recovery and a peer, with kills, stops and lost answers, up to small bounds."""

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from rapport_notification.domain import ledger
from rapport_notification.domain.entries import FINAL, WAITING, Entry, Limits, State, StepRefusedError, Verdict
from rapport_notification.domain.resolution import BLIND, Capability, Way, resolution
from rapport_notification.domain.vocabulary import DropReason, MessageClass
from rapport_testing.prove import Scale

LIMITS = Limits(lease_us=2, transfer_us=1, margin_us=0)
KEY = Capability(key_for_us=14)
LOOK_UP = Capability(look_up_for_us=40, look_up_after_us=1)


class Worker(NamedTuple):
    """What a worker believes: its own copy of the entry, and what came of the send."""

    entry: Entry | None = None
    outcome: str = ""


class World(NamedTuple):
    entry: Entry
    now: int = 0
    workers: tuple[Worker, ...] = (Worker(), Worker())
    arrived: int = 0
    keys: frozenset[int] = frozenset()
    refusals: int = 1
    kills: int = 2
    takes_back: bool = False


class Model:
    def __init__(self, capability: Capability, horizon: int, attempts: int) -> None:
        self.capability, self.horizon, self.attempts = capability, horizon, attempts

    def steps(self, world: World) -> Iterator[World]:
        if world.now < self.horizon:
            yield world._replace(now=world.now + 1)
        for index, worker in enumerate(world.workers):
            for changed, other in self.work(world, worker):
                workers = (*world.workers[:index], other, *world.workers[index + 1 :])
                yield changed._replace(workers=workers)
        if world.takes_back and world.entry.state not in FINAL:
            yield world._replace(entry=ledger.take_back(world.entry, State.CANCELLED), takes_back=False)
        yield from self.recovery(world)

    def work(self, world: World, worker: Worker) -> Iterator[tuple[World, Worker]]:
        mine, stored = worker.entry, world.entry
        if mine is not None and world.kills:
            yield world._replace(kills=world.kills - 1), Worker()
        if mine is None:
            try:
                taken = ledger.claim(stored, world.now, LIMITS)
            except StepRefusedError:
                return
            yield world._replace(entry=taken), Worker(taken)
        elif mine.state in WAITING:
            yield from self.start(world, mine)
        elif not worker.outcome:
            yield from self.hand_over(world, mine)
        else:
            yield self.report(world, worker), Worker()

    def start(self, world: World, mine: Entry) -> Iterator[tuple[World, Worker]]:
        if (mine.state, mine.fence) != (world.entry.state, world.entry.fence):
            yield world, Worker()  # the write is refused: compare and set
            return
        if not ledger.may_begin(mine, mine.fence, world.now, LIMITS):
            expired = mine.expires_us is not None and world.now >= mine.expires_us
            if expired:
                yield world._replace(entry=ledger.drop(mine, mine.fence, DropReason.EXPIRED)), Worker()
            elif mine.repeating:
                yield world._replace(entry=ledger.stop_repeating(mine, mine.fence)), Worker()
            else:
                yield world, Worker()
            return
        begun = ledger.begin(mine, mine.fence, world.now, LIMITS, "peer")
        yield world._replace(entry=begun), Worker(begun)

    def hand_over(self, world: World, mine: Entry) -> Iterator[tuple[World, Worker]]:
        if world.now > mine.begun_us + LIMITS.transfer_us:
            yield world, Worker(mine, "unknown")  # too late to send the first byte
            return
        arrives = not (self.capability.key_for_us and mine.series in world.keys)
        there = world._replace(arrived=world.arrived + arrives, keys=world.keys | {mine.series})
        yield there, Worker(mine, "sent")
        yield there, Worker(mine, "unknown")
        yield world, Worker(mine, "unknown")
        if world.refusals:
            yield world._replace(refusals=world.refusals - 1), Worker(mine, "refused")

    def report(self, world: World, worker: Worker) -> World:
        mine, stored = worker.entry, world.entry
        assert mine is not None
        try:
            if worker.outcome == "sent":
                if (stored.state, stored.fence) == (mine.state, mine.fence):
                    return world._replace(entry=ledger.sent(stored, mine.fence))
                return world._replace(entry=ledger.settled_as_sent(stored, mine.attempt))
            if worker.outcome == "refused":
                return world._replace(entry=ledger.not_sent(stored, mine.fence, world.now))
            return world._replace(entry=ledger.unknown(stored, mine.fence))
        except StepRefusedError:
            return world

    def recovery(self, world: World) -> Iterator[World]:
        entry = world.entry
        if entry.state is State.INTENT and entry.leased_until_us <= world.now:
            yield world._replace(entry=ledger.recover(entry, world.now))
        if entry.state is not State.UNKNOWN:
            return
        found = resolution(entry, self.capability, world.now, LIMITS)
        if found.way is Way.GIVE_UP or (found.way is not Way.ASK and entry.attempt >= self.attempts):
            if found.way is not Way.WAIT:
                yield world._replace(entry=ledger.settled_as_ambiguous(entry, entry.fence))
        elif found.way is Way.ASK and world.arrived:
            yield world._replace(entry=ledger.settled_as_sent(entry, entry.attempt))
        elif found.way in {Way.ASK, Way.SEND_AGAIN}:
            yield world._replace(entry=ledger.send_again(entry, entry.fence))
        elif found.way is Way.REPEAT:
            yield world._replace(entry=ledger.send_again(entry, entry.fence, repeat_until_us=found.until_us))

    def explore(self, first: World) -> set[World]:
        """Return every state that can be reached."""
        seen, waiting = {first}, [first]
        while waiting:
            for after in self.steps(waiting.pop()):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    def walk(self, first: World, walks: int) -> set[World]:
        """Return the states on random ways, longer ones than can all be looked at."""
        draw, seen = random.Random(walks), set()
        for _ in range(walks):
            world = first
            while others := list(self.steps(world)):
                world = draw.choice(others)
                seen.add(world)
        return seen


CASES = [
    (message_class, capability)
    for message_class in (MessageClass.MARKETING, MessageClass.LEGAL)
    for capability in (KEY, LOOK_UP, BLIND)
]


@pytest.mark.parametrize(("message_class", "capability"), CASES, ids=str)
@pytest.mark.parametrize("takes_back", [False, True])
def test_no_interleaving_loses_a_message_or_sends_it_twice(
    message_class: MessageClass, capability: Capability, takes_back: bool, scale: Scale
) -> None:
    first = World(Entry(message_class, expires_us=None if takes_back else 20), takes_back=takes_back)
    reached = Model(capability, horizon=30, attempts=3).walk(first, scale.pick(small=80, full=20_000))
    closely = first._replace(refusals=0, kills=1)
    reached |= Model(capability, horizon=scale.pick(small=3, full=6), attempts=3).explore(closely)
    certain = capability is not BLIND
    for world in reached:
        entry = world.entry
        in_time = capability is LOOK_UP or (capability is KEY and world.now + LIMITS.lease_us <= KEY.key_for_us)
        if in_time or not message_class.at_least_once:
            assert world.arrived <= 1, world
        if entry.state is State.SENT or entry.verdict is Verdict.SENT:
            assert world.arrived >= 1, world
        if entry.state in {State.CANCELLED, State.DROPPED, State.FAILED}:
            assert world.arrived == 0 or message_class.at_least_once, world
        if entry.state in FINAL and not takes_back and entry.attempt < 3 and world.now < 20:
            known = entry.state is State.SENT or entry.verdict is Verdict.SENT
            if message_class.at_least_once or capability is LOOK_UP:
                assert known, world  # no ambiguous end where the class or the peer has a better one
    ends = {world.entry.state for world in reached if world.entry.state in FINAL}
    assert State.SENT in ends
    assert any(world.entry.verdict is Verdict.AMBIGUOUS for world in reached) or certain or message_class.at_least_once


@pytest.mark.parametrize(("message_class", "capability"), CASES, ids=str)
def test_from_every_state_reached_the_message_comes_to_an_end(
    message_class: MessageClass, capability: Capability, scale: Scale
) -> None:
    reached = Model(capability, horizon=30, attempts=2).walk(World(Entry(message_class)), 30)
    # From here on nobody fails: one worker takes its steps, and time goes on.
    for world in list(reached)[:: scale.pick(small=20, full=1)]:
        assert _settle(Model(capability, horizon=200, attempts=9), world) in FINAL


def _settle(model: Model, world: World) -> State:
    world = world._replace(kills=0, refusals=0, workers=(Worker(),))
    for _ in range(200):
        if world.entry.state in FINAL:
            break
        tick, *others = model.steps(world)
        world = others[0] if others else tick  # what the worker can do, else what recovery can, else time goes on
    return world.entry.state
