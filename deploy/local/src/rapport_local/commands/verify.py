"""`rapport verify`: check a consent receipt with nothing but the receipt and a public key."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format
from rapport.consent.v1 import consent_pb2
from rapport_privacy.receipts import ReceiptError, verify_receipt

from rapport_local.failure import Failure


@click.command()
@click.argument("receipt_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="Public keys, as ListSigningKeys answers them.",
)
def verify(receipt_file: Path, keys_file: Path) -> None:
    """Verify the receipt in FILE, and print what it says. Nothing is asked over the network.

    FILE is what `rapport call --json GetReceipt` prints; the keys are what `rapport call --json ListSigningKeys` does.
    """
    receipt = _read(receipt_file, consent_pb2.Receipt())
    keys = {key.kid: key.public_key for key in _read(keys_file, consent_pb2.ListSigningKeysResponse()).keys}
    if receipt.kid not in keys:
        raise Failure(
            f"the key {receipt.kid or '(none)'} that signed it is not in {keys_file}", hint="ask ListSigningKeys"
        )
    try:
        fields = verify_receipt(receipt.document, receipt.signature, keys[receipt.kid])
    except ReceiptError as error:
        raise Failure(f"not a genuine receipt: {error}") from error
    for path, value in flattened(fields):
        click.echo(f"{path:<44} {value}")
    click.secho(f"genuine: signed by {receipt.kid}", fg="green")


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


def _read(path: Path, message: Any) -> Any:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        return json_format.Parse(text, message)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Failure(f"{path} does not hold what was expected", details=str(error).splitlines()[0]) from error
