"""Reads the tree of the transparency log: heads, leaves, and the hashes of subtrees that proofs are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_consent.domain import log_tree
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.log_tree import Node, Part

_HEAD: Final = "SELECT size, root FROM transparency_head"
_READ_NODES: Final = """
SELECT nodes.level, nodes.index, nodes.hash FROM unnest(%s::smallint[], %s::bigint[]) AS wanted (level, index)
JOIN transparency_nodes AS nodes ON nodes.level = wanted.level AND nodes.index = wanted.index
"""
_READ_LEAVES: Final = """
SELECT leaf FROM transparency_leaves WHERE index >= %s AND index < %s ORDER BY index LIMIT %s
"""
_LAST_COSIGNED: Final = "SELECT coalesce(max(size), 0) FROM transparency_cosignatures WHERE size > %s"


class LogHead(NamedTuple):
    """How large the log is, and its root."""

    size: int
    root: bytes


async def head(connection: Connection) -> LogHead:
    """Return the present head."""
    row = await (await connection.execute(_HEAD)).fetchone()
    assert row is not None, "the log has a head"
    return LogHead(row[0], bytes(row[1]))


async def head_at(connection: Connection, size: int) -> LogHead:
    """Return the head the log had at a size; the present one for 0.

    Raises:
        RapportError: LOG_SIZE_UNKNOWN.
    """
    present = await head(connection)
    if size in (0, present.size):
        return present
    if not 0 < size < present.size:
        raise ERRORS.error("LOG_SIZE_UNKNOWN", f"the log has {present.size} entries", field="tree_size")
    return LogHead(size, log_tree.folded(await node_hashes(connection, log_tree.part(0, size))))


async def cosigned_size(connection: Connection, index: int) -> int:
    """Return the largest size that a witness has cosigned, if a leaf is in that tree; else 0."""
    row = await (await connection.execute(_LAST_COSIGNED, (index,))).fetchone()
    assert row is not None, "an aggregate has a row"
    return int(row[0])


async def proof_hashes(connection: Connection, parts: list[Part]) -> list[bytes]:
    """Return the hashes of a proof: one query, as many rows as the tree is deep."""
    nodes = [node for part in parts for node in part]
    found = dict(zip(nodes, await node_hashes(connection, nodes), strict=True))
    return log_tree.read_parts(parts, found.__getitem__)


async def node_hashes(connection: Connection, nodes: Iterable[Node]) -> list[bytes]:
    """Return the hashes of complete subtrees, in their order."""
    wanted = list(nodes)
    levels, indexes = [node.level for node in wanted], [node.place for node in wanted]
    rows = await (await connection.execute(_READ_NODES, (levels, indexes))).fetchall()
    found = {Node(level, index): bytes(hash_) for level, index, hash_ in rows}
    return [found[node] for node in wanted]


async def leaves(connection: Connection, start: int, end: int, limit: int) -> list[bytes]:
    """Return leaves from a place on, before another."""
    rows = await (await connection.execute(_READ_LEAVES, (start, end, limit))).fetchall()
    return [bytes(leaf) for (leaf,) in rows]
