"""A world in which everything goes wrong that can: writes, a relay, a stream, and machines that hold gates.

All of it follows from a seed, in simulated time. Whatever a gate decides is judged on the spot.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad

from rapport_testing.gate_history.chronicle import Chronicle
from rapport_testing.gate_history.judge import Judge, Windows
from rapport_testing.gate_history.machine import Machine, Make, Process
from rapport_testing.gate_history.network import Agenda, State
from rapport_testing.gate_history.people import PURPOSES, People
from rapport_testing.gate_history.troubles import Troubles
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.ledger_sources import portrait

_STEP_S: Final = (0.002, 0.06)
_NIGHT_STEP_S: Final = (1.0, 20.0)
_QUIET_S: Final = 12.0
_MACHINES: Final = 4
_INTERRUPTED: Final = 0.2


class World:
    """The ledger, its relay, its stream, and machines.

    Args:
        seed: What happens follows from it.
        windows: What is promised, and what the gates are told.
        make: What the gates are made of.

    Attributes:
        judge: Holds what was found.
        machines: Where the gates are.
        troubles: What goes wrong.
    """

    def __init__(self, seed: int, windows: Windows | None = None, make: Make | None = None) -> None:
        self.random = Random(seed)  # noqa: S311 - repeatable, not secret
        self.windows = windows or Windows()
        self.agenda = Agenda()
        self.ledger = LedgerModel()
        self.chronicle = Chronicle()
        self.judge = Judge(self.chronicle, self.windows)
        self.people = People(self.ledger, self.random)
        self.relay_stalled = State()
        self.ledger_locked = State()
        self.night_ends_at = 0.0
        self._recorded = 0
        self._outbox: list[ledger_pb2.LedgerChange] = []
        self._stream: list[ledger_pb2.LedgerChange] = []
        self._record()
        self.machines = [
            Machine(self.ledger, self.agenda, self.random, make or Make(), self.windows) for _ in range(_MACHINES)
        ]
        self.troubles = Troubles(self)

    def run(self, steps: int) -> None:
        """Let things happen."""
        for _ in range(steps):
            is_night = self.agenda.now < self.night_ends_at
            self.step(self.random.uniform(*(_NIGHT_STEP_S if is_night else _STEP_S)), self._go_on)

    def settle(self) -> None:
        """Mend everything and let it be quiet for a while."""
        self.troubles.end()
        end = self.agenda.now + _QUIET_S
        while self.agenda.now < end:
            self.step(_STEP_S[1], self._publish)

    def close(self) -> None:
        """End all processes."""
        for machine in self.machines:
            machine.process.loop.kill()

    def step(self, seconds: float, happen: Callable[[], None]) -> None:
        """Let time pass, something happen, and every process run that can; it is asked before and meanwhile."""
        for machine in self.machines:
            machine.clock.advance(seconds)
        self.agenda.advance(seconds)
        happen()
        for machine in self.machines:
            if not machine.process.stopped:
                self._let_run(machine.process)

    def restore(self, back: int) -> None:
        """Let the ledger go back some positions and on in another epoch; what was not published is lost."""
        position = max(len(PURPOSES), self.ledger.position - back)
        self.ledger.restore(position, f"epoch-{len(self.ledger.epochs) + 1}")
        self.chronicle.restore(self.ledger.epoch, position, earliest=self.agenda.now, latest=self.agenda.now)
        self._outbox.clear()
        self._recorded = position

    def replay(self, machine: Machine) -> None:
        """Deliver again what the stream has kept, from some place on."""
        for change in self._stream[-self.random.randint(1, 60) :]:
            self._deliver(machine, change)

    def assert_all_replicas_are_the_ledger(self) -> None:
        """After quiet, each replica holds what the ledger holds, but for fences that the ledger has lost."""
        for machine in self.machines:
            replica, anew = machine.process.replica, Replica()
            snapshot = SnapshotLoad()
            for message in self.ledger.snapshot():
                snapshot.take(message)
            anew.load(snapshot)
            assert (replica.epoch, replica.position) == (self.ledger.epoch, self.ledger.position)
            assert replica.lag_positions == 0
            assert not replica.early.changes
            assert replica.fences >= anew.fences
            anew.fences.update(replica.fences)
            assert portrait(replica) == portrait(anew)
            self._assert_answers_are_the_ledgers(machine)

    def _assert_answers_are_the_ledgers(self, machine: Machine) -> None:
        number = len(self.chronicle.moments) - 1
        for question in self.people.questions():
            decision = machine.process.decide(question)
            expected = self.chronicle.permits(number, question, decision.wall)
            fenced = self.chronicle.closure(number, question.person) & machine.process.replica.fences
            assert (decision.answer == consent_pb2.ANSWER_PERMIT) == (expected and not fenced), question

    def _go_on(self) -> None:
        self.troubles.happen()
        if not self.ledger_locked:
            self.people.act()
            self._record()
        self._publish()

    def _record(self) -> None:
        for change in self.ledger.written[self._recorded :]:
            self.chronicle.record(change, earliest=self.agenda.now, latest=self.agenda.now)
            self._outbox.append(change)
        self._recorded = self.ledger.position

    def _publish(self) -> None:
        """Publish as the relay does: of each batch half the oldest, half the oldest negatives; some of it twice."""
        if self.relay_stalled or not self._outbox:
            return
        half = self.random.randint(1, 5)
        urgent = [change for change in self._outbox[half:] if _is_urgent(change)][:half]
        batch = [*self._outbox[:half], *urgent]
        published = {change.position for change in batch}
        self._outbox = [change for change in self._outbox if change.position not in published]
        if self.random.random() < 0.1:
            batch.append(self.random.choice(batch))
        for change in batch:
            self._stream.append(change)
            for machine in self.machines:
                if not machine.deaf:
                    self._deliver(machine, change)

    def _deliver(self, machine: Machine, change: ledger_pb2.LedgerChange) -> None:
        process = machine.process
        seconds = self.random.uniform(*((0.5, 6.0) if machine.late else (0.001, 0.05)))
        self.agenda.later(seconds, lambda: process.receive(change))

    def _let_run(self, process: Process) -> None:
        self._ask(process)
        process.pack(self.random.random())
        interrupt = self.random.random() < _INTERRUPTED
        process.loop.run(lambda: self._ask(process), turns=self.random.randint(1, 8), interrupt=interrupt)

    def _ask(self, process: Process) -> None:
        token = self.people.token() if self.random.random() < 0.1 else None
        self.judge.judge(process.decide(self.people.question(), token), process.life)


def _is_urgent(change: ledger_pb2.LedgerChange) -> bool:
    states = [state for subject in change.subjects for state in subject.states]
    return any(state.status != ledger_pb2.CONSENT_STATUS_GRANTED for state in states)
