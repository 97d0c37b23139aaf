"""Compares the ledger with its log: whoever rewrites a row can write neither its leaf nor the root anew."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg.rows import dict_row
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_privacy.log_proofs import Opening
from rapport_privacy.merkle import leaf_hash

from rapport_consent.adapters.transparency import LEDGER_COLUMNS, row_record
from rapport_consent.domain import log_tree
from rapport_consent.domain.log_records import LEDGER

_ROWS: Final = f"""
SELECT {", ".join(f"ledger.{name}" for name in LEDGER_COLUMNS.split(", "))},
    openings.leaf_index AS logged_at, openings.salt, leaves.leaf, nodes.hash AS leaf_hash, fences.profile_id AS fenced
FROM ledger
LEFT JOIN transparency_openings AS openings ON openings.reference = ledger.reference
LEFT JOIN transparency_leaves AS leaves ON leaves.index = openings.leaf_index
LEFT JOIN transparency_nodes AS nodes ON nodes.level = 0 AND nodes.index = openings.leaf_index
LEFT JOIN fences ON fences.profile_id = ledger.named_id
WHERE ledger.position > %s AND ledger.position <= (SELECT ledger_position FROM transparency_head)
ORDER BY ledger.position LIMIT %s
"""  # noqa: S608 - made of constants
_BESIDE: Final = ("logged_at", "salt", "leaf", "leaf_hash", "fenced")
_HEAD: Final = "SELECT size, root, ledger_position FROM transparency_head"
_FRONTIER: Final = """
SELECT nodes.hash FROM unnest(%s::smallint[], %s::bigint[]) WITH ORDINALITY AS wanted (level, index, place)
LEFT JOIN transparency_nodes AS nodes ON nodes.level = wanted.level AND nodes.index = wanted.index
ORDER BY wanted.place
"""


class Fault(NamedTuple):
    """A place where ledger and log do not say the same.

    Attributes:
        position: In the ledger; 0 for the log as a whole.
        what: "ROW_CHANGED", "ROW_MISSING", "OPENING_MISSING", "LEAF_CHANGED" or "ROOT_CHANGED".
    """

    position: int
    what: str


class Comparison(NamedTuple):
    """How the comparison of some rows went.

    Attributes:
        compared: Rows compared with their leaves.
        blanked: Rows that an erasure has blanked: nothing is left to compare.
        faults: What was found.
        next_position: Where to go on; 0 at the end.
    """

    compared: int
    blanked: int
    faults: tuple[Fault, ...]
    next_position: int


async def compare(database: Database, after: int, limit: int) -> Comparison:
    """Compare rows after a position with their leaves; rows that are not logged yet are left for the next time.

    Raises:
        RapportError: NOT_READY.
    """
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        async with connection.cursor(row_factory=dict_row) as cursor:
            rows = await (await cursor.execute(_ROWS, (after, limit))).fetchall()
        faults: list[Fault] = []
        blanked, expected = 0, after + 1
        for row in rows:
            position = row["position"]
            faults += [Fault(missing, "ROW_MISSING") for missing in range(expected, min(position, expected + 100))]
            expected = position + 1
            if row["kind"] == "blank" and row["fenced"] is not None:
                blanked += 1
            elif fault := _fault(row):
                faults.append(Fault(position, fault))
        complete = len(rows) < limit
        if complete:
            faults += await _head_faults(connection, expected)
    return Comparison(len(rows) - blanked, blanked, tuple(faults), 0 if complete else expected - 1)


def _fault(row: dict[str, Any]) -> str:
    index, salt, leaf, hash_, _ = (row[name] for name in _BESIDE)
    if salt is None or index is None:
        return "OPENING_MISSING"
    record = row_record({name: value for name, value in row.items() if name not in _BESIDE})
    if leaf is None or Opening(LEDGER, record, bytes(salt)).leaf != bytes(leaf):
        return "ROW_CHANGED"
    return "" if hash_ is not None and leaf_hash(bytes(leaf)) == bytes(hash_) else "LEAF_CHANGED"


async def _head_faults(connection: Connection, expected: int) -> list[Fault]:
    """Return what is wrong with the end: rows that are gone from it, or a root that its nodes do not come to."""
    row = await (await connection.execute(_HEAD)).fetchone()
    assert row is not None, "the log has a head"
    size, root, position = row
    faults = [Fault(missing, "ROW_MISSING") for missing in range(expected, min(position + 1, expected + 100))]
    nodes = log_tree.part(0, size)
    found = await connection.execute(_FRONTIER, ([node.level for node in nodes], [node.place for node in nodes]))
    hashes = [bytes(hash_ or b"") for (hash_,) in await found.fetchall()]
    return faults if log_tree.folded(hashes) == bytes(root) else [*faults, Fault(0, "ROOT_CHANGED")]
