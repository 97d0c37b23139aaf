"""Makes packages: takes records as they come, has them rendered beside the service, signs and logs what resulted.

Records go to files first, so that a person with very many needs no more memory than one with few. A child process of
low priority makes pages, tables and the archive of them; it sees neither the database nor a private key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rapport_chassis.database.engine import Database
from rapport_chassis.signing import SigningKeys

from rapport_consent.domain.packages import PackagePlan, PackageRecord, StoreTally


@dataclass(frozen=True, slots=True)
class SealedPackage:
    """A package that is complete: signed, logged, and never changed again.

    Attributes:
        path: The archive.
        sha256: Digest of the archive.
        size: Its length in bytes.
        manifest: Its manifest, canonical JSON, as it was signed.
        kid: The key that signed it.
        tallies: What it holds, store by store: compare with what the participants have signed.
    """

    path: Path
    sha256: bytes
    size: int
    manifest: bytes
    kid: str
    tallies: tuple[StoreTally, ...]


class Packages:
    """Makes packages.

    Args:
        database: Where the log is.
        keys: What manifests are signed with.
        origin: Name of the log.
        folder: Where archives are made; only this user may read what is in it.
    """

    def __init__(self, database: Database, keys: SigningKeys, *, origin: str, folder: Path) -> None:
        self._database = database
        self._keys = keys
        self._origin = origin
        self._folder = folder

    async def make(self, plan: PackagePlan, records: AsyncIterator[PackageRecord]) -> SealedPackage:
        """Make a package of records in the order in which they come; the caller stores the archive and deletes it.

        Repeated after a kill it makes another archive, with the same data in it; the log names both.

        Args:
            plan: What the package says of itself.
            records: Of all participants, store after store or mixed.

        Raises:
            RapportError: PACKAGE_UNREADABLE: a record is no JSON object. PACKAGE_FAILED: rendering failed; try again.
        """
        raise NotImplementedError
