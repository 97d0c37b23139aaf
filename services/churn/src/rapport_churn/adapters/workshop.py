"""Where models are made: `Workshop`, with a folder for each work and a process that trains in it.

The log is written by COPY, as it comes from the server. The process has the lowest priority and ends with this one. It
names people, so the folder is taken away when the work has ended, however it ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_churn.adapters import head
from rapport_churn.app.train import Report, Snapshot
from rapport_churn.domain.errors import ERRORS

_EVENTS: Final = "events"
_HEADER: Final = "header.json"
_SNAPSHOT: Final = "snapshot.json"
_JUDGED: Final = "judged.npz"
_MADE: Final = ("built", "artefact", "artefact.new", "spill")
_NEEDED: Final = ("duckdb", "scipy", "lightgbm")
_INHERITED: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG")

_GOING_ON: Final = "SELECT id FROM operations WHERE id = ANY (%s) AND state IN ('running', 'cancelling')"
_GONE: Final = "SELECT profile_ids FROM removals WHERE position > %s AND scope <> 'scores'"
_UNLIMITED: Final = "SET LOCAL statement_timeout = 0"
_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_WHO: Final = "SELECT DISTINCT profile_id FROM facts ORDER BY profile_id"
_COPY: Final = """
COPY (SELECT fact_id, profile_id, owner_version, kind, occurred_at, arrived_at, value, quantity, channel FROM facts)
TO STDOUT (FORMAT csv, HEADER)
"""


class TrainingWorkshop:
    """`Workshop`.

    Args:
        database: Where the log is.
        folder: Where works have their folders; of this machine alone.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    async def write_down(self, work: str) -> Snapshot:
        """Write the event log down."""
        place = self._folder / work
        if (earlier := self._snapshot(work)) is not None:
            return earlier
        events = place / _EVENTS
        events.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with self._database.transaction() as connection:
            await connection.execute(_ONE_MOMENT)
            await connection.execute(_UNLIMITED)
            at = await head.read(connection)
            who = [row[0] for row in await (await connection.execute(_WHO)).fetchall()]
            with (events / "facts.csv").open("wb") as file:
                await _copy(connection, file)
        snapshot = Snapshot(at.epoch, at.position, who)
        partial = place / f"{_SNAPSHOT}.new"
        partial.write_text(json.dumps(snapshot._asdict()), encoding="utf-8")
        partial.rename(place / _SNAPSHOT)
        return snapshot

    async def train(self, work: str, header: Mapping[str, Any], report: Report) -> tuple[Mapping[str, bytes], bytes]:
        """Train in a process of its own, and return the files of the artefact, and what it was judged on."""
        if missing := [name for name in _NEEDED if find_spec(name) is None]:
            raise ERRORS.error(
                "TRAINING_UNAVAILABLE",
                f"{', '.join(missing)} is not installed: install rapport-churn[train]",
                metadata={"missing": ",".join(missing)},
            )
        place = self._folder / work
        _prepare(place, header)
        result = await _run(place, report)
        return await asyncio.to_thread(_files, Path(result))

    async def clear(self, work: str) -> None:
        """Leave nothing behind."""
        await asyncio.to_thread(shutil.rmtree, self._folder / work, ignore_errors=True)

    def forget(self, profile_ids: Collection[str]) -> None:
        """Take away works that have written anything down of people who may not be in them any more.

        A training that reads there fails; it was of no use any more, for its model could not serve.
        """
        for work in self._works():
            told = self._snapshot(work)
            if told is not None and not set(profile_ids).isdisjoint(told.profile_ids):
                shutil.rmtree(self._folder / work, ignore_errors=True)

    def _works(self) -> list[str]:
        return [place.name for place in self._folder.iterdir()] if self._folder.is_dir() else []

    def _snapshot(self, work: str) -> Snapshot | None:
        try:
            told = json.loads((self._folder / work / _SNAPSHOT).read_bytes())
        except OSError:
            return None
        return Snapshot(told["epoch"], told["position"], told["profile_ids"])

    def _oldest(self, works: Sequence[str]) -> int:
        """Return the position of the log that the oldest of some works knows."""
        return min([told.position for work in works if (told := self._snapshot(work)) is not None], default=0)

    async def step(self) -> bool:
        """Take away what is left of works that have ended, and works on people who were taken out of the log since.

        Raises:
            RapportError: NOT_READY.
        """
        works = self._works()
        if not works:
            return False
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_GOING_ON, [works])).fetchall()
            gone = await (await connection.execute(_GONE, [self._oldest(works)])).fetchall()
        self.forget({each for row in gone for each in row[0]})
        for work in set(works) - {row[0] for row in rows}:
            await self.clear(work)
        return False


def _files(place: Path) -> tuple[dict[str, bytes], bytes]:
    judged = place.with_name(_JUDGED)
    files = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
    return files, judged.read_bytes() if judged.is_file() else b""


def _prepare(place: Path, header: Mapping[str, Any]) -> None:
    """Write the header, unless an earlier attempt was about the same people: then that is gone on with."""
    path = place / _HEADER
    about = ("redirects", "erased")
    if path.is_file():
        earlier = json.loads(path.read_bytes())
        if all(earlier[name] == header[name] for name in about):
            return
        for name in _MADE:
            shutil.rmtree(place / name, ignore_errors=True)
    partial = place / f"{_HEADER}.new"
    partial.write_text(json.dumps(header), encoding="utf-8")
    partial.rename(path)


async def _copy(connection: Connection, file: IO[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        async for part in copy:
            file.write(part)


async def _run(place: Path, report: Report) -> str:
    """Run the training and return the folder of the artefact."""
    process = _start(place)
    assert process.stdin is not None
    assert process.stdout is not None
    hearing: asyncio.Task[bytes] | None = None
    try:
        while True:
            hearing = asyncio.create_task(asyncio.to_thread(process.stdout.readline), name="training")
            await asyncio.wait([hearing])
            line = hearing.result()
            if not line:
                if not await asyncio.to_thread(place.is_dir):
                    raise CHASSIS_ERRORS.error("NOT_READY", "somebody withdrew meanwhile: the training begins anew")
                raise CHASSIS_ERRORS.error("INTERNAL", "the training ended early: it was killed, or out of memory")
            said = json.loads(line)
            if "refused" in said:
                raise ERRORS.error(
                    "NOT_TRAINABLE", "the events held teach no model yet", metadata={"reason": said["refused"]}
                )
            if "result" in said:
                return str(said["result"])
            await report(said["phase"], said["done"], said["total"])
    finally:
        process.kill()  # which ends what waits for its words
        if hearing is not None:
            await asyncio.wait([hearing])
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _start(place: Path) -> subprocess.Popen[bytes]:
    # OMP_NUM_THREADS: libraries that add up in threads add up in any order.
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    # Popen starts it by vfork. An event loop of uvloop forks, and what gRPC runs after a fork can crash the child.
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "rapport_churn.training", str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
