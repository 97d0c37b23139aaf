"""`rapport verify`: check a receipt, a package or a certificate with nothing but the file and a public key."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf import json_format
from rapport.consent.v1 import consent_pb2, privacy_pb2
from rapport_privacy.certificates import CertificateError, unsigned, verify_certificate
from rapport_privacy.log_proofs import LogProof, ProofError, verify_logged
from rapport_privacy.notes import NoteError, NoteKey
from rapport_privacy.packages import PackageError, verify_package
from rapport_privacy.receipts import ReceiptError, verify_receipt

from rapport_local.failure import Failure

_ARCHIVE: Final = b"PK"
_BOUND: Final = {"receipt_id": "receipt_id", "reference": "record_id", "named_id": "pii_principal_id"}


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Public keys, as consent.v1.ConsentService/ListSigningKeys answers; a package can do without.",
)
@click.option("--witness", "witnesses", multiple=True, metavar="KEY", help="A witness that must have cosigned the log.")
def verify(file: Path, keys_file: Path | None, witnesses: Sequence[str]) -> None:
    """Verify the receipt, package or certificate in FILE, and print what it says. Nothing is asked over the network.

    FILE is the ZIP of a package, or what `rapport call --json` prints for GetReceipt or GetErasureCertificate; the keys
    are what it prints for consent.v1.ConsentService/ListSigningKeys. All that is proven of a package without --keys is
    that nobody changed it since: compare the fingerprint of its key with the published one.
    """
    keys, cosigners = _keys(keys_file), _witnesses(witnesses)
    if str(file) != "-" and _begins(file) == _ARCHIVE:
        _verify_package(file, keys, cosigners)
        return
    text = _text(file)
    if keys is None:
        raise Failure("a receipt or certificate is verified with the service's public keys", hint="give --keys")
    if "certificateId" in text or "certificate_id" in text:
        _verify_certificate(file, _parsed(file, text, privacy_pb2.ErasureCertificate()), keys, cosigners)
    else:
        _verify_receipt(_parsed(file, text, consent_pb2.Receipt()), keys, cosigners)


def _verify_receipt(receipt: consent_pb2.Receipt, keys: Mapping[str, bytes], witnesses: Sequence[NoteKey]) -> None:
    try:
        fields = verify_receipt(receipt.document, receipt.signature, _key(receipt.kid, keys))
    except ReceiptError as error:
        raise Failure(f"not a genuine receipt: {error}") from error
    _print(fields)
    if receipt.log_proof or witnesses:
        entry = _logged(receipt.log_proof, keys, witnesses)
        if any(entry.get(name) != fields.get(field) for name, field in _BOUND.items()):
            raise Failure("not a genuine receipt: the entry in the transparency log is of another decision")
    _genuine(receipt.kid)


def _verify_certificate(
    file: Path, message: privacy_pb2.ErasureCertificate, keys: Mapping[str, bytes], witnesses: Sequence[NoteKey]
) -> None:
    key = _key(message.kid, keys)
    try:
        fields = verify_certificate(
            message.document, message.signature, key, log_proof=message.log_proof, log_keys=list(keys.values())
        )
    except CertificateError as error:
        raise Failure(f"not a genuine certificate: {error}") from error
    answers = [*fields.pop("answers"), *fields.pop("probe")]
    _print(fields)
    for answer in answers:
        counts = ", ".join(f"{each['store']} {each['erased']} of {each['found']}" for each in answer["stores"])
        click.echo(f"{answer['task'].lower():<7} {answer['participant']:<36} {answer['outcome']:<14} {counts}")
        for each in answer["kept"]:
            click.echo(f"{'kept':>14} {each['count']} in {each['store']}: {each['ground']} {each['until']}".rstrip())
    for name in sorted(set(unsigned({"answers": answers, "probe": []}))):
        click.secho(f"{name} signs nothing itself: an operator confirmed it", fg="yellow")
    if message.log_proof or witnesses:
        _logged(message.log_proof, keys, witnesses)
    else:
        click.secho(f"{file} holds no proof of the transparency log", fg="yellow")
    _genuine(message.kid)


def _verify_package(file: Path, keys: Mapping[str, bytes] | None, witnesses: Sequence[NoteKey]) -> None:
    try:
        found = verify_package(file, keys, witnesses)
    except PackageError as error:
        raise Failure(f"not a genuine package: {error}") from error
    manifest = found.manifest
    stores, files = manifest.pop("stores"), manifest.pop("files")
    _print(manifest)
    for store in stores:
        left_out = "".join(
            f", {store[what]} {what}" for what in ("redacted", "excluded") if store.get(what, "0") != "0"
        )
        withheld = "".join(f", {name} withheld" for name in store["withheld"])
        click.echo(f"{store['participant']:>14}: {store['store']:<28} {_records(store['records'])}{left_out}{withheld}")
    click.echo(f"{len(files)} files, none changed; entry {found.logged_at} of the transparency log")
    if keys is None:
        click.secho(f"its key: SHA-256 {sha256(found.public_key).hexdigest()}; compare it", fg="yellow")
    _genuine(str(manifest["kid"]))


def _logged(proof: str, keys: Mapping[str, bytes], witnesses: Sequence[NoteKey]) -> dict[str, Any]:
    """Print where something is in the log; return what the log says of it."""
    try:
        entry, checkpoint = verify_logged(proof, keys.values(), witnesses)
    except ProofError as error:
        raise Failure(f"its proof of the transparency log is not genuine: {error}") from error
    index = LogProof.parse(proof).index
    click.echo(f"{'transparency log':<44} entry {index} of {checkpoint.size} in {checkpoint.origin}")
    for witness in witnesses:
        click.echo(f"{'cosigned by':<44} {witness.name}")
    return entry


def _genuine(kid: str) -> None:
    click.secho(f"genuine: signed by {kid}", fg="green")


def _print(fields: Mapping[str, Any]) -> None:
    for path, value in flattened(fields):
        click.echo(f"{path:<44} {value}")


def flattened(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value of nested fields with its path, for a person to read."""
    for name, value in fields.items():
        at = f"{path}.{name}" if path else name
        values = value if isinstance(value, list) else [value]
        for index, each in enumerate(values):
            place = f"{at}[{index}]" if len(values) > 1 else at
            if isinstance(each, Mapping):
                yield from flattened(each, place)
            else:
                yield place, str(each)


def _key(kid: str, keys: Mapping[str, bytes]) -> bytes:
    if kid not in keys:
        raise Failure(
            f"the key {kid or '(none)'} that signed it is not among those given",
            hint="ask consent.v1.ConsentService/ListSigningKeys",
        )
    return keys[kid]


def _keys(path: Path | None) -> dict[str, bytes] | None:
    if path is None:
        return None
    listed = _parsed(path, _text(path), consent_pb2.ListSigningKeysResponse())
    return {key.kid: key.public_key for key in listed.keys}


def _witnesses(texts: Sequence[str]) -> list[NoteKey]:
    try:
        return [NoteKey.parse(text) for text in texts]
    except NoteError as error:
        raise Failure(f"not the key of a witness: {error}", hint="`rapport witness` prints it") from error


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_ARCHIVE))
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error


def _records(count: str) -> str:
    return f"{count} record" if count == "1" else f"{count} records"


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path} does not hold what was expected", details=str(error).splitlines()[0]) from error


def _parsed(path: Path, text: str, message: Any) -> Any:
    try:
        return json_format.Parse(text, message)
    except json_format.ParseError as error:
        raise Failure(f"{path} does not hold what was expected", details=str(error).splitlines()[0]) from error
