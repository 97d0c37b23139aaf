"""Runs long computations in a process of their own: at low priority, in memory alone, ended with its parent.

Records go in and answers come out through pipes; nothing is written to a disk, so nothing is left by a kill. What the
process writes to its standard error goes nowhere, for a library's message may quote a value.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any, Final

from rapport_chassis.errors import CHASSIS_ERRORS, RapportError

from rapport_identity.domain.errors import ERRORS

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
    # OMP_NUM_THREADS: libraries that add up in threads add up in any order.
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rapport_identity.adapters.child_work",
        job,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    feeding = asyncio.create_task(_feed(process.stdin, header, rows), name="child")
    ended = False
    try:
        while not ended:
            said = await _hear(process.stdout)
            if "refused" in said:
                raise ERRORS.error(said["refused"], _REFUSALS[said["refused"]])
            ended = "result" in said
            yield said
    finally:
        feeding.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait([feeding])
        process.stdin.close()
        with suppress(ConnectionError):
            await process.stdin.wait_closed()
        await process.wait()


async def _feed(pipe: asyncio.StreamWriter, header: dict[str, Any], rows: Iterable[list[Any]]) -> None:
    """Send the records, in messages of some; an empty one ends them. The pipe stays open: its end ends the child."""
    try:
        await _say(pipe, header)
        batch: list[list[Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _AT_ONCE:
                await _say(pipe, batch)
                batch = []
        for last in (batch, []) if batch else ([],):
            await _say(pipe, last)
    except ConnectionError:
        pass  # it has ended: what it said tells why


async def _say(pipe: asyncio.StreamWriter, message: object) -> None:
    text = json.dumps(message, separators=(",", ":")).encode()
    pipe.write(LENGTH.pack(len(text)) + text)
    await pipe.drain()
    await asyncio.sleep(0)  # a pipe that takes it all at once would let nobody else in


async def _hear(pipe: asyncio.StreamReader) -> dict[str, Any]:
    try:
        (length,) = LENGTH.unpack(await pipe.readexactly(LENGTH.size))
        said: dict[str, Any] = json.loads(await pipe.readexactly(length))
    except asyncio.IncompleteReadError:
        raise _died() from None
    return said


def _died() -> RapportError:
    return CHASSIS_ERRORS.error("INTERNAL", "the computation ended before its result: it was killed, or out of memory")
