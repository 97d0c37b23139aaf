"""What befalls a simulated world: each trouble begins, lasts and ends, and many overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rapport_testing.gate_history.machine import Machine
from rapport_testing.gate_history.network import State

if TYPE_CHECKING:
    from rapport_testing.gate_history.world import World

_A_STEP: Final = 0.04
_SHORT_S: Final = (0.05, 1.5)
_LONG_S: Final = (1.5, 12.0)

Undo = Callable[[], None]


class Troubles:
    """Begins troubles at random.

    Attributes:
        counted: How often each came.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self.counted: Counter[str] = Counter()
        self._lasting: list[Undo] = []
        self._kinds: dict[Callable[[], None], int] = {
            self.line_refuses: 6,
            self.line_hangs: 8,
            self.line_is_slow: 4,
            self.changes_are_withheld: 8,
            self.stream_is_lost: 8,
            self.stream_is_late: 6,
            self.stream_is_replayed: 4,
            self.relay_stalls: 6,
            self.transaction_is_slow: 4,
            self.process_is_stopped: 10,
            self.ledger_is_stopped: 3,
            self.process_is_killed: 4,
            self.everything_is_killed: 1,
            self.ledger_is_restored: 3,
            self.clock_is_set: 4,
            self.night_falls: 1,
        }

    def happen(self) -> None:
        """Mostly nothing."""
        if self._random.random() < _A_STEP:
            trouble = self._random.choices([*self._kinds], [*self._kinds.values()])[0]
            self.counted[trouble.__name__] += 1
            trouble()

    def end(self) -> None:
        """End all troubles that last."""
        for undo in [*self._lasting]:
            undo()

    def line_refuses(self) -> None:
        """The ledger cannot be reached from a machine, which learns so at once."""
        line = self._machine().line
        self._last(line.refusing)

    def line_hangs(self) -> None:
        """Calls stay on their way, and go on later."""
        line = self._machine().line
        self._last(line.hanging, line.free)

    def line_is_slow(self) -> None:
        """Calls take seconds."""
        self._last(self._machine().line.slow)

    def changes_are_withheld(self) -> None:
        """A machine sees the head move, and gets at nothing of what moved it."""
        machine, seconds = self._machine(), self._seconds()
        self._last(machine.line.withheld, seconds=seconds)
        self._last(machine.deaf, seconds=seconds)

    def stream_is_lost(self) -> None:
        """Messages do not reach a machine."""
        self._last(self._machine().deaf)

    def stream_is_late(self) -> None:
        """Messages reach a machine late and in any order."""
        self._last(self._machine().late)

    def stream_is_replayed(self) -> None:
        """A machine is sent again what it was sent before."""
        self._world.replay(self._machine())

    def relay_stalls(self) -> None:
        """Nothing is published, then all of it."""
        self._last(self._world.relay_stalled)

    def transaction_is_slow(self) -> None:
        """A write holds the head, and everybody else waits."""
        self._last(self._world.ledger_locked)

    def process_is_stopped(self) -> None:
        """SIGSTOP, then SIGCONT."""
        self._last(self._machine().process.stopped)

    def ledger_is_stopped(self) -> None:
        """The ledger answers nobody for a while."""
        seconds = self._seconds()
        for machine in self._world.machines:
            self._last(machine.line.hanging, machine.line.free, seconds=seconds)

    def process_is_killed(self) -> None:
        """SIGKILL; another process starts at once."""
        self._machine().restart()

    def everything_is_killed(self) -> None:
        """SIGKILL of all; the ledger comes back last."""
        for machine in self._world.machines:
            self._last(machine.line.refusing)
            machine.restart()

    def ledger_is_restored(self) -> None:
        """A standby that lagged is promoted."""
        self._world.restore(self._random.randint(0, 12))

    def clock_is_set(self) -> None:
        """The clock on the wall of a machine is corrected, by up to a day."""
        clock = self._machine().clock
        clock.set(clock.now() + timedelta(seconds=self._random.uniform(-86_400, 86_400)))

    def night_falls(self) -> None:
        """The ledger is out of reach for longer than anything may go on without it."""
        seconds = self._world.windows.continuation_s * 1.2
        for machine in self._world.machines:
            line = machine.line
            self._last(self._random.choice((line.hanging, line.refusing)), line.free, seconds=seconds)
        self._world.night_ends_at = self._world.agenda.now + seconds

    def _machine(self) -> Machine:
        return self._random.choice(self._world.machines)

    def _seconds(self) -> float:
        return self._random.uniform(*self._random.choice((_SHORT_S, _LONG_S)))

    def _last(self, state: State, then: Undo | None = None, *, seconds: float | None = None) -> None:
        """Let something be so for a while."""
        state.begin()

        def undo() -> None:
            if undo in self._lasting:
                self._lasting.remove(undo)
                state.end()
                if then is not None:
                    then()

        self._lasting.append(undo)
        self._world.agenda.later(self._seconds() if seconds is None else seconds, undo)
