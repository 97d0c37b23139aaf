"""What runs in the process that `child` starts: `python -m rapport_identity.adapters.child_work JOB`."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rapport_identity.adapters.child import LENGTH
from rapport_identity.adapters.matchers import opened
from rapport_identity.domain.bonds import Bond, Bonds
from rapport_identity.domain.folding import Column
from rapport_identity.domain.index import Index
from rapport_identity.domain.matcher_json import dump, load
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.relinking import relink_whole

Say = Callable[..., None]

_LOWEST_PRIORITY: Final = 19
_REPORT_EVERY: Final = 1000


class Pipes:
    """Both pipes to the parent.

    Args:
        inward: Descriptor of the one that is read.
        outward: Descriptor of the one that is written.
    """

    def __init__(self, inward: int, outward: int) -> None:
        self._inward = inward
        self._outward = outward

    def hear(self) -> Any:
        """Return the next message; end the process if the parent has ended."""
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return json.loads(self._read(length))

    def rows(self) -> Iterator[list[Any]]:
        """Yield the records, and then watch over the parent."""
        while batch := self.hear():
            yield from batch
        threading.Thread(target=self._read, args=(1,), daemon=True).start()

    def say(self, **said: Any) -> None:
        """Tell the parent."""
        text = json.dumps(said, separators=(",", ":")).encode()
        os.write(self._outward, LENGTH.pack(len(text)))
        view = memoryview(text)
        while view:
            view = view[os.write(self._outward, view) :]

    def _read(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            part = os.read(self._inward, min(count - len(found), 1 << 20))
            if not part:
                os._exit(1)  # the parent has ended: nobody asks for this any more
            found += part
        return bytes(found)


def read_rows(pipes: Pipes, total: int) -> Iterator[tuple[int, RecordKey, tuple[Column, ...]]]:
    """Yield the records: number, key, and what was folded of each."""
    for at, (number, source, source_record_id, values) in enumerate(pipes.rows(), 1):
        if at % _REPORT_EVERY == 0:
            pipes.say(phase="reading", done=at, total=total)
        columns = tuple(tuple(value) if isinstance(value, list) else value for value in values)
        yield number, RecordKey(source, source_record_id), columns


def join(pipes: Pipes, header: Mapping[str, Any]) -> None:
    """Join all records by a matcher, and say who then is who where that is not as it was."""
    index = Index(opened(header["matcher"].encode(), bytes.fromhex(header["key"])))
    for number, record_key, values in read_rows(pipes, header["total"]):
        index.put_folded(number, record_key, values)
    index.settle()
    bonds = Bonds()
    for constraint_id, must, groups in header["bonds"]:
        bonds.put(constraint_id, Bond(must, tuple(tuple(group) for group in groups)))
    persons: list[list[int]] = []
    seen: set[int] = set()
    cuts = 0
    for number in header["numbers"]:
        if number in seen:
            continue
        linked, cut = relink_whole(index, index[number], bonds)
        cuts += len(cut)
        for person in linked:
            seen.update(entry.number for entry in person)
            persons.append(sorted(entry.number for entry in person))
        if len(persons) % _REPORT_EVERY == 0:
            pipes.say(phase="joining", done=len(seen), total=header["total"])
    pipes.say(result={"persons": persons, "cuts": cuts})


def train(pipes: Pipes, header: Mapping[str, Any]) -> None:
    """Train a matcher on the records; no label is needed, and those there are count."""
    try:
        from rapport_identity.adapters.training import NotTrainableError, train_columns
    except ImportError:
        pipes.say(refused="TRAINING_UNAVAILABLE")
        return
    names = header["columns"]
    keys: dict[int, RecordKey] = {}
    folded: dict[RecordKey, dict[str, Column]] = {}
    for number, record_key, values in read_rows(pipes, header["total"]):
        keys[number] = record_key
        folded[record_key] = dict(zip(names, values, strict=True))
    labels = {(keys[one], keys[other]): same for one, other, same in header["labels"] if one in keys and other in keys}

    def report(phase: str) -> None:
        pipes.say(phase=phase, done=0, total=len(folded))

    try:
        matcher = train_columns(folded, seed=header["seed"], labels=labels, least=header["least"], report=report)
    except NotTrainableError:
        pipes.say(refused="NOT_TRAINABLE")
        return
    text = dump(matcher)
    if dump(load(text)) != text:
        raise RuntimeError("the matcher is not the one that was trained")
    pipes.say(result={"matcher": text, "trained_on": len(folded)})


JOBS: Final = {"join": join, "train": train}
"""What it can do."""


def main() -> None:
    """Do one job. What libraries print is not what the parent is told."""
    pipes = Pipes(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold what everybody is called
    os.nice(_LOWEST_PRIORITY)
    JOBS[sys.argv[1]](pipes, pipes.hear())


if __name__ == "__main__":
    main()
