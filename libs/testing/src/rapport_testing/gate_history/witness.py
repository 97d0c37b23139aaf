"""A process that embeds a gate as any other does, asks it without end, and writes every decision down.

    python -m rapport_testing.gate_history.witness QUESTIONS FOLDER NAME [--a-second N] [--clock-steps]

The gate is configured by its usual environment variables. When told to end (SIGTERM), it asks every question once more
and writes what its replica holds to `<NAME>.portrait`.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import random
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rapport_chassis.clock import SystemClock
from rapport_privacy.embedded import ConsentGate

from rapport_testing.gate_history.chronicle import Question
from rapport_testing.gate_history.testimony import SUFFIX, Scribe, read_questions

READY: Final = "the witness asks"
_AT_ONCE: Final = 20
_STEP: Final = 0.01
_STEPS_S: Final = (0.0, -2.0, 30.0, 3600.0, 86_400.0, -86_400.0)


class SteppingClock(SystemClock):
    """A clock whose wall time is corrected now and then, as on a machine that nobody looks after."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the wall time, with whatever is wrong with it at present."""
        return super().now() + self._offset

    def step(self) -> None:
        """Be wrong by something else."""
        self._offset = timedelta(seconds=random.choice(_STEPS_S))  # noqa: S311 - not secret


async def testify(
    clock: SystemClock, questions: Sequence[Question], folder: Path, name: str, decisions_a_second: float
) -> None:
    """Ask until told to end."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with ConsentGate.open(clock=clock) as gate:
        with Scribe(folder / f"{name}-{clock.boottime():.6f}{SUFFIX}") as scribe:
            print(READY, flush=True)  # noqa: T201 - what it was started by waits for this

            def ask(number: int) -> None:
                question = questions[number]
                at = clock.boottime()
                decision = gate.check(question.person, question.purpose, brand_id=question.brand)
                scribe.note(
                    at,
                    decision.as_of,
                    number,
                    decision.answer,
                    decision.reason,
                    decision.epoch,
                    decision.position,
                )

            while not ended.is_set():
                for _ in range(_AT_ONCE):
                    ask(random.randrange(len(questions)))  # noqa: S311 - not secret
                scribe.flush()
                if isinstance(clock, SteppingClock) and random.random() < _STEP:  # noqa: S311 - not secret
                    clock.step()
                await clock.sleep(_AT_ONCE / decisions_a_second)
            for number in range(len(questions)):
                ask(number)
        from rapport_testing.ledger_sources import portrait  # imports pytest, which no start should wait for

        (folder / f"{name}.portrait").write_bytes(pickle.dumps(portrait(gate.replica)))


def main() -> None:
    """Run the witness."""
    parser = argparse.ArgumentParser(description="asks a gate and writes its decisions down")
    parser.add_argument("questions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--a-second", type=float, default=500.0)
    parser.add_argument("--clock-steps", action="store_true")
    told = parser.parse_args()
    clock = SteppingClock() if told.clock_steps else SystemClock()
    asyncio.run(testify(clock, read_questions(told.questions), told.folder, told.name, told.a_second))


if __name__ == "__main__":
    main()
