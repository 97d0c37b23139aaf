"""The bytes of a quote, read back."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import Component, Line, Part, PricedLine
from rapport_pricing.domain.quotes import FORMAT
from rapport_pricing.domain.tax import Taxed, Totals


class UsedPromotion(NamedTuple):
    """A promotion that a quote used: its id, its version, and what it took off."""

    promotion_id: str
    version: int
    amount: int


class Document(NamedTuple):
    """What the canonical bytes of a quote say."""

    quote_id: str
    decision_id: str
    market: str
    currency: str
    channel: str
    customer_id: str
    lines: tuple[PricedLine, ...]
    totals: Totals
    uses: tuple[UsedPromotion, ...]
    personalised: bool
    law_rules: tuple[str, ...]
    disclosures: tuple[str, ...]
    permit: str
    issued_us: int
    expires_us: int


def read_document(document: bytes) -> Document:
    """Return what a quote's bytes say, whose signature was verified.

    Raises:
        RapportError: QUOTE_TAMPERED: they are not in a form of this release.
    """
    try:
        form, *fields = json.loads(document)
        if form != FORMAT:
            raise ValueError(form)
        return _read(fields)
    except (ValueError, TypeError, LookupError) as error:
        raise ERRORS.error("QUOTE_TAMPERED", "not a quote in a form that is known here", field="quote") from error


def _read(fields: list[Any]) -> Document:
    quote_id, decision_id, market, currency, channel, customer_id, lines, totals, uses, *rest = fields
    personalised, law_rules, disclosures, permit, issued_us, expires_us = rest
    return Document(
        quote_id,
        decision_id,
        market,
        currency,
        channel,
        customer_id,
        tuple(_line(each) for each in lines),
        Totals(*totals),
        tuple(UsedPromotion(*each) for each in uses),
        bool(personalised),
        tuple(law_rules),
        tuple(disclosures),
        permit,
        issued_us,
        expires_us,
    )


def _line(fields: list[Any]) -> PricedLine:
    *line, amounts, components = fields
    parts = tuple(Component(Part(part), ref, version, amount, rule) for part, ref, version, amount, rule in components)
    return PricedLine(Line(*line), Taxed(*amounts), parts)
