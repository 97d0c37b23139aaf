"""What the ways in to privacy requests need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rapport.common.v1 import privacy_pb2
from rapport_chassis.database.pool import Connection

from rapport_consent.app import request_ports
from rapport_consent.domain.handed_records import Handed
from rapport_consent.domain.request_words import RequestState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right


class Register(request_ports.Register, Protocol):
    """The register, with what lists of it need."""

    async def page(
        self, states: Sequence[RequestState], assignee: str, right: Right | None, after: tuple[str, str], limit: int
    ) -> list[tuple[Request, str]]:
        """Return requests with the day they are sorted by, what is due first at the top."""
        ...

    async def counts(self) -> dict[str, int]:
        """Return how many requests are open, by next action."""
        ...


class RequestUnit(request_ports.RequestUnit, Protocol):
    """One transaction on privacy requests."""

    @property
    def requests(self) -> Register:
        """The register."""
        ...


class RequestStore(Protocol):
    """Opens transactions on privacy requests."""

    def unit(self) -> AbstractAsyncContextManager[RequestUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...

    def unit_on(self, connection: Connection) -> RequestUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        ...


class Intake(Protocol):
    """Takes in the records of one answer."""

    async def write(self, content: bytes) -> None:
        """Take in the next bytes.

        Raises:
            RapportError: RECORDS_TOO_LONG, RECORDS_MALFORMED.
        """
        ...

    async def end(self) -> Handed:
        """Return what was taken in.

        Raises:
            RapportError: RECORDS_MALFORMED.
        """
        ...


class HandedRecords(Protocol):
    """Where records are handed in."""

    def intake(self, participant: str) -> AbstractAsyncContextManager[Intake]:
        """Give what takes in the records of an answer; on an error nothing of them is left."""
        ...


class Certificate(Protocol):
    """An erasure certificate."""

    @property
    def certificate_id(self) -> str:
        """Its id."""

    @property
    def document(self) -> bytes:
        """Canonical JSON."""

    @property
    def signature(self) -> bytes:
        """Signature over exactly these bytes."""

    @property
    def kid(self) -> str:
        """The key that made it."""

    @property
    def pdf(self) -> bytes:
        """The same on paper."""


class PackageStore(Protocol):
    """Packages and certificates at rest."""

    async def rights(self, request_id: str, now: datetime) -> list[Right]:
        """Return the rights for which a request has a package that can be opened."""
        ...

    async def open(self, request_id: str, right: Right) -> tuple[bytes, AsyncIterator[bytes]]:
        """Return the hash of a package, and its pieces."""
        ...

    async def certificate(self, request_id: str) -> Certificate | None:
        """Return the certificate of an erasure; None if there is none yet."""
        ...


class RenderedLetter(Protocol):
    """A letter in all its forms."""

    @property
    def title(self) -> str:
        """Subject line."""

    @property
    def html(self) -> str:
        """As a page."""

    @property
    def text(self) -> str:
        """As text."""

    @property
    def pdf(self) -> bytes:
        """On paper."""

    @property
    def locale(self) -> str:
        """Its language."""

    @property
    def marked(self) -> Mapping[str, str]:
        """Places that may be edited, and what stands there."""


class Letters(Protocol):
    """Letters before they are sent."""

    async def preview(self, unit: RequestUnit, request: Request, kind: str, locale: str) -> RenderedLetter:
        """Return a letter as it would be sent.

        Raises:
            RapportError: LETTER_UNKNOWN.
        """
        ...

    async def edit(self, unit: RequestUnit, request: Request, kind: str, marked: Mapping[str, str]) -> RenderedLetter:
        """Keep what an officer wrote into marked places.

        Raises:
            RapportError: LETTER_UNKNOWN, LETTER_PLACE_UNKNOWN.
        """
        ...


class Answers(Protocol):
    """Checks the answers of participants."""

    async def genuine(self, message: privacy_pb2.PrivacyTaskCompleted) -> bool:
        """Whether an answer was signed by the participant it names."""
        ...
