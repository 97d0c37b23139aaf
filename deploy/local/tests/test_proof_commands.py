"""`rapport verify` and `rapport witness`: what was handed out and logged is checked by whoever doubts it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import rfc8785
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from local_desk import Desk
from rapport_chassis.ids import new_id
from rapport_chassis.signing import SigningKeys, kid_of
from rapport_local.main import main
from rapport_privacy.log_proofs import LogProof, Opening
from rapport_privacy.merkle import leaf_hash
from rapport_privacy.notes import Checkpoint, NoteKey, signed_checkpoint
from rapport_privacy.witness import Witness
from rapport_testing.waiting import eventually_sync

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
RAW = PRIVATE.public_key().public_bytes_raw()
KID = kid_of(RAW)


def proof_of(record: dict[str, Any]) -> str:
    """A proof that this is the one entry of a log."""
    opening = Opening("privacy", rfc8785.dumps(record), bytes(32))
    checkpoint = Checkpoint("example.com/log", 1, leaf_hash(opening.leaf))
    return str(LogProof(0, (), str(signed_checkpoint(checkpoint, RAW, PRIVATE.sign)), bytes(opening)))


def package(path: Path, *, content: bytes = b"[]") -> Path:
    """A package of one file."""
    listed: Any = {"path": "data/a.json", "sha256": sha256(b"[]").hexdigest(), "bytes": "2", "records": "1"}
    store: Any = {
        "participant": "identity",
        "store": "records",
        "records": "1",
        "withheld": {"iban": "1"},
        "redacted": "2",
    }
    manifest = rfc8785.dumps(
        {"schema": "rapport-package/1", "request_id": "req_1", "kid": KID, "files": [listed], "stores": [store]}
    )
    proof = proof_of({"manifest_sha256": sha256(manifest).hexdigest(), "request_id": "req_1"})
    with ZipFile(path, "w") as archive:
        archive.writestr("data/a.json", content)
        archive.writestr("manifest.json", manifest)
        archive.writestr("manifest.json.sig", PRIVATE.sign(manifest))
        archive.writestr("manifest.tlog-proof", proof)
        pem = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        archive.writestr("public-key.pem", pem)
    return path


def certificate(path: Path, *, confirmed_by: str = "officer-1") -> Path:
    """A certificate as a call prints it; its one participant signs nothing itself."""
    answer: dict[str, Any] = {
        "participant": "old-archive",
        "task": "ERASE",
        "outcome": "DONE",
        "stores": [{"store": "boxes", "found": "3", "erased": "3"}],
        "kept": [],
        "signed": "",
        "public_key": "",
        "confirmed_by": confirmed_by,
    }
    document = rfc8785.dumps(
        {
            "schema": "rapport-certificate/1",
            "certificate_id": "crt_1",
            "request_id": "req_1",
            "answers": [answer],
            "probe": [{**answer, "task": "PROBE", "stores": []}],
        }
    )
    said = {
        "certificateId": "crt_1",
        "document": b64encode(document).decode(),
        "signature": b64encode(PRIVATE.sign(document)).decode(),
        "kid": KID,
        "logProof": proof_of({"certificate_sha256": sha256(document).hexdigest()}),
    }
    path.write_text(json.dumps(said))
    return path


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """The service's keys, as a call prints them."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{"kid": KID, "publicKey": b64encode(RAW).decode()}]}))
    return str(path)


def verify(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["verify", *arguments], catch_exceptions=False)


def test_package_is_verified_by_its_own_key_or_better_by_a_published_one(tmp_path: Path, keys: str) -> None:
    found = verify(str(package(tmp_path / "a.zip")))
    assert found.exit_code == 0, found.stderr
    assert f"its key: SHA-256 {sha256(RAW).hexdigest()}" in found.stdout
    assert "iban withheld" in found.stdout
    known = verify(str(tmp_path / "a.zip"), "--keys", keys)
    assert known.exit_code == 0, known.stderr
    assert "its key" not in known.stdout
    changed = verify(str(package(tmp_path / "b.zip", content=b"{}")))
    assert changed.exit_code == 1
    assert "a file was changed: data/a.json" in changed.stderr


def test_certificate_is_verified_and_who_did_not_sign_is_named(tmp_path: Path, keys: str) -> None:
    found = verify(str(certificate(tmp_path / "a.json")), "--keys", keys)
    assert found.exit_code == 0, found.stderr
    assert "old-archive signs nothing itself" in found.stdout
    assert "boxes 3 of 3" in found.stdout
    assert "entry 0 of 1 in example.com/log" in found.stdout
    forged = verify(str(certificate(tmp_path / "b.json", confirmed_by="")), "--keys", keys)
    assert forged.exit_code == 1
    assert "neither signed nor was confirmed" in forged.stderr
    assert "give --keys" in verify(str(tmp_path / "a.json")).stderr


def test_witness_cosigns_a_log_that_grows_and_keeps_the_proof_of_another_view(stoppable: Desk, tmp_path: Path) -> None:
    first = stoppable.run("witness", "--state", str(tmp_path / "state"), "--leaves", "--ledger")
    assert first.exit_code == 0, first.stderr
    assert "seen for the first time" in first.stdout
    assert "they come to the root" in first.stdout
    origin, size = first.stdout.split(":")[0], int(first.stdout.split()[1])
    objection = {"profile_id": new_id("profile"), "direct_marketing": True}
    assert stoppable.run("call", "RecordObjection", json.dumps(objection)).exit_code == 0

    def grown() -> bool:
        found = stoppable.run("witness", "--state", str(tmp_path / "state"))
        assert ", continues " in found.stdout, found.stderr
        return int(found.stdout.split()[1]) > size

    eventually_sync(grown)
    signing = SigningKeys.load(stoppable.environment.service_folder("consent") / "signing")
    raw = signing.public_keys()[0].public_key
    shown = signed_checkpoint(Checkpoint(origin, size + 10_000, bytes(32)), raw, lambda text: signing.sign(text)[1])

    async def prove(smaller: int, larger: int) -> Sequence[bytes]:
        raise AssertionError((smaller, larger))

    elsewhere = Witness(tmp_path / "elsewhere", "witness.example.org")
    asyncio.run(elsewhere.take(str(shown), [NoteKey(origin, raw)], prove, seconds=1))
    caught = stoppable.run("witness", "--state", str(tmp_path / "elsewhere"), "--name", "witness.example.org")
    assert caught.exit_code == 1
    assert "not to be trusted: the log shrank" in caught.stderr
    (evidence,) = (tmp_path / "elsewhere").glob("evidence-*.txt")
    assert str(shown).split("\n\n")[0] in evidence.read_text()
