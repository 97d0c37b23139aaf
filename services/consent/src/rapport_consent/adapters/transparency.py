"""The transparency log in PostgreSQL: every row of the ledger and every event of a privacy request, in one Merkle tree.

Whatever is to be logged is there before, committed by its own transaction; the log follows. A batch is one transaction
under the row of the head: killed anywhere, it is there whole or not at all, and whoever comes next goes on. Leaves and
nodes are only ever added, which the role that serves cannot change.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import dict_row
from rapport_chassis.database import bulk
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import SigningKeys
from rapport_privacy.log_proofs import LogProof, Opening, commitment, leaf_of
from rapport_privacy.merkle import leaf_hash
from rapport_privacy.notes import Checkpoint, Note, NoteError, NoteKey, open_checkpoint, signed_checkpoint

from rapport_consent.adapters import transparency_tree as tree
from rapport_consent.adapters.transparency_tree import LogHead
from rapport_consent.domain import log_tree
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.log_records import LEDGER, PRIVACY, SALT_BYTES, ledger_record

_BATCH: Final = 200
_AT_ONCE: Final = 50
_COSIGNED_SIZES: Final = 1_000

LEDGER_COLUMNS: Final = (
    "position, epoch, recorded_at, reference, receipt_id, named_id, kind, purpose_id, brand_id, occurred_at, "
    "expires_at, reask_not_before, details, change"
)
_WAITS: Final = """
SELECT EXISTS (SELECT FROM transparency_queue)
    OR (SELECT position FROM ledger_head) > (SELECT ledger_position FROM transparency_head)
"""
_LOCK: Final = "SELECT size, root, ledger_position FROM transparency_head FOR UPDATE"
_ROWS: Final = f"SELECT {LEDGER_COLUMNS} FROM ledger WHERE position > %s ORDER BY position LIMIT %s"  # noqa: S608
# Order among what waits does not matter, only that nothing is left: a lower number may be committed later.
_TAKE: Final = """
WITH taken AS (
    DELETE FROM transparency_queue WHERE seq IN (SELECT seq FROM transparency_queue ORDER BY seq LIMIT %s)
    RETURNING seq, reference, commitment
)
SELECT reference, commitment FROM taken ORDER BY seq
"""
_OPEN: Final = "COPY transparency_openings (reference, leaf_index, salt, ledger_position) FROM STDIN"
_LEAVES: Final = "COPY transparency_leaves (index, leaf) FROM STDIN"
_NODES: Final = "COPY transparency_nodes (level, index, hash) FROM STDIN"
_PLACE: Final = """
UPDATE transparency_openings SET leaf_index = placed.index
FROM unnest(%s::text[], %s::bigint[]) AS placed (reference, index)
WHERE transparency_openings.reference = placed.reference
"""
_ADVANCE: Final = """
UPDATE transparency_head SET size = %s, root = %s, ledger_position = greatest(ledger_position, %s)
"""
_FIND: Final = """
SELECT ledger_position, leaf_index, salt, record FROM transparency_openings
WHERE leaf_index IS NOT NULL AND (record IS NOT NULL OR ledger_position IS NOT NULL)
AND reference IN (%(name)s, (SELECT reference FROM ledger WHERE receipt_id = %(name)s))
"""
_ROW: Final = f"SELECT {LEDGER_COLUMNS} FROM ledger WHERE position = %s"  # noqa: S608

_COSIGN: Final = """
INSERT INTO transparency_cosignatures (size, witness, line) VALUES (%s, %s, %s) ON CONFLICT (size, witness) DO NOTHING
"""
_COSIGNED: Final = "SELECT line FROM transparency_cosignatures WHERE size = %s ORDER BY witness"
_FORGET_OLDER: Final = """
DELETE FROM transparency_cosignatures
WHERE size < (SELECT size FROM transparency_cosignatures ORDER BY size DESC OFFSET %s LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A leaf, and the way from it to the root of a signed tree.

    Attributes:
        index: Place of the leaf.
        leaf: The leaf.
        hashes: From the leaf's sibling up.
        head: The tree.
        note: The tree's signed checkpoint.
    """

    index: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    head: LogHead
    note: str

    def proof(self, opening: Opening | None = None) -> str:
        """Return the proof as one text; with its opening only for whom the entry is about."""
        return str(LogProof(self.index, self.hashes, self.note, bytes(opening) if opening else b""))


@dataclass(frozen=True, slots=True)
class Placed:
    """Something that is logged, with what opens its commitment.

    Attributes:
        index: Place of its leaf.
        opening: What the leaf commits to.
    """

    index: int
    opening: Opening


class TransparencyLog:
    """The log of this installation.

    Args:
        database: Where it is.
        keys: What checkpoints are signed with.
        origin: Its name, for ever.
        witnesses: Keys of witnesses whose cosignatures are taken in.
    """

    def __init__(
        self, database: Database, keys: SigningKeys, *, origin: str, witnesses: Sequence[NoteKey] = ()
    ) -> None:
        self._database = database
        self._keys = keys
        self._witnesses = tuple(witnesses)
        self.origin = origin

    async def extend(self) -> bool:
        """Log a batch of what waits; return whether there was any. Any number of processes may.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            waits = await (await connection.execute(_WAITS)).fetchone()
            if waits == (False,):
                return False
            row = await (await connection.execute(_LOCK)).fetchone()
            assert row is not None, "the log has a head"
            size, _, position = row
            async with connection.cursor(row_factory=dict_row) as cursor:
                rows = await (await cursor.execute(_ROWS, (position, _BATCH))).fetchall()
            taken = await (await connection.execute(_TAKE, (_BATCH,))).fetchall()
            if not rows and not taken:
                return False
            failpoint("log.locked")
            await self._append(connection, size, rows, taken)
            failpoint("log.written")
        return True

    async def checkpoint(self, size: int = 0) -> tuple[LogHead, str]:
        """Return the tree as it is, or as it was at a size, and its signed note.

        Raises:
            RapportError: LOG_SIZE_UNKNOWN, NOT_READY.
        """
        async with self._database.transaction() as connection:
            head = await tree.head_at(connection, size)
            return head, await self._signed(connection, head)

    async def cosign(self, text: str) -> tuple[LogHead, str]:
        """Take in what a witness has signed; return the tree and its note with every cosignature there is.

        Raises:
            RapportError: COSIGNATURE_REFUSED: not a note of this log, or no witness that is known has signed it.
                LOG_SIZE_UNKNOWN, NOT_READY.
        """
        try:
            checkpoint, signers = open_checkpoint(text, self._witnesses)
        except NoteError as error:
            raise ERRORS.error("COSIGNATURE_REFUSED", f"not a cosigned checkpoint: {error}", field="note") from error
        lines = {(line.name, line.key_id): str(line) for line in Note.parse(text).signatures}
        async with self._database.transaction() as connection:
            head = await tree.head_at(connection, checkpoint.size)
            if checkpoint != (self.origin, *head):
                raise ERRORS.error("COSIGNATURE_REFUSED", "the log never said so", field="note")
            for key in signers:
                await connection.execute(_COSIGN, (head.size, str(key), lines[key.name, key.id]))
            await connection.execute(_FORGET_OLDER, (_COSIGNED_SIZES,))
            return head, await self._signed(connection, head)

    async def inclusion(self, index: int, size: int = 0) -> Inclusion:
        """Return a leaf with all that proves that it is in a tree.

        Args:
            index: Its place.
            size: Of the tree; 0 for the largest that a witness has cosigned and the leaf is in, else the present one.

        Raises:
            RapportError: LOG_SIZE_UNKNOWN, LOG_INDEX_UNKNOWN, NOT_READY.
        """
        async with self._database.transaction() as connection:
            head = await tree.head_at(connection, size or await tree.cosigned_size(connection, index))
            if not 0 <= index < head.size:
                raise ERRORS.error("LOG_INDEX_UNKNOWN", f"the tree has {head.size} entries", field="index")
            (leaf,) = await tree.leaves(connection, index, index + 1, 1)
            hashes = await tree.proof_hashes(connection, log_tree.inclusion(index, head.size))
            return Inclusion(index, leaf, tuple(hashes), head, await self._signed(connection, head))

    async def consistency(self, smaller: int, size: int = 0) -> tuple[LogHead, list[bytes], str]:
        """Return a tree, the hashes that prove that it continues a smaller one, and its signed note.

        Raises:
            RapportError: LOG_SIZE_UNKNOWN: it never had one of the sizes, or the first is the larger. NOT_READY.
        """
        async with self._database.transaction() as connection:
            head = await tree.head_at(connection, size)
            if not 0 <= smaller <= head.size:
                raise ERRORS.error("LOG_SIZE_UNKNOWN", f"the log has {head.size} entries", field="from_size")
            hashes = await tree.proof_hashes(connection, log_tree.consistency(smaller, head.size))
            return head, hashes, await self._signed(connection, head)

    async def leaves(self, start: int, limit: int) -> tuple[LogHead, list[bytes]]:
        """Return the head, and leaves from a place on."""
        async with self._database.transaction() as connection:
            head = await tree.head(connection)
            return head, await tree.leaves(connection, start, head.size, limit)

    async def find(self, name: str) -> Placed | None:
        """Return what is logged under a reference or receipt id; None where nothing is, or what opens it is destroyed.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            found = await (await connection.execute(_FIND, {"name": name})).fetchone()
            if found is None:
                return None
            position, index, salt, record = found
            if record is not None:
                return Placed(index, Opening(PRIVACY, bytes(record), bytes(salt)))
            row = await _row(connection, position)
        return Placed(index, Opening(LEDGER, row_record(row), bytes(salt)))

    async def placed(self, name: str) -> Placed | None:
        """Return what `find` does, once what waits before it is logged.

        None also where so much waits that it would take too long.

        Raises:
            RapportError: NOT_READY.
        """
        found = await self.find(name)
        for _ in range(_AT_ONCE):
            if found is not None:
                break
            waited = await self.extend()
            found = await self.find(name)  # also where nothing waited: others log too
            if not waited:
                break
        return found

    async def proof(self, name: str) -> str:
        """Return the proof, with its opening, that something is logged; empty where `placed` finds nothing.

        Raises:
            RapportError: NOT_READY.
        """
        placed = await self.placed(name)
        return (await self.inclusion(placed.index)).proof(placed.opening) if placed else ""

    def verifier_keys(self) -> list[NoteKey]:
        """Return the keys that verify checkpoints, retired ones included, newest first."""
        return [NoteKey(self.origin, key.public_key) for key in self._keys.public_keys()]

    async def _signed(self, connection: Connection, head: LogHead) -> str:
        """Return the note of a tree, with what witnesses have signed of it."""
        checkpoint = Checkpoint(self.origin, head.size, head.root)
        kid, signature = self._keys.sign(checkpoint.text.encode())
        (public_key,) = (key.public_key for key in self._keys.public_keys() if key.kid == kid)
        note = str(signed_checkpoint(checkpoint, public_key, lambda _: signature))
        lines = await (await connection.execute(_COSIGNED, (head.size,))).fetchall()
        return note + "".join(line for (line,) in lines)

    async def _append(
        self, connection: Connection, size: int, rows: Sequence[dict[str, Any]], taken: Sequence[tuple[str, bytes]]
    ) -> None:
        leaves: list[bytes] = []
        openings: list[tuple[str, int, bytes, int]] = []
        for row in rows:
            salt = secrets.token_bytes(SALT_BYTES)
            if row["kind"] != "blank":  # what was erased before it was logged, nobody shall open
                openings.append((row["reference"], size + len(leaves), salt, row["position"]))
            leaves.append(leaf_of(LEDGER, commitment(salt, row_record(row))))
        placed = [(reference, size + len(leaves) + offset) for offset, (reference, _) in enumerate(taken)]
        leaves += [leaf_of(PRIVACY, bytes(committed)) for _, committed in taken]
        frontier = await tree.node_hashes(connection, log_tree.part(0, size))
        nodes, frontier = log_tree.grown(size, map(leaf_hash, leaves), frontier)
        await bulk.copy(connection, _LEAVES, enumerate(leaves, start=size))
        await bulk.copy(connection, _NODES, ((node.level, node.place, hash_) for node, hash_ in nodes))
        if openings:
            await bulk.copy(connection, _OPEN, openings)
        if placed:
            await connection.execute(_PLACE, ([name for name, _ in placed], [index for _, index in placed]))
        grown_to = (size + len(leaves), log_tree.folded(frontier), rows[-1]["position"] if rows else 0)
        await connection.execute(_ADVANCE, grown_to)


def row_record(row: dict[str, Any]) -> bytes:
    """Return the record of a row of the ledger, as it is committed to: canonical JSON (RFC 8785).

    The library for it takes ten times as long; of ASCII names, text and whole numbers the two make the same.
    """
    return json.dumps(ledger_record(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def _row(connection: Connection, position: int) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(_ROW, (position,))).fetchone()
    assert row is not None, "a row of the ledger is never deleted"
    return row
