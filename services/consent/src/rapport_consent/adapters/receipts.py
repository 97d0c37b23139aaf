"""Receipts: made from the ledger row they prove, which never changes, and signed when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import rfc8785
from rapport.consent.v1 import purpose_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.signing import PublicKey, SigningKeys

from rapport_consent.adapters import notices
from rapport_consent.adapters.catalogue import KIND as PURPOSE
from rapport_consent.adapters.rows import READ_COLUMNS, row_of
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.purposes import PurposeTerms
from rapport_consent.domain.receipts import Controller, receipt_document
from rapport_consent.domain.rows import LedgerRow
from rapport_consent.translate.purposes import terms_of

_READ: Final = f"SELECT {READ_COLUMNS}, epoch FROM ledger WHERE receipt_id = %s"  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt: canonical JSON, the signature over exactly these bytes, and the key that made it."""

    document: bytes
    signature: bytes
    kid: str


class Receipts:
    """Issues receipts."""

    def __init__(self, database: Database, keys: SigningKeys, controller: Controller) -> None:
        self._database = database
        self._keys = keys
        self._controller = controller

    async def signed(self, receipt_id: str) -> SignedReceipt:
        """Return a receipt.

        Raises:
            RapportError: RECEIPT_NOT_FOUND: there is none, or its person was erased. NOT_READY.
        """
        async with self._database.transaction() as connection:
            found = await (await connection.execute(_READ, (receipt_id,))).fetchone()
            if found is None:
                raise ERRORS.error("RECEIPT_NOT_FOUND", "there is no such receipt", field="receipt_id")
            row, epoch = row_of(found[:-1]), found[-1]
            terms = await _terms(connection, row)
            notice = None
            if row.notice_id:
                notice = await notices.read(connection, row.notice_id, row.notice_version, "")
        fields = receipt_document(row, epoch, terms, notice, self._controller)
        document = rfc8785.dumps(fields)
        kid, signature = self._keys.sign(document)
        return SignedReceipt(document, signature, kid)

    def public_keys(self) -> Sequence[PublicKey]:
        """Return the keys that verify receipts, retired ones included, newest first."""
        return self._keys.public_keys()


async def _terms(connection: Connection, row: LedgerRow) -> PurposeTerms | None:
    """The terms of the version that was in force; None for direct marketing as a whole."""
    if not row.purpose_version:
        return None
    version = await AuthoredStore(PURPOSE).get(connection, row.purpose_id, row.purpose_version)
    return terms_of(purpose_pb2.PurposeTerms.FromString(version.body))
