"""What the laws say of privacy requests: clocks, refusals, what must be told. No law is in the code; packs are data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum

from rapport_consent.domain.deadlines import Clock


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


@dataclass(frozen=True, slots=True)
class RightRules:
    """What a law says of one right.

    Attributes:
        article: Where it says so.
        assurance: How sure one must be of who asks.
        clock: The time for it.
        fallback: What is answered where one is less sure, as a code; empty for nothing.
        exceptions: Grounds on which single records are kept or left.
    """

    article: str
    assurance: Assurance
    clock: Clock
    fallback: str = ""
    exceptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A ground on which a request may be refused.

    Attributes:
        article: Where the law says so.
        needs: What must be there first.
        rights: The rights it may be held against; empty for all.
    """

    article: str
    needs: tuple[Need, ...]
    rights: frozenset[Right] = frozenset()


@dataclass(frozen=True, slots=True)
class RulePack:
    """One version of what a law says.

    Attributes:
        law: The law, as a code.
        version: Rises with each version of the pack.
        in_force_from: From which day.
        enabled: Whether it is used; a law that is not yet one can be kept ready.
        markets: Where it holds.
        sources: Where it is written.
        extension_reasons: Why the time may be extended; empty where it may not.
        refusal_tells: What a refusal must tell, as codes: without all of it none may be sent.
        rights: The rights there are.
        refusals: The grounds of refusal there are.
    """

    law: str
    version: int
    in_force_from: date
    enabled: bool
    markets: frozenset[str]
    sources: tuple[str, ...]
    extension_reasons: tuple[str, ...]
    refusal_tells: tuple[str, ...]
    rights: Mapping[Right, RightRules]
    refusals: Mapping[str, Refusal]

    @property
    def name(self) -> str:
        """Which law in which version: kept with each request that is answered by it."""
        return f"{self.law}.{self.version}"

    def may_refuse(self, right: Right, ground: str, have: Iterable[Need]) -> tuple[Need, ...] | None:
        """Return what a refusal on this ground still needs; None where the law knows no such refusal."""
        refusal = self.refusals.get(ground)
        if refusal is None or (refusal.rights and right not in refusal.rights):
            return None
        held = frozenset(have)
        return tuple(each for each in refusal.needs if each not in held)


def pack_for(packs: Iterable[RulePack], market: str, on: date) -> RulePack | None:
    """Return the pack that holds in a market on a day, None for none: of a subdivision first, then of its country.

    A request keeps the pack of the day it was received on.
    """
    held = [pack for pack in packs if pack.enabled and pack.in_force_from <= on]
    for place in dict.fromkeys((market, market[:2])):
        if found := [pack for pack in held if place in pack.markets]:
            return max(found, key=lambda pack: (pack.in_force_from, pack.version))
    return None
