"""Packages and certificates are verified by whoever holds the file, and refused once anything in it is another."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import rfc8785
from consent_packages import PLAN, record
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.signing import SigningKeys
from rapport_consent.adapters import certificates, package_rendering, transparency_intake
from rapport_consent.adapters.package_spool import Spool
from rapport_consent.adapters.packages import Packages
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_consent.domain import tasks
from rapport_consent.domain.certificates import ErasureFacts, ParticipantAnswer
from rapport_consent.domain.packages import PackageRecord
from rapport_privacy.certificates import CertificateError, verify_certificate
from rapport_privacy.packages import PackageError, verify_package
from rapport_privacy.participant.answers import completed
from rapport_privacy.participant.holding import Answer, Kept, StoreCount, Subject, TaskKind
from rapport_privacy.participant.journal import Task
from rapport_privacy.participant.ledger import Known
from rapport_testing.prove import Scale

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ORIGIN = "consent.rapport.example/log"


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database, as the service sees it."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    """What is signed with."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return SigningKeys.load(folder, SystemClock())


@pytest.fixture
def packages(opened: Database, keys: SigningKeys, tmp_path: Path) -> Packages:
    """Where packages are made."""
    log = TransparencyLog(opened, keys, origin=ORIGIN)
    return Packages(opened, log, keys, folder=tmp_path / "packages")


async def stream(records: Iterable[PackageRecord]) -> AsyncIterator[PackageRecord]:
    """Records as they come from participants."""
    for each in records:
        yield each


def trusted(keys: SigningKeys) -> dict[str, bytes]:
    """The public keys, as they are published."""
    return {key.kid: key.public_key for key in keys.public_keys()}


async def test_package_is_verified_offline_and_with_stock_tools(
    packages: Packages, keys: SigningKeys, tmp_path: Path
) -> None:
    sealed = await packages.make(PLAN, stream([record({"name": "Ada"}), record({"risk": 0.4}, "churn", "scores")]))
    assert sealed.sha256 == sha256(sealed.path.read_bytes()).digest()
    keys.rotate()
    for published in (None, trusted(keys)):
        verified = verify_package(sealed.path, published)
        assert verified.manifest == json.loads(sealed.manifest)
        assert verified.logged_at == 0
    with pytest.raises(PackageError, match="no key that is trusted"):
        verify_package(sealed.path, {"0" * 32: bytes(32)})
    out = tmp_path / "out"
    ZipFile(sealed.path).extractall(out)
    for command in (
        "sha256sum --strict -c SHA256SUMS",
        "openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in manifest.json -sigfile manifest.json.sig",
    ):
        assert await asyncio.to_thread(ends_well, command, out), command
    await packages.discard(PLAN)
    assert not sealed.path.exists()


def ends_well(command: str, folder: Path) -> bool:
    """Whether a command succeeds in a folder."""
    return subprocess.run(command.split(), cwd=folder, capture_output=True, check=False).returncode == 0


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Another archive, with its files changed."""
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    other = path.with_name("other.zip")
    with ZipFile(other, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return other


async def test_package_that_was_changed_is_refused(packages: Packages) -> None:
    sealed = await packages.make(PLAN, stream([record({"name": "Ada"})]))
    again = await packages.make(replace(PLAN, request_id="req_9876543210"), stream([record({"name": "Ada"})]))
    with ZipFile(again.path) as archive:
        foreign = {name: archive.read(name) for name in archive.namelist()}
    data = "data/identity/records.json"
    changes: list[tuple[str, Callable[[dict[str, bytes]], object]]] = [
        ("was changed", lambda files: files.update({data: files[data].replace(b"Ada", b"Eva")})),
        ("was changed", lambda files: files.update({data: files[data] + b" "})),
        ("is missing", lambda files: files.pop(data)),
        ("not in the manifest", lambda files: files.update({"data/extra.json": b"{}"})),
        ("the manifest", lambda files: files.update({"manifest.json": files["manifest.json"] + b" "})),
        ("the manifest", lambda files: files.update({"manifest.json": foreign["manifest.json"]})),
        ("another package", lambda files: files.update({"manifest.tlog-proof": foreign["manifest.tlog-proof"]})),
        ("log proof", lambda files: files.update({"manifest.tlog-proof": b"nothing"})),
        ("is missing", lambda files: files.pop("manifest.tlog-proof")),
    ]
    for words, change in changes:
        with pytest.raises(PackageError, match=words):
            verify_package(rewritten(sealed.path, change))
    (sealed.path.parent / "cut.zip").write_bytes(sealed.path.read_bytes()[:-40])
    with pytest.raises(PackageError):
        verify_package(sealed.path.parent / "cut.zip")


async def test_what_cannot_be_packed_is_refused_and_leaves_nothing_behind(packages: Packages, tmp_path: Path) -> None:
    left = tmp_path / "packages" / "req_killed-access"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    with pytest.raises(RapportError, match="PACKAGE_UNREADABLE"):
        await packages.make(PLAN, stream([record("no record")]))

    async def broken() -> AsyncIterator[PackageRecord]:
        yield record({"name": "canary"})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await packages.make(PLAN, broken())
    assert list((tmp_path / "packages").iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_records(scale: Scale, tmp_path: Path, prove) -> None:
    peaks = []
    for count in (500, scale.pick(small=5_000, full=100_000)):
        folder = tmp_path / str(count)
        folder.mkdir()
        with Spool(folder, PLAN) as spool:
            for n in range(count):
                spool.take(record({"n": n, "text": "x" * 400, f"k{n % 7}": n}, record_id=f"rec_{n}"))
            spool.finish()
        peaks.append(peak_kib(folder))
        assert ZipFile(folder / "package.zip").testzip() is None
    few, many = peaks
    assert many < few + 16 * 1024
    assert many < 250 * 1024
    prove("consent", package_peak_kib=many)


def peak_kib(folder: Path) -> int:
    """Most memory that was resident in a process that renders what is spooled there."""
    script = (
        f"from {package_rendering.__name__} import render\nfrom pathlib import Path\nimport sys\n"
        "render(Path(sys.argv[1]))\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def answer(kind: TaskKind, found: int, acted: int, signers: SigningKeys) -> ParticipantAnswer:
    """What a participant answers, signed as participants sign."""
    kept = Kept("receipts", 2, "LEGAL_OBLIGATION", datetime(2034, 1, 1, tzinfo=UTC))
    task = Task("tsk_0123456789", kind, Subject("req_0123456789", ("prf_0123456789",)), "acted", None)
    message = completed(
        task,
        Answer((StoreCount("receipts", found, acted),), (kept,)),
        participant="pricing",
        known=Known("epoch", 7),
        now=AT,
        keys=signers,
    )
    return ParticipantAnswer(
        participant="pricing",
        task=kind.name,
        outcome="PARTIAL",
        completed_at=AT,
        stores=(tasks.StoreCount("receipts", found, acted),),
        kept=(tasks.Kept("receipts", 2, "LEGAL_OBLIGATION", datetime(2034, 1, 1, tzinfo=UTC)),),
        signed=message.SerializeToString(),
        public_key=signers.public_keys()[0].public_key,
    )


async def test_certificate_is_verified_offline_and_refused_once_anything_in_it_is_another(
    opened: Database, keys: SigningKeys, tmp_path: Path
) -> None:
    log = TransparencyLog(opened, keys, origin=ORIGIN)
    (tmp_path / "signers").mkdir()
    signers = SigningKeys.load(tmp_path / "signers", SystemClock())
    facts = ErasureFacts(
        certificate_id="crt_0123456789",
        request_id="req_0123456789",
        rule_pack="GDPR.1",
        received_at=AT,
        approved_at=AT,
        completed_at=AT,
        ids=1,
        answers=(answer(TaskKind.ERASE, 5, 3, signers),),
        probe=(answer(TaskKind.PROBE, 2, 0, signers),),
        keys=(),
        choices={},
        controller=PLAN.controller,
    )
    with pytest.raises(RapportError, match="CERTIFICATE_NOT_READY"):
        async with opened.transaction() as connection:
            await certificates.issue(connection, replace(facts, probe=()), keys)
    async with opened.transaction() as connection:
        issued = await certificates.issue(connection, facts, keys)
        await transparency_intake.record(
            connection, reference="req_0123456789/closed", request_id="req_0123456789", event="CLOSED", document={}
        )
    proof, other = await log.proof(facts.certificate_id), await log.proof("req_0123456789/closed")
    async with opened.transaction() as connection:
        assert await transparency_intake.forget(connection, "req_0123456789") == 1
    assert await log.proof("req_0123456789/closed") == ""
    assert await log.proof(facts.certificate_id) != ""
    (raw,) = trusted(keys).values()
    fields = verify_certificate(issued.document, issued.signature, raw, log_proof=proof, log_keys=[raw])
    assert fields["certificate_id"] == facts.certificate_id
    assert b"prf_" not in issued.document

    def signed(**changes: Any) -> tuple[bytes, bytes]:
        document = rfc8785.dumps({**fields, **changes})
        return document, keys.sign(document)[1]

    (said,) = fields["answers"]
    forgeries = [
        ("signature does not belong", (issued.document + b" ", issued.signature)),
        ("another certificate", signed(ids="2")),
        ("something else", signed(answers=[{**said, "outcome": "DONE"}])),
        ("something else", signed(answers=[{**said, "kept": []}])),
        ("something else", signed(answers=[{**said, "participant": "churn"}])),
        ("something else", signed(request_id="req_9876543210")),
        ("does not fit", signed(answers=[{**said, "public_key": b64encode(raw).decode()}])),
        ("neither signed nor", signed(answers=[{**said, "signed": ""}])),
        ("malformed", signed(answers=[{"participant": "pricing"}])),
        ("not a certificate", signed(schema="rapport-package/1")),
    ]
    for words, (document, signature) in forgeries:
        with pytest.raises(CertificateError, match=words):
            verify_certificate(document, signature, raw, log_proof=proof, log_keys=[raw])
    with pytest.raises(CertificateError, match="another certificate"):
        verify_certificate(issued.document, issued.signature, raw, log_proof=other, log_keys=[raw])
