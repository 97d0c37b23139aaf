"""Packages and certificates at rest: pieces sealed under a key of their own, which is gone when they expire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection

from rapport_consent.adapters.sealing import Sealer
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.rule_packs import Right

_PIECE: Final = 512 * 1024
_CLEAR: Final = "DELETE FROM privacy_package_pieces WHERE request_id = %s AND right_code = %s"
_DROP: Final = "DELETE FROM privacy_packages WHERE request_id = %s AND right_code = %s"
_ADD_PIECE: Final = (
    "INSERT INTO privacy_package_pieces (request_id, right_code, number, sealed) VALUES (%s, %s, %s, %s)"
)
_ADD: Final = """
INSERT INTO privacy_packages (request_id, right_code, sealed_key, sha256, size, sealed_at, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_GET: Final = "SELECT sealed_key, sha256 FROM privacy_packages WHERE request_id = %s AND right_code = %s"
_GET_PIECE: Final = (
    "SELECT sealed FROM privacy_package_pieces WHERE request_id = %s AND right_code = %s AND number = %s"
)
_RIGHTS: Final = "SELECT right_code FROM privacy_packages WHERE request_id = %s AND expires_at > %s ORDER BY right_code"
_SWEEP: Final = """
WITH gone AS (DELETE FROM privacy_packages WHERE expires_at <= %s RETURNING request_id, right_code)
DELETE FROM privacy_package_pieces AS piece USING gone
WHERE piece.request_id = gone.request_id AND piece.right_code = gone.right_code
"""
_CERTIFY: Final = """
INSERT INTO privacy_certificates (request_id, certificate_id, document, signature, kid, pdf, issued_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (request_id) DO NOTHING
"""
_CERTIFICATE: Final = (
    "SELECT certificate_id, document, signature, kid, pdf FROM privacy_certificates WHERE request_id = %s"
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """An erasure certificate, exactly as it was signed, and on paper."""

    certificate_id: str
    document: bytes
    signature: bytes
    kid: str
    pdf: bytes


class PackageStore:
    """Keeps packages and certificates.

    Args:
        database: Where they are.
        sealer: Seals the key of each package.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def keep(
        self, request_id: str, right: Right, archive: Path, sha256: bytes, *, now: datetime, expires_at: datetime
    ) -> None:
        """Keep an archive, in place of an unfinished or earlier one; it can be opened once all of it is kept."""
        owner = request_id, right.value
        async with self._database.transaction() as connection:
            await connection.execute(_DROP, owner)
            await connection.execute(_CLEAR, owner)
        piece_sealer, key = Sealer.fresh()
        number = size = 0
        with archive.open("rb") as file:
            while content := file.read(_PIECE):
                sealed = piece_sealer.seal(content, f"{request_id}/{right.value}/{number}")
                async with self._database.transaction() as connection:
                    await connection.execute(_ADD_PIECE, (*owner, number, sealed))
                number, size = number + 1, size + len(content)
        async with self._database.transaction() as connection:
            sealed_key = self._sealer.seal(key, f"{request_id}/{right.value}")
            await connection.execute(_ADD, (*owner, sealed_key, sha256, size, now, expires_at))

    async def rights(self, request_id: str, now: datetime) -> list[Right]:
        """Return the rights for which a request has a package that can be opened."""
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_RIGHTS, (request_id, now))).fetchall()
        return [Right(row[0]) for row in rows]

    async def open(self, request_id: str, right: Right) -> tuple[bytes, AsyncIterator[bytes]]:
        """Return the hash of a package, and its pieces.

        Raises:
            RapportError: PACKAGE_NOT_READY.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_GET, (request_id, right.value))).fetchone()
        if row is None:
            raise ERRORS.error("PACKAGE_NOT_READY", "there is no package, or it has expired")
        opener = Sealer([self._sealer.open(bytes(row[0]), f"{request_id}/{right.value}")])
        return bytes(row[1]), self._pieces(request_id, right, opener)

    async def _pieces(self, request_id: str, right: Right, opener: Sealer) -> AsyncIterator[bytes]:
        number = 0
        while True:
            async with self._database.transaction() as connection:
                row = await (await connection.execute(_GET_PIECE, (request_id, right.value, number))).fetchone()
            if row is None:
                return
            yield opener.open(bytes(row[0]), f"{request_id}/{right.value}/{number}")
            number += 1

    async def certificate(self, request_id: str) -> Certificate | None:
        """Return the certificate of an erasure; None if there is none yet."""
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_CERTIFICATE, (request_id,))).fetchone()
        if row is None:
            return None
        certificate_id, document, signature, kid, pdf = row
        return Certificate(certificate_id, bytes(document), bytes(signature), kid, bytes(pdf))


async def keep_certificate(connection: Connection, request_id: str, certificate: Certificate, now: datetime) -> None:
    """Keep a certificate in the transaction that goes on from it."""
    values = (
        request_id,
        certificate.certificate_id,
        certificate.document,
        certificate.signature,
        certificate.kid,
        certificate.pdf,
        now,
    )
    await connection.execute(_CERTIFY, values)


async def sweep_packages(connection: Connection, now: datetime) -> int:
    """Delete packages that have expired, and with them their keys; return how many pieces went."""
    return (await connection.execute(_SWEEP, (now,))).rowcount
