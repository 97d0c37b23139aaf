"""Touchpoints: held against what is declared, cut to what is permitted, and whose they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.errors import FieldViolation

from rapport_identity.domain.declarations import AttributeTerms, AttributeType, Declared, TypeTerms

AHEAD: Final = timedelta(days=1)
"""How far the clock of a source may be ahead. Nothing is too late."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A value beyond the vocabulary.

    Attributes:
        key: Its key, as declared.
        data_category: Category of the data, as declared.
        type: Type of the value.
        code: The value, where it is a code; else empty.
        body: The value in the form of the contract.
    """

    key: str
    data_category: str
    type: AttributeType
    code: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """What happened, free of all that identifies.

    Attributes:
        occurred_at: When it happened, in the world.
        type: Its type, one of the vocabulary; empty for one that this release does not know.
        body: What is said of it, in the form of the contract, which holds ids, codes and numbers alone.
        channel: Where, by the contract's number.
        session_id: The visit it belongs to.
        brand_id: The brand.
        market: The market.
        locale: The language.
        journey_stage: Where on the journey, by the contract's number.
        purpose_ids: The purposes it is offered for, or, once it is kept, those it may serve.
        decision_ids: The decisions that led here.
        attributes: Declared attributes.
    """

    occurred_at: datetime
    type: str
    body: bytes
    channel: int
    session_id: str = ""
    brand_id: str = ""
    market: str = ""
    locale: str = ""
    journey_stage: int = 0
    purpose_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()


def violations(source: str, touchpoint: Touchpoint, declared: Declared, now: datetime) -> list[FieldViolation]:
    """Return what is undeclared, or impossible, in a touchpoint; paths are those of RawTouchpoint."""
    return [FieldViolation(path, rule) for path, rule in _violations(source, touchpoint, declared, now)]


def _violations(source: str, touchpoint: Touchpoint, declared: Declared, now: datetime) -> Iterator[tuple[str, str]]:
    if source not in declared.sources:
        yield "source", "no such source is declared"
    if not touchpoint.type:
        yield "touchpoint.type", "must say what happened, as one of the types of the vocabulary"
    elif touchpoint.type not in declared.types:
        yield f"touchpoint.{touchpoint.type}", "the type is not declared"
    if touchpoint.occurred_at > now + AHEAD:
        yield "touchpoint.occurred_at", "lies in the future"
    seen = set()
    for index, attribute in enumerate(touchpoint.attributes):
        path = f"touchpoint.attributes[{index}]"
        if attribute.key in seen:
            yield f"{path}.key", "occurs twice"
        seen.add(attribute.key)
        terms = declared.attributes.get(attribute.key)
        if terms is None:
            yield f"{path}.key", "no such attribute is declared"
        else:
            yield from _attribute_violations(path, attribute, terms)


def _attribute_violations(path: str, attribute: Attribute, terms: AttributeTerms) -> Iterator[tuple[str, str]]:
    if attribute.data_category != terms.data_category:
        yield f"{path}.data_category", "must be the one declared"
    if attribute.type is not terms.type:
        yield f"{path}.{attribute.type}", f"the attribute is declared as {terms.type}"
    elif terms.type is AttributeType.CODE and attribute.code not in terms.codes:
        yield f"{path}.code", "must be one of the codes declared"


def asked(touchpoint: Touchpoint, terms: TypeTerms) -> tuple[str, ...]:
    """Return the purposes that the gate is asked for: those offered that the type declares."""
    return tuple(each for each in touchpoint.purpose_ids if each in terms.purpose_ids)


def needing(purpose_ids: Iterable[str], terms: TypeTerms) -> tuple[str, ...]:
    """Return those of the purposes that need more than what happened and when."""
    return tuple(each for each in purpose_ids if each not in terms.bare_purpose_ids)


def cut(
    touchpoint: Touchpoint,
    terms: TypeTerms,
    permitted: Collection[str],
    categories: Mapping[str, Collection[str]],
) -> Touchpoint | None:
    """Return what may be kept of a touchpoint; None if nothing may.

    Args:
        touchpoint: As it was offered.
        terms: Of its type.
        permitted: The purposes that the gate permits.
        categories: For each data category of an attribute, the purposes for which the gate permits that. An attribute
            stays only if every purpose that goes on to see it may.
    """
    kept = tuple(each for each in asked(touchpoint, terms) if each in permitted)
    if not kept:
        return None
    full = needing(kept, terms)
    if not full:
        return replace(touchpoint, purpose_ids=kept, session_id="", journey_stage=0, decision_ids=(), attributes=())
    attributes = tuple(
        each for each in touchpoint.attributes if all(one in categories[each.data_category] for one in full)
    )
    return replace(touchpoint, purpose_ids=kept, attributes=attributes)


def is_whole(kept: Touchpoint, offered: Touchpoint) -> bool:
    """Whether nothing was left out of what happened."""
    return _more(kept) == _more(offered)


def _more(touchpoint: Touchpoint) -> tuple[object, ...]:
    """Return what is said beyond what happened and when."""
    return touchpoint.session_id, touchpoint.journey_stage, touchpoint.decision_ids, touchpoint.attributes
