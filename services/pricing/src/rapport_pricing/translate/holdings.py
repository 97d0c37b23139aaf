"""What pricing holds of a person, as a copy that can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.type import money_pb2
from rapport.pricing.v1 import pricing_pb2, quote_pb2
from rapport_chassis.times import moment

from rapport_pricing.app.times import moment_of
from rapport_pricing.domain.money import EXPONENTS


def quote_content(quote: quote_pb2.Quote) -> Mapping[str, Any]:
    """Return what a quote says, and what made it personal."""
    return {
        "quote_id": quote.quote_id,
        "market": quote.market,
        "channel": quote.channel,
        "lines": [_line(each) for each in quote.lines],
        "gross": _amount(quote.gross),
        "all_in": _amount(quote.all_in),
        "personalised": quote.personalised,
        "laws": list(quote.law_rule_ids),
        "disclosures": [each.text for each in quote.disclosures],
        "promotions": _uses(quote.uses),
        "expires_at": moment(quote.expires_at),
    }


def redemption_content(receipt: pricing_pb2.Redemption) -> Mapping[str, Any]:
    """Return what was paid."""
    return {
        "quote_id": receipt.quote_id,
        "order_id": receipt.order_id,
        "lines": [_line(each) for each in receipt.lines],
        "net": _amount(receipt.net),
        "tax": _amount(receipt.tax),
        "gross": _amount(receipt.gross),
        "all_in": _amount(receipt.all_in),
        "promotions": _uses(receipt.uses),
    }


def offer_content(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an offer was, held-out ones included."""
    names = ("promotion_id", "state", "treatment", "brand_id", "market", "decision_id")
    return {name: row[name] for name in names} | {
        "valid_from": moment_of(row["since_us"]),
        "valid_until": moment_of(row["until_us"]),
    }


def _line(line: quote_pb2.QuotedLine) -> Mapping[str, Any]:
    return {
        "product_id": line.product_id,
        "variant_id": line.variant_id,
        "quantity": line.quantity,
        "list": _amount(line.list),
        "gross": _amount(line.gross),
        "components": [
            {
                "kind": quote_pb2.ComponentKind.Name(part.kind),
                "reference": part.reference,
                "amount": _amount(part.amount),
            }
            for part in line.components
        ],
    }


def _uses(uses: Iterable[quote_pb2.PromotionUse]) -> list[Mapping[str, Any]]:
    return [{"promotion_id": each.promotion_id, "amount": _amount(each.amount)} for each in uses]


def _amount(money: money_pb2.Money) -> str:
    places = EXPONENTS.get(money.currency_code, 2)
    minor = money.units * 10**places + money.nanos // 10 ** (9 - places)
    sign, size = "-" if minor < 0 else "", abs(minor)
    whole, rest = divmod(size, 10**places)
    return f"{sign}{whole}{f'.{rest:0{places}}' if places else ''} {money.currency_code}"
