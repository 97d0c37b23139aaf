"""Checks a receipt of churn: that a model was learned without a person. Needs Python alone, and nothing of Rapport.

    python verify_receipt.py receipt.json prf_... [prf_... of the same person] [--artefact DIGEST]

The receipt comes from ModelService/GetErasureReceipt. The digest, by which the model that serves is listed
(ModelService/GetModel, `artefact_sha256`), binds the receipt to it: without one, only the receipt itself is checked.
Everybody a model was learned from is a leaf of a hash tree (RFC 6962), in order of their tags: HMAC-SHA-256 of the
profile id under the salt in the card. Two neighbours with nobody between them show that somebody is not there.
"""

import argparse
import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Any

TAG = 32


class WrongError(Exception):
    """The receipt does not show what it should."""


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root to which a path leads from a leaf (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise WrongError("a leaf lies outside of the tree")
    found, at, last = hashlib.sha256(b"\x00" + leaf).digest(), index, size - 1
    for each in path:
        if last == 0:
            raise WrongError("a path is too long")
        if at & 1 or at == last:
            found = hashlib.sha256(b"\x01" + each + found).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + each).digest()
        at, last = at >> 1, last >> 1
    if last:
        raise WrongError("a path is too short")
    return found


def leaf_of(witness: dict[str, Any], card: dict[str, Any]) -> tuple[int, bytes]:
    """Return place and leaf of a witness, once its path leads to the root in the card."""
    leaf, path = bytes.fromhex(witness["leaf"]), [bytes.fromhex(each) for each in witness["path"]]
    if root_from(leaf, witness["index"], card["people"], path).hex() != card["rows_root"]:
        raise WrongError("a path does not lead to the root in the card")
    return witness["index"], leaf


def is_shown_present(shown: dict[str, Any], profile_id: str) -> bool:
    """Whether a model is shown to have been learned from a person; if not, the contrary is shown.

    Raises:
        WrongError: Neither is shown.
    """
    card = json.loads(shown["card"])
    if hashlib.sha256(shown["card"].encode()).hexdigest() != shown["files"]["card.json"]:
        raise WrongError("the card is not the one of the artefact")
    tag = hmac.new(bytes.fromhex(card["salt"]), profile_id.encode(), hashlib.sha256).digest()
    told = shown["people"].get(tag.hex())
    if told is None:
        raise WrongError("the receipt says nothing of this person")
    if "present" in told:
        if leaf_of(told["present"], card)[1][:TAG] != tag:
            raise WrongError("the leaf is of somebody else")
        return True
    around = [leaf_of(each, card) for each in told["absent"]]
    first_after = next((index for index, leaf in around if leaf[:TAG] > tag), card["people"])
    before = [index for index, leaf in around if leaf[:TAG] < tag]
    if before[-1:] != ([first_after - 1] if first_after else []) or len(around) != bool(first_after) + (
        first_after < card["people"]
    ):
        raise WrongError("these are not the neighbours between whom the person would stand")
    return False


def artefact_of(shown: dict[str, Any]) -> str:
    """Return the digest by which an artefact is listed: that of the output of `sha256sum` over its files."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(shown["files"].items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def verify(receipt: dict[str, Any], profile_ids: list[str], artefact: str = "") -> list[str]:
    """Return what a receipt shows, in words.

    Raises:
        WrongError: It does not show that the model was learned without the person.
    """
    if receipt.get("format") != "rapport.churn.receipt/1":
        raise WrongError("this is no receipt of a kind that is known here")
    after, before = receipt["after"], receipt["before"]
    if artefact and artefact_of(after) != artefact.lower():
        raise WrongError("the receipt is of another artefact")
    if any(is_shown_present(after, each) for each in profile_ids):
        raise WrongError(f"{after['model_id']} was learned from the person")
    told = []
    if before is not None and any(is_shown_present(before, each) for each in profile_ids):
        told.append(f"{before['model_id']} ({artefact_of(before)}) was learned from the person")
    people = json.loads(after["card"])["people"]
    told.append(f"{after['model_id']} ({artefact_of(after)}) was learned from {people} people, and not from the person")
    return told


def main() -> int:
    """Check a receipt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("receipt", help="the file, or - for standard input")
    parser.add_argument("profile_ids", nargs="+", metavar="profile_id", help="every id that stood for the person")
    parser.add_argument("--artefact", default="", help="digest of the model that serves, in hexadecimal")
    asked = parser.parse_args()
    try:
        text = sys.stdin.read() if asked.receipt == "-" else Path(asked.receipt).read_text(encoding="utf-8")
        told = verify(json.loads(text), asked.profile_ids, asked.artefact)
    except (WrongError, OSError, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"NOT SHOWN: {error}\n")
        return 1
    sys.stdout.write("\n".join(["SHOWN:", *told]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
