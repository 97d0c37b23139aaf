"""What the tables of a mapping hold, item by item: a message that is ready to be sent, or why there is none.

The same files and the same mapping give the same items in the same order, which is what going on after an interruption
rests on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import Validator
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import ingest_pb2, record_pb2
from rapport_chassis.rpc.middleware.validation import field_path
from rapport_chassis.times import stamp

from rapport_local.ingest import mapping as mapped
from rapport_local.ingest.cells import Fault, Row, belongs, moment, share_of, text
from rapport_local.ingest.orders import touchpoint_of
from rapport_local.ingest.reading import Numbered, Source, grouped
from rapport_local.ingest.records import record_of

_KEY_BYTES: Final = 16
_DAY_S: Final = 86_400
_STATUSES: Final = {
    name.removeprefix("CONSENT_STATUS_").lower(): number for name, number in ledger_pb2.ConsentStatus.items() if number
}
MessageT = TypeVar("MessageT", bound=Message)


class Item(NamedTuple, Generic[MessageT]):
    """A record, order or decision: the row that begins it, the message made of it, else the fault in it."""

    number: int
    message: MessageT | None
    fault: Fault | None = None


@dataclass
class Files:
    """The files of a mapping, and what of them was looked at.

    Attributes:
        folder: What the mapping's paths start from.
        most: Rows to read of each file at most; None for all.
        share: Share of the customers whose rows are read, chosen by their key: always the same ones.
        rows: Rows read, by file.
        left_out: Rows that belong to no table, by table.
    """

    folder: Path
    most: int | None = None
    share: float = 1.0
    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def source(self, table: mapped.Table) -> Source:
        """Return the file of a table."""
        return Source(self.folder / table.file, table.format)

    def belonging(self, stage: str, table: mapped.Table) -> Iterator[Numbered]:
        """Yield the rows of a table that belong to it, and those that cannot be read."""
        for each in islice(self.source(table).rows(), self.most):
            self.rows[stage] += 1
            if each.fault is None and not (belongs(each.row, table.where) and self._chosen(each.row, table)):
                self.left_out[stage] += 1
            else:
                yield each

    def _chosen(self, row: Row, table: mapped.Table) -> bool:
        if self.share >= 1:
            return True
        return share_of((row.get(table.whose) or "").strip(), "customers") < self.share


class Tables:
    """Reads the tables of one mapping.

    Args:
        mapping: What they are.
        files: Where they are.
    """

    def __init__(self, mapping: mapped.Mapping, files: Files) -> None:
        self._mapping = mapping
        self._files = files
        self._validator = Validator()

    def customers(self, stage: str, table: mapped.Customers) -> Iterator[Item[record_pb2.Record]]:
        """Yield a record for each customer."""
        seen: set[bytes] = set()
        for each in self._files.belonging(stage, table):
            key = hashlib.sha256((each.row.get(table.key) or "").strip().encode()).digest()[:_KEY_BYTES]
            if each.fault is None and key in seen:
                if table.repeated_keys == "reject":
                    yield Item(each.number, None, Fault("key.source_record_id", "came before in this file"))
                continue
            item = self._item([each], lambda rows: record_of(table, rows[0].row, self._mapping.zone))
            if item.message is not None:
                seen.add(key)
                if item.message.HasField("occurred_at"):
                    self._move(item.message.occurred_at)
            yield item

    def transactions(self, stage: str, table: mapped.Transactions) -> Iterator[Item[ingest_pb2.RawTouchpoint]]:
        """Yield a touchpoint for each order."""
        name, zone = self._mapping.name, self._mapping.zone
        for together in grouped(self._files.belonging(stage, table), table.order):
            item = self._item(together, lambda rows: touchpoint_of(name, table, [each.row for each in rows], zone))
            if item.message is not None:
                self._move(item.message.touchpoint.occurred_at)
            yield item

    def past_consents(
        self, stage: str, table: mapped.PastConsents, profile: Callable[[tuple[str, str]], str | None]
    ) -> Iterator[Item[consent_pb2.ImportRow]]:
        """Yield a row of an import for each decision of a customer who was taken in.

        Args:
            stage: What it is counted as.
            table: The table.
            profile: Returns the profile of a customer, by source and key; None if none was taken in.
        """
        for each in self._files.belonging(stage, table):
            item = self._item([each], lambda rows: self._decision(table, rows[0], profile))
            if item.message is not None:
                self._move(item.message.occurred_at)
            yield item

    def _decision(
        self, table: mapped.PastConsents, each: Numbered, profile: Callable[[tuple[str, str]], str | None]
    ) -> consent_pb2.ImportRow:
        row = each.row
        profile_id = profile((table.source, (row.get(table.customer) or "").strip()))
        if profile_id is None:
            raise Fault("profile_id", "no customer of this key was taken in")
        status = text(table.status, row, "status", required=True)
        if status not in _STATUSES:
            raise Fault("status", f"is none of {', '.join(_STATUSES)}")
        return consent_pb2.ImportRow(
            external_id=(row.get(table.key) or "").strip(),
            profile_id=profile_id,
            purpose_id=text(table.purpose, row, "purpose_id", required=True),
            brand_id=text(table.brand, row, "brand_id"),
            status=_STATUSES[status],
            occurred_at=stamp(moment(table.occurred_at, row, "occurred_at", self._mapping.zone)),
        )

    def _move(self, time: Timestamp) -> None:
        time.seconds += self._mapping.moved_days * _DAY_S

    def _item(self, rows: list[Numbered], make: Callable[[list[Numbered]], MessageT]) -> Item[MessageT]:
        number = rows[0].number
        try:
            if rows[0].fault is not None:
                raise rows[0].fault
            message = make(rows)
        except Fault as fault:
            return Item(number, None, fault)
        except ValueError:  # protobuf's own: what no field can hold, such as a number too large
            return Item(number, None, Fault("row", "holds a value that no field can hold"))
        violations = self._validator.collect_violations(message)
        if violations:
            return Item(number, None, Fault(field_path(violations[0]), violations[0].proto.message))
        return Item(number, message)
