"""Rows of transactions as touchpoints: the lines of one order become one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from rapport.identity.v1 import ingest_pb2, touchpoint_pb2
from rapport_chassis.times import stamp

from rapport_local.ingest.cells import Fault, Row, moment, money, number, own_id, text, whole
from rapport_local.ingest.mapping import Transactions
from rapport_local.ingest.records import identifiers_of

_CHANNELS: Final = {
    name.removeprefix("CHANNEL_").lower(): number
    for name, number in touchpoint_pb2.Channel.items()
    if number != touchpoint_pb2.CHANNEL_UNSPECIFIED
}


def touchpoint_of(name: str, table: Transactions, rows: Sequence[Row], zone: ZoneInfo) -> ingest_pb2.RawTouchpoint:
    """Return the touchpoint of an order's rows.

    Args:
        name: The import's name: a namespace for the order's and the products' own codes.
        table: What the columns are.
        rows: The rows of one order, at least one.
        zone: Of times without an offset.

    Raises:
        Fault: It has no number or nobody whose order it is, or a value cannot be read.
    """
    first = rows[0]
    order = (first.get(table.order) or "").strip()
    if not order:
        raise Fault("touchpoint.order_id", "is empty")
    identifiers = identifiers_of(table.identifiers, first)
    if not identifiers:
        raise Fault("identifiers", "are all empty")
    currency = text(table.currency, first, "touchpoint.currency", required=True)
    lines = [_line(name, table, row, currency, f"touchpoint.lines[{at}]") for at, row in enumerate(rows)]
    paid = (
        sum((each.amount for each in lines), Decimal())
        if table.total is None
        else number(table.total, first, "touchpoint.total")
    )
    touchpoint = touchpoint_pb2.Touchpoint(
        occurred_at=stamp(min(moment(table.occurred_at, row, "touchpoint.occurred_at", zone) for row in rows)),
        channel=_channel(table, first),
        brand_id=text(table.brand, first, "touchpoint.brand_id"),
        market=text(table.market, first, "touchpoint.market"),
        purpose_ids=table.purposes,
    )
    if table.kind == "order_placed":
        placed = touchpoint.order_placed
        placed.order_id = own_id("ord", name, order)
        placed.lines.extend(each.line for each in lines)
        placed.total.CopyFrom(money(paid, currency))
    else:
        returned = touchpoint.order_returned
        returned.order_id = own_id("ord", name, order)
        returned.lines.extend(each.line for each in lines)
        returned.refund.CopyFrom(money(abs(paid), currency))
    return ingest_pb2.RawTouchpoint(
        source=table.source,
        source_event_id=f"{name}/{table.name}/{order}",
        identifiers=identifiers,
        touchpoint=touchpoint,
    )


class _Line:
    __slots__ = ("amount", "line")

    def __init__(self, line: touchpoint_pb2.Line, amount: Decimal) -> None:
        self.line = line
        self.amount = amount


def _line(name: str, table: Transactions, row: Row, currency: str, path: str) -> _Line:
    quantity = whole(table.quantity, row, f"{path}.quantity")
    if table.kind == "order_returned":
        quantity = abs(quantity)
    if quantity < 0:
        raise Fault(f"{path}.quantity", "is negative")
    price = number(table.unit_price, row, f"{path}.unit_price")
    product = text(table.product, row, f"{path}.item.product_id", required=True)
    line = touchpoint_pb2.Line(
        item=touchpoint_pb2.Item(
            product_id=own_id("prd", name, product), category=text(table.category, row, f"{path}.item.category")
        ),
        quantity=quantity,
        unit_price=money(price, currency),
    )
    return _Line(line, quantity * price)


def _channel(table: Transactions, row: Row) -> touchpoint_pb2.Channel.ValueType:
    written = text(table.channel, row, "touchpoint.channel", required=True).lower()
    if written not in _CHANNELS:
        raise Fault("touchpoint.channel", f"is none of {', '.join(_CHANNELS)}")
    return _CHANNELS[written]
