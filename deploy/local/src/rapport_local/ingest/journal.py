"""What an import has settled, so that one that was interrupted goes on; and what it rejected.

A file of SQLite beside the environment. A batch is settled in one transaction once its answer, which is durable, has
come: after a kill the last batch is sent again and answered as known. Customers' keys are kept as hashes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from rapport_local.failure import Failure

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS imports (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stages (stage TEXT PRIMARY KEY, settled INTEGER NOT NULL, done INTEGER NOT NULL,
                                   counts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS people (key BLOB PRIMARY KEY, profile_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (stage TEXT NOT NULL, number INTEGER NOT NULL, path TEXT NOT NULL,
                                     reason TEXT NOT NULL);
"""


class Rejected(NamedTuple):
    """A row that was not taken: its number in the file, the field at fault, and why; never its values."""

    number: int
    path: str
    reason: str


class StageState(NamedTuple):
    """How far a stage has come: items settled, whether that is all of them, and what became of them."""

    settled: int = 0
    done: bool = False
    counts: Mapping[str, int] = {}


class Journal:
    """The journal of one import. A context manager.

    Args:
        path: Where it is kept; its folder is made.
        digest: Says which files and which mapping it is of.
        restart: Whether to forget what was settled before.

    Raises:
        Failure: What was begun there is of other files or another mapping.
    """

    def __init__(self, path: Path, digest: str, *, restart: bool = False) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if restart:
            path.unlink(missing_ok=True)
        self._store = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._store.executescript(_TABLES)
        begun = self._store.execute("SELECT digest FROM imports").fetchone()
        if begun is None:
            self._store.execute("INSERT INTO imports VALUES (?)", (digest,))
        elif begun[0] != digest:
            self._store.close()
            raise Failure(
                "an import of this name was begun with other files or another mapping",
                hint="--restart begins anew: what was taken in before is answered, not repeated",
            )

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

    def state(self, stage: str) -> StageState:
        """Return how far a stage has come."""
        row = self._store.execute("SELECT settled, done, counts FROM stages WHERE stage = ?", (stage,)).fetchone()
        return StageState(row[0], bool(row[1]), json.loads(row[2])) if row else StageState()

    def settle(
        self,
        stage: str,
        items: int,
        counts: Mapping[str, int],
        *,
        rejected: Iterable[Rejected] = (),
        people: Mapping[tuple[str, str], str] | None = None,
        done: bool = False,
    ) -> None:
        """Note that the next items of a stage are settled.

        Args:
            stage: The stage.
            items: How many.
            counts: What became of them.
            rejected: Those that were not taken.
            people: Source and customer's key -> profile, of those that were recognised.
            done: Whether these were the last.
        """
        before = self.state(stage)
        together = Counter(before.counts)
        together.update(counts)
        self._store.execute("BEGIN")
        self._store.execute(
            "INSERT OR REPLACE INTO stages VALUES (?, ?, ?, ?)",
            (stage, before.settled + items, int(done), json.dumps(together)),
        )
        self._store.executemany("INSERT INTO rejected VALUES (?, ?, ?, ?)", [(stage, *each) for each in rejected])
        self._store.executemany(
            "INSERT OR REPLACE INTO people VALUES (?, ?)",
            [(_hashed(key), profile_id) for key, profile_id in (people or {}).items()],
        )
        self._store.execute("COMMIT")

    def profile(self, key: tuple[str, str]) -> str | None:
        """Return the profile of a customer, by source and key; None if none was taken in."""
        row = self._store.execute("SELECT profile_id FROM people WHERE key = ?", (_hashed(key),)).fetchone()
        return str(row[0]) if row else None

    def profiles(self) -> Iterator[str]:
        """Yield every profile once, always in the same order."""
        rows = self._store.execute("SELECT DISTINCT profile_id FROM people ORDER BY profile_id")
        return (str(row[0]) for row in rows.fetchall())

    def rejected(self) -> Iterator[tuple[str, Rejected]]:
        """Yield all that was rejected, with its stage."""
        for stage, *row in self._store.execute("SELECT stage, number, path, reason FROM rejected ORDER BY 1, 2"):
            yield stage, Rejected(*row)


def _hashed(key: tuple[str, str]) -> bytes:
    return hashlib.sha256("\0".join(key).encode()).digest()
