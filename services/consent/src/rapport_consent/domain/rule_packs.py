"""What the laws say of privacy requests, as versioned data: clocks, refusals, what must be told. No law is in the code.

The packs that ship are parameters for engineers, not legal advice; an installation may bring its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from enum import IntEnum, StrEnum
from importlib.resources import files
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rapport_consent.domain.deadlines import Clock, Span, Unit

CODE: Final = r"^[A-Z][A-Z0-9_]{1,62}$"
Code = Annotated[str, Field(pattern=CODE)]
Market = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]


class Right(StrEnum):
    """What a person may ask for."""

    ACCESS = "ACCESS"
    RECTIFICATION = "RECTIFICATION"
    ERASURE = "ERASURE"
    RESTRICTION = "RESTRICTION"
    PORTABILITY = "PORTABILITY"
    OBJECTION = "OBJECTION"
    CONTEST = "CONTEST"


class Assurance(IntEnum):
    """How sure one must be of who asks; a right that may do harm in wrong hands needs more."""

    NONE = 0
    BASIC = 1
    SUBSTANTIAL = 2
    HIGH = 3


class Need(StrEnum):
    """What must be there before a request may be refused on a ground."""

    EVIDENCE = "EVIDENCE"
    SECOND_APPROVAL = "SECOND_APPROVAL"
    IDENTITY_ASKED_FOR = "IDENTITY_ASKED_FOR"
    EXCEPTION = "EXCEPTION"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpanTerms(_Part):
    """A length of time, as `Span` has it."""

    count: Annotated[int, Field(gt=0, le=3660)]
    unit: Unit
    rolls: bool = False

    def span(self) -> Span:
        """Return it as what deadlines are counted by."""
        return Span(self.count, self.unit, self.rolls)


class ClockTerms(_Part):
    """The time for a right, as `Clock` has it."""

    answer: SpanTerms
    extended: SpanTerms | None = None
    acknowledge: SpanTerms | None = None
    pauses: frozenset[Code] = frozenset()

    def clock(self) -> Clock:
        """Return it as what deadlines are counted by."""
        return Clock(
            self.answer.span(),
            self.extended.span() if self.extended else None,
            self.acknowledge.span() if self.acknowledge else None,
            self.pauses,
        )


class RightTerms(_Part):
    """What a law says of one right.

    Attributes:
        article: Where it says so.
        assurance: How sure one must be of who asks.
        fallback: What is answered where that is not reached, as a code; empty for nothing.
        exceptions: Grounds on which single records are kept or left.
        clock: A time of its own; None for that of the pack.
    """

    article: str
    assurance: Assurance
    fallback: str = ""
    exceptions: tuple[Code, ...] = ()
    clock: ClockTerms | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: object) -> object:
        if isinstance(values, Mapping) and isinstance(name := values.get("assurance"), str):
            return {**values, "assurance": Assurance[name]}
        return values


class RefusalTerms(_Part):
    """A ground on which a request may be refused.

    Attributes:
        article: Where the law says so.
        needs: What must be there first.
        rights: The rights it may be held against; empty for all.
    """

    article: str
    needs: tuple[Need, ...]
    rights: frozenset[Right] = frozenset()


class RulePack(_Part):
    """One version of what a law says.

    Attributes:
        law: The law, as a code.
        version: Rises with each version of the pack.
        in_force_from: From which day.
        enabled: Whether it is used; a law that is not yet one can be kept ready.
        markets: Where it holds.
        sources: Where it is written.
        clock: The time for all rights without one of their own.
        extension_reasons: Why the time may be extended; empty where it may not.
        refusal_tells: What a refusal must tell, as codes: without all of it none may be sent.
        rights: The rights there are.
        refusals: The grounds of refusal there are.
    """

    law: Code
    version: Annotated[int, Field(gt=0)]
    in_force_from: date
    enabled: bool
    markets: frozenset[Market]
    sources: tuple[str, ...]
    clock: ClockTerms
    extension_reasons: tuple[Code, ...]
    refusal_tells: tuple[Code, ...]
    rights: Mapping[Right, RightTerms]
    refusals: Mapping[Code, RefusalTerms]

    @model_validator(mode="after")
    def _consistent(self) -> RulePack:
        if bool(self.extension_reasons) != (self.clock.extended is not None):
            raise ValueError("a time that can be extended has reasons for it, and no other has")
        return self

    @property
    def name(self) -> str:
        """Which law in which version: kept with each request that is answered by it."""
        return f"{self.law}.{self.version}"

    def clock_of(self, right: Right) -> Clock:
        """Return the time for a right.

        Raises:
            KeyError: The law does not give it.
        """
        return (self.rights[right].clock or self.clock).clock()

    def may_refuse(self, right: Right, ground: str, have: Iterable[Need]) -> tuple[Need, ...] | None:
        """Return what a refusal on this ground still needs; None where the law knows no such refusal."""
        terms = self.refusals.get(ground)
        if terms is None or (terms.rights and right not in terms.rights):
            return None
        held = frozenset(have)
        return tuple(each for each in terms.needs if each not in held)


def read_packs(document: str | bytes) -> tuple[RulePack, ...]:
    """Return the packs of a document.

    Raises:
        ValueError: One does not have the form of a pack, or two are one version of one law.
    """
    packs = tuple(RulePack.model_validate(each) for each in json.loads(document)["packs"])
    if len({pack.name for pack in packs}) != len(packs):
        raise ValueError("two packs are the same version of a law")
    return packs


def shipped_packs() -> tuple[RulePack, ...]:
    """Return the packs that come with the service."""
    return read_packs(files("rapport_consent.domain").joinpath("data/rule_packs.json").read_bytes())


def pack_for(packs: Iterable[RulePack], market: str, on: date) -> RulePack | None:
    """Return the pack that holds in a market on a day, None for none: of a subdivision first, then of its country.

    A request keeps the pack of the day it was received on.
    """
    held = [pack for pack in packs if pack.enabled and pack.in_force_from <= on]
    for place in dict.fromkeys((market, market[:2])):
        if found := [pack for pack in held if place in pack.markets]:
            return max(found, key=lambda pack: (pack.in_force_from, pack.version))
    return None
