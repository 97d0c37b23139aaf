"""Records that webhooks and people hand in: lines of JSON in UTF-8, each of them one record of one store.

A line is `{"store": …, "record_id": …, "data": {…}}`, and where they are known "recorded_at" (ISO 8601 with its offset)
and "redacted" (keys whose values were left out since they are about other people).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rapport_chassis.errors import RapportError

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.packages import PackageRecord

MOST_IN_LINE: Final = 1 << 20
"""Bytes that a line may have."""

MOST_STORES: Final = 200
"""Stores that one answer may name."""

_DEEPEST: Final = 32
_LONGEST_NAME: Final = 200
_REQUIRED: Final = frozenset({"store", "record_id", "data"})
_KNOWN: Final = _REQUIRED | {"recorded_at", "redacted"}


@dataclass(frozen=True, slots=True)
class Handed:
    """Records that were handed in, all of them read and none of them kept for good yet: that the answer decides.

    Attributes:
        upload_id: Under which they lie.
        key: What opens them; whoever loses it has lost them.
        sha256: Digest of all lines, as they came.
        counts: Records in each store.
    """

    upload_id: str
    key: bytes = field(repr=False)
    sha256: bytes
    counts: Mapping[str, int]


class RecordLines:
    """Reads records from bytes that come in pieces cut anywhere; keeps no more of them than one line.

    Args:
        participant: Who hands them in.
    """

    def __init__(self, participant: str) -> None:
        self._participant = participant
        self._begun = bytearray()
        self._number = 0
        self.counts: dict[str, int] = {}

    def feed(self, piece: bytes) -> Iterator[PackageRecord]:
        """Yield the records that a piece completes.

        Raises:
            RapportError: RECORDS_MALFORMED, with the number of the line and why as metadata.
        """
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield from self._read(line)
        self._begin(rest)

    def end(self) -> Iterator[PackageRecord]:
        """Yield the record of a last line that nothing ends.

        Raises:
            RapportError: RECORDS_MALFORMED.
        """
        yield from self._read(b"")

    def _read(self, rest: bytes) -> Iterator[PackageRecord]:
        self._begin(rest)
        line, self._begun = bytes(self._begun), bytearray()
        self._number += 1
        if not line.strip():
            return
        record = _record(line, self._number, self._participant)
        self.counts[record.store] = self.counts.get(record.store, 0) + 1
        if len(self.counts) > MOST_STORES:
            raise _malformed(self._number, "TOO_MANY_STORES")
        yield record

    def _begin(self, rest: bytes) -> None:
        self._begun += rest
        if len(self._begun) > MOST_IN_LINE:
            raise _malformed(self._number + 1, "TOO_LONG")


def _record(line: bytes, number: int, participant: str) -> PackageRecord:
    try:
        said = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise _malformed(number, "NO_JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("data"), dict):
        raise _malformed(number, "NO_RECORD")
    if not _REQUIRED <= said.keys() <= _KNOWN:
        raise _malformed(number, "FIELDS")
    for name in ("store", "record_id"):
        if not _is_name(said[name]):
            raise _malformed(number, name.upper())
    redacted = said.get("redacted", [])
    if not isinstance(redacted, list) or not all(map(_is_name, redacted)):
        raise _malformed(number, "REDACTED")
    return PackageRecord(
        participant=participant,
        store=said["store"],
        record_id=said["record_id"],
        json=_written(said["data"], number),
        recorded_at=_time(said.get("recorded_at"), number),
        redacted=tuple(redacted),
    )


def _written(data: dict[str, Any], number: int) -> str:
    """Return what was read as it goes into a package: what no JSON file can hold is refused here, not there."""
    if _is_deep(data, _DEEPEST):
        raise _malformed(number, "TOO_DEEP")
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:  # a number without end, or half of a pair of surrogates
        raise _malformed(number, "NO_JSON") from None
    return text


def _is_deep(value: Any, left: int) -> bool:
    if isinstance(value, dict | list):
        within = value.values() if isinstance(value, dict) else value
        return left == 0 or any(_is_deep(each, left - 1) for each in within)
    return False


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def _time(said: Any, number: int) -> datetime | None:
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        raise _malformed(number, "RECORDED_AT") from None
    if found.tzinfo is None:
        raise _malformed(number, "RECORDED_AT")
    return found


def _malformed(number: int, why: str) -> RapportError:
    return ERRORS.error(
        "RECORDS_MALFORMED",
        f"line {number} is no record: {why}",
        field="lines",
        metadata={"line": str(number), "why": why},
    )
