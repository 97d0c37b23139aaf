"""`Computing`, in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final

from rapport_chassis.database.engine import Database

from rapport_identity.adapters.child import compute
from rapport_identity.adapters.matchers import sealed
from rapport_identity.app.computing import Joined, Phase, Report, Row, Snapshot
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.reviews import Label
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import load
from rapport_identity.domain.records import Record, RecordKey

LEAST: Final = 5
"""Records that must hold a value for a matcher to know its frequency: what fewer hold could be one person's alone."""


class ChildComputing:
    """`Computing`.

    Args:
        database: Where matchers are.
        keys: Holds the keys of their hashes.
    """

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._database = database
        self._keys = keys

    async def join(self, matcher_id: str, snapshot: Snapshot, report: Report) -> Joined:
        """Join all records by a matcher, without effect."""
        async with self._database.transaction() as connection:
            body, key = await sealed(connection, self._keys, matcher_id)
        header = {
            "matcher": body.decode(),
            "key": key.hex(),
            "bonds": [[each, bond.must, bond.groups] for each, bond in snapshot.bonds.items()],
            "numbers": [row.number for row in snapshot.rows],
            "total": len(snapshot.rows),
        }
        result = await _result(compute("join", header, _sent(snapshot.rows)), report)
        return Joined(result["persons"], result["cuts"])

    async def train(self, rows: Sequence[Row], labels: Sequence[Label], seed: int, report: Report) -> Matcher:
        """Train a matcher on records."""
        header = {
            "columns": list(fold_record(Record(RecordKey("", "")))),
            "labels": labels,
            "seed": seed,
            "least": LEAST,
            "total": len(rows),
        }
        result = await _result(compute("train", header, _sent(rows)), report)
        return load(result["matcher"])


def _sent(rows: Iterable[Row]) -> Iterable[list[Any]]:
    return ([row.number, row.key.source, row.key.source_record_id, row.values] for row in rows)


async def _result(computed: AsyncGenerator[dict[str, Any], None], report: Report) -> dict[str, Any]:
    async with aclosing(computed) as saying:
        async for said in saying:
            if "result" in said:
                result: dict[str, Any] = said["result"]
                return result
            await report(Phase(said["phase"]), said["done"], said["total"])
    raise AssertionError("it ends with a result or raises")
