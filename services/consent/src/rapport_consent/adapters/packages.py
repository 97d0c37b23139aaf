"""Makes packages: takes records as they come, has them rendered beside the service, signs and logs what resulted.

Records go to files first, so that a person with very many needs no more memory than one with few. A child process of
low priority makes pages, tables and the archive of them; it sees neither the database nor a private key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rapport_chassis.database.engine import Database
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import PublicKey, SigningKeys
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.adapters import package_rendering, transparency_intake
from rapport_consent.adapters.package_spool import ARCHIVE, LETTER, RenderedFile, Spool, read_rendered
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.packages import SCHEMA, PackagePlan, PackageRecord, StoreTally
from rapport_consent.domain.receipts import Json, time_text

MANIFEST: Final = "manifest.json"
"""Names every other file by its digest; what is signed and logged."""

_YIELD_EVERY: Final = 200
_PIECE: Final = 1 << 20
_LEFT_AFTER_S: Final = 6 * 3600.0
_HANDED_DOWN: Final = ("PATH", "PYTHONPATH", "LANG", "TMPDIR")  # and nothing that is secret


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

    @property
    def holds_anything(self) -> bool:
        """Whether there is a record in it: without any it says, signed, that nothing is held."""
        return any(tally.records for tally in self.tallies)


class Packages:
    """Makes packages.

    Args:
        database: Where the log is.
        log: The log.
        keys: What manifests are signed with.
        folder: Where archives are made; nobody else may read what is in it. It need not outlive the process.
        render: Renders what was spooled to a folder; None for a process of its own.
    """

    def __init__(
        self,
        database: Database,
        log: TransparencyLog,
        keys: SigningKeys,
        *,
        folder: Path,
        render: Callable[[Path], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._keys = keys
        self._folder = folder
        self._render = render or _render

    async def make(
        self, plan: PackagePlan, records: AsyncIterator[PackageRecord], *, letter: bytes = b""
    ) -> SealedPackage:
        """Make a package of records in the order in which they come.

        The caller stores the archive and then calls `discard`. Repeated after a kill it makes another archive with the
        same data in it; the log names both.

        Args:
            plan: What the package says of itself.
            records: Of all participants, store after store or mixed.
            letter: The letter that goes with it, as PDF; empty for none.

        Raises:
            RapportError: PACKAGE_UNREADABLE: a record is no JSON object. PACKAGE_FAILED: rendering failed; try again.
                NOT_READY.
        """
        folder = self._folder_of(plan)
        await asyncio.to_thread(_drop_left, self._folder)
        await asyncio.to_thread(_make_anew, folder)
        try:
            with Spool(folder, plan) as spool:
                count = 0
                async for record in records:
                    spool.take(record)
                    count += 1
                    if count % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)  # others are served in between
                spool.finish()
            if letter:
                await asyncio.to_thread((folder / LETTER).write_bytes, letter)
            failpoint("package.spooled")
            await self._render(folder)
            failpoint("package.rendered")
            return await self._seal(plan, folder)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise

    async def discard(self, plan: PackagePlan) -> None:
        """Remove what was made, finished or not."""
        await asyncio.to_thread(shutil.rmtree, self._folder_of(plan), ignore_errors=True)

    async def _seal(self, plan: PackagePlan, folder: Path) -> SealedPackage:
        rendered = read_rendered(folder)
        files, tallies = rendered.files, rendered.tallies
        kid, _ = self._keys.sign(b"")
        manifest = rfc8785.dumps(_manifest(plan, files, tallies, kid))
        key, signature = self._signed(manifest)
        if key.kid != kid:  # rotated in between
            manifest = rfc8785.dumps(_manifest(plan, files, tallies, key.kid))
            key, signature = self._signed(manifest)
        digest = sha256(manifest).hexdigest()
        reference = f"{plan.request_id}/{plan.kind.value}/{secrets.token_hex(8)}"
        async with self._database.transaction() as connection:
            await transparency_intake.record(
                connection,
                reference=reference,
                request_id=plan.request_id,
                event="PACKAGE_SEALED",
                document={"kind": plan.kind.value, "manifest_sha256": digest},
            )
        proof = await self._log.proof(reference)
        if not proof:
            raise ERRORS.error("PACKAGE_FAILED", "much else has to be logged first")
        path = folder / ARCHIVE
        await asyncio.to_thread(_complete, path, files, manifest, signature, key, proof, self._log_keys())
        failpoint("package.sealed")
        get_logger().info(
            "privacy_package_sealed",
            request_id=plan.request_id,
            records=sum(each.records for each in tallies),
            peak_kib=rendered.peak_kib,
        )
        whole, size = await asyncio.to_thread(_digest, path)
        return SealedPackage(path, whole, size, manifest, key.kid, tuple(tallies))

    def _signed(self, manifest: bytes) -> tuple[PublicKey, bytes]:
        kid, signature = self._keys.sign(manifest)
        (key,) = (key for key in self._keys.public_keys() if key.kid == kid)
        return key, signature

    def _log_keys(self) -> str:
        return "".join(f"{key}\n" for key in self._log.verifier_keys())

    def _folder_of(self, plan: PackagePlan) -> Path:
        return self._folder / f"{plan.request_id}-{plan.kind.value}"


def _manifest(
    plan: PackagePlan, files: Iterable[RenderedFile], tallies: Iterable[StoreTally], kid: str
) -> dict[str, Json]:
    return {
        "schema": SCHEMA,
        "request_id": plan.request_id,
        "kind": plan.kind.value,
        "locale": plan.locale,
        "made_at": time_text(plan.made_at),
        "kid": kid,
        "controller": {"party_id": plan.controller.party_id, "name": plan.controller.name},
        "files": [
            {"path": file.path, "sha256": file.sha256, "bytes": str(file.size), "records": str(file.records)}
            for file in files
        ],
        "stores": [
            {
                "participant": each.participant,
                "store": each.store,
                "records": str(each.records),
                "withheld": {name: str(count) for name, count in sorted(each.withheld.items())},
                "redacted": str(each.redacted),
                "excluded": str(each.excluded),
            }
            for each in tallies
        ],
    }


async def _render(folder: Path) -> None:
    """Have a package rendered by a process of its own.

    Raises:
        RapportError: PACKAGE_UNREADABLE, PACKAGE_FAILED.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", package_rendering.__name__, str(folder)),
        env={name: os.environ[name] for name in _HANDED_DOWN if name in os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,  # a traceback may quote what it was reading
    )
    try:
        ended = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if ended == package_rendering.UNREADABLE:
        raise ERRORS.error("PACKAGE_UNREADABLE", "a participant exported what is no JSON object")
    if ended:
        raise ERRORS.error("PACKAGE_FAILED", f"rendering ended with {ended}")


def _drop_left(folder: Path) -> None:
    """Remove what processes that were killed have left a while ago: it names people."""
    for left in folder.glob("req_*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _LEFT_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)


def _complete(
    path: Path,
    files: Iterable[RenderedFile],
    manifest: bytes,
    signature: bytes,
    key: PublicKey,
    proof: str,
    log_keys: str,
) -> None:
    """Add to an archive what proves it."""
    pem = Ed25519PublicKey.from_public_bytes(key.public_key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    sums = "".join(f"{file.sha256}  {file.path}\n" for file in files)
    with ZipFile(path, "a") as archive:
        for name, content in (
            (MANIFEST, manifest),
            (f"{MANIFEST}.sig", signature),
            ("manifest.tlog-proof", proof.encode()),
            ("log-keys.txt", log_keys.encode()),
            ("public-key.pem", pem),
            ("SHA256SUMS", sums.encode()),
        ):
            with package_rendering.entry(archive, name) as (write, _):
                write(content)


def _digest(path: Path) -> tuple[bytes, int]:
    hashed, size = sha256(), 0
    for piece in _pieces(path):
        hashed.update(piece)
        size += len(piece)
    return hashed.digest(), size


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
