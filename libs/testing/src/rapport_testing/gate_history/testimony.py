"""What a process writes down of its decisions, so compactly that a million of them disturb nobody, and how it is read.

A life of a process has a file of its own. A process may be killed at any byte: what is written whole counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, NamedTuple

from rapport_testing.gate_history.chronicle import Question

SUFFIX: Final = ".testimony"
_RECORD: Final = Struct("<ddIHHHQ")


class Noted(NamedTuple):
    """One decision.

    Attributes:
        at: Clock since boot, read just before the check.
        wall: What the clock on the wall showed the gate, in seconds since 1970.
        question: Number of the question.
        answer: Number of the answer.
        reason: Number of the reason.
        epoch: Number of the epoch it rests on, in the order in which the process came to them.
        position: Position it rests on.
    """

    at: float
    wall: float
    question: int
    answer: int
    reason: int
    epoch: int
    position: int

    @property
    def time(self) -> datetime:
        """What the clock on the wall showed."""
        return datetime.fromtimestamp(self.wall, UTC)


class Scribe:
    """Writes the testimony of one life.

    Args:
        path: A file that does not exist yet.

    Raises:
        FileExistsError: It exists.
    """

    def __init__(self, path: Path) -> None:
        self._records = path.open("xb", buffering=0)
        self._names = path.with_suffix(".epochs").open("xb", buffering=0)
        self._epochs: dict[str, int] = {}
        self._unwritten = bytearray()

    def __enter__(self) -> Scribe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.flush()
        self._records.close()
        self._names.close()

    def note(
        self, at: float, wall: datetime, question: int, answer: int, reason: int, epoch: str, position: int
    ) -> None:
        """Take a decision down; it is written with the next `flush`."""
        number = self._epochs.get(epoch)
        if number is None:
            number = self._epochs[epoch] = len(self._epochs)
            self._names.write(epoch.encode() + b"\n")
        self._unwritten += _RECORD.pack(at, wall.timestamp(), question, answer, reason, number, position)

    def flush(self) -> None:
        """Write what was taken down."""
        self._records.write(self._unwritten)
        self._unwritten.clear()


def read(path: Path) -> tuple[Sequence[str], Iterator[Noted]]:
    """Return the names of the epochs, and every decision."""
    records = path.read_bytes()
    whole = memoryview(records)[: len(records) // _RECORD.size * _RECORD.size]
    epochs = path.with_suffix(".epochs").read_text(encoding="ascii").split("\n")
    return epochs, (Noted(*fields) for fields in _RECORD.iter_unpack(whole))


def last(path: Path) -> tuple[str, int] | None:
    """Return epoch and position of the last decision; None if there is none yet."""
    records = path.read_bytes()
    end = len(records) // _RECORD.size * _RECORD.size
    if not end:
        return None
    noted = Noted(*_RECORD.unpack_from(records, end - _RECORD.size))
    return path.with_suffix(".epochs").read_text(encoding="ascii").split("\n")[noted.epoch], noted.position


def count(folder: Path) -> int:
    """Return how many decisions all files of a folder hold."""
    return sum(path.stat().st_size // _RECORD.size for path in folder.glob(f"*{SUFFIX}"))


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Write what is to be asked, for every process the same."""
    path.write_text(json.dumps(questions), encoding="utf-8")


def read_questions(path: Path) -> list[Question]:
    """Read what is to be asked."""
    return [Question(*each) for each in json.loads(path.read_text(encoding="utf-8"))]
