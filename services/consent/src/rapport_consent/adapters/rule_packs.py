"""Reads rule packs: those that ship with the service, or an installation's own.

Those that ship are parameters for engineers, not legal advice.
"""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rapport_consent.domain.deadlines import Clock, Span, Unit
from rapport_consent.domain.rule_packs import Assurance, Need, Refusal, Right, RightRules, RulePack

_CODE: Final = r"^[A-Z][A-Z0-9_]{1,62}$"
_Code = Annotated[str, Field(pattern=_CODE)]
_Market = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Span(_Part):
    count: Annotated[int, Field(gt=0, le=3660)]
    unit: Unit
    rolls: bool = False

    def read(self) -> Span:
        return Span(self.count, self.unit, self.rolls)


class _Clock(_Part):
    answer: _Span
    extended: _Span | None = None
    acknowledge: _Span | None = None
    pauses: frozenset[_Code] = frozenset()

    def read(self) -> Clock:
        extended, acknowledge = (each.read() if each else None for each in (self.extended, self.acknowledge))
        return Clock(self.answer.read(), extended, acknowledge, self.pauses)


class _Right(_Part):
    article: str
    assurance: str
    fallback: _Code | None = None
    exceptions: tuple[_Code, ...] = ()
    clock: _Clock | None = None

    def read(self, clock: Clock) -> RightRules:
        own = self.clock.read() if self.clock else clock
        return RightRules(self.article, Assurance[self.assurance], own, self.fallback or "", self.exceptions)

    @model_validator(mode="after")
    def _known(self) -> _Right:
        if self.assurance not in Assurance.__members__:
            raise ValueError(f"assurance is one of {', '.join(Assurance.__members__)}")
        return self


class _Refusal(_Part):
    article: str
    needs: tuple[Need, ...]
    rights: frozenset[Right] = frozenset()

    def read(self) -> Refusal:
        return Refusal(self.article, self.needs, self.rights)


class _Pack(_Part):
    law: _Code
    version: Annotated[int, Field(gt=0)]
    in_force_from: date
    enabled: bool
    markets: frozenset[_Market]
    sources: tuple[str, ...]
    clock: _Clock
    extension_reasons: tuple[_Code, ...]
    refusal_tells: tuple[_Code, ...]
    rights: dict[Right, _Right]
    refusals: dict[_Code, _Refusal]

    @model_validator(mode="after")
    def _consistent(self) -> _Pack:
        if bool(self.extension_reasons) != (self.clock.extended is not None):
            raise ValueError("a time that can be extended has reasons for it, and no other has")
        return self

    def read(self) -> RulePack:
        clock = self.clock.read()
        return RulePack(
            law=self.law,
            version=self.version,
            in_force_from=self.in_force_from,
            enabled=self.enabled,
            markets=self.markets,
            sources=self.sources,
            extension_reasons=self.extension_reasons,
            refusal_tells=self.refusal_tells,
            rights={right: terms.read(clock) for right, terms in self.rights.items()},
            refusals={ground: terms.read() for ground, terms in self.refusals.items()},
        )


def read_packs(document: str | bytes) -> tuple[RulePack, ...]:
    """Return the packs of a document.

    Raises:
        ValueError: One does not have the form of a pack, or two are one version of one law.
    """
    packs = tuple(_Pack.model_validate(each).read() for each in json.loads(document)["packs"])
    if len({pack.name for pack in packs}) != len(packs):
        raise ValueError("two packs are the same version of a law")
    return packs


def shipped_document() -> bytes:
    """Return the document of the packs that come with the service."""
    return files("rapport_consent.domain").joinpath("data/rule_packs.json").read_bytes()


def shipped_packs() -> tuple[RulePack, ...]:
    """Return the packs that come with the service."""
    return read_packs(shipped_document())
