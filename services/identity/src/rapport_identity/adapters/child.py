"""Runs long computations in a process of their own: at low priority, in memory alone, ended with its parent.

Records go in and answers come out through pipes; nothing is written to a disk, so nothing is left by a kill. What the
process writes to its standard error goes nowhere, for a library's message may quote a value.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import IO, Any, Final, TypeVar

from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.domain.errors import ERRORS

ResultT = TypeVar("ResultT")

LENGTH: Final = struct.Struct(">I")
"""Before each message: its length."""

_REFUSALS: Final = {"NOT_TRAINABLE": "the records held teach no matcher", "TRAINING_UNAVAILABLE": "splink is missing"}
_AT_ONCE: Final = 500
_INHERITED: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG")


async def compute(job: str, header: dict[str, Any], rows: Iterable[list[Any]]) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what a job says: how far it has come, and at last its result.

    Args:
        job: Its name.
        header: What it is told beside the records.
        rows: The records.

    Raises:
        RapportError: NOT_TRAINABLE, TRAINING_UNAVAILABLE; INTERNAL: it was killed, or ran out of memory.
    """
    process = _start(job)
    assert process.stdin is not None
    assert process.stdout is not None
    busy: set[asyncio.Task[Any]] = {_in_thread(_feed, process.stdin, header, rows)}
    try:
        ended = False
        while not ended:
            busy.add(hearing := _in_thread(_hear, process.stdout))
            await asyncio.wait([hearing])
            said = hearing.result()
            busy.remove(hearing)
            if "refused" in said:
                raise ERRORS.error(said["refused"], _REFUSALS[said["refused"]])
            ended = "result" in said
            yield said
    finally:
        process.kill()  # which ends what is busy with its pipes
        await asyncio.wait(busy)
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _start(job: str) -> subprocess.Popen[bytes]:
    # OMP_NUM_THREADS: libraries that add up in threads add up in any order.
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    # Popen starts it by vfork. An event loop of uvloop forks, and what gRPC runs after a fork can crash the child.
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "rapport_identity.adapters.child_work", job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _in_thread(work: Callable[..., ResultT], *arguments: Any) -> asyncio.Task[ResultT]:
    return asyncio.create_task(asyncio.to_thread(work, *arguments), name="child")


def _feed(pipe: IO[bytes], header: dict[str, Any], rows: Iterable[list[Any]]) -> None:
    """Send the records, in messages of some; an empty one ends them. The pipe stays open: its end ends the child."""
    waiting = iter(rows)
    try:
        _say(pipe, header)
        while batch := list(islice(waiting, _AT_ONCE)):
            _say(pipe, batch)
        _say(pipe, [])
    except BrokenPipeError:
        pass  # it has ended: what it said tells why


def _say(pipe: IO[bytes], message: object) -> None:
    text = json.dumps(message, separators=(",", ":")).encode()
    pipe.write(LENGTH.pack(len(text)) + text)
    pipe.flush()


def _hear(pipe: IO[bytes]) -> dict[str, Any]:
    (length,) = LENGTH.unpack(_exactly(pipe, LENGTH.size))
    said: dict[str, Any] = json.loads(_exactly(pipe, length))
    return said


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    found = pipe.read(count)
    if len(found) < count:
        raise CHASSIS_ERRORS.error("INTERNAL", "the computation ended early: it was killed, or out of memory")
    return found
