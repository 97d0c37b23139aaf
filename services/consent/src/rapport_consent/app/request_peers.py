"""Whom the use cases of privacy requests ask, and who makes what is handed to people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.contested import ContestedDecision, DecisionReview
from rapport_consent.domain.holds import Protected
from rapport_consent.domain.packages import PackagePapers
from rapport_consent.domain.requests import Request, SubjectRecord
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskAnswer
from rapport_consent.domain.vault import Contact


class People(Protocol):
    """What identity knows."""

    async def find(self, email: str, phone: str, market: str) -> str:
        """Return the one profile an address or number belongs to; empty if there is none, or more."""
        ...

    async def records(self, profile_id: str) -> list[SubjectRecord]:
        """Return a person's records with how surely they are joined."""
        ...

    async def exclude(self, request: Request) -> None:
        """Have the records that were excluded leave the person's profile, and never come back to it; may be repeated.

        Raises:
            RapportError: Identity cannot do so now; or an earlier decision demands the opposite, which a steward
                has to take back first.
        """
        ...

    async def contact(self, profile_id: str, market: str, brand_id: str) -> Contact:
        """Return where a person can be written to for a privacy request; empty if nothing is on file."""
        ...


class Notices(Protocol):
    """Hands notices over to be sent. Repeated with the same key, one is sent."""

    async def send_code(self, request: Request, code: int, expires_at: datetime) -> None:
        """Send a one-time code to a contact point on file."""
        ...

    async def send_letter(self, request: Request, kind: str, days: Mapping[str, date]) -> str:
        """Tell the requester, at the address in the vault, of a letter; return the notification's id."""
        ...


class Webhooks(Protocol):
    """Participants that are called over HTTP."""

    @property
    def names(self) -> Collection[str]:
        """Who can be called."""

    async def call(
        self, task: AskedTask, profile_ids: Sequence[str], kept: Mapping[str, Protected]
    ) -> TaskAnswer | None:
        """Call for a task; return the answer, None if there is none that the participant signed.

        Args:
            task: What is asked.
            profile_ids: Whom it is about.
            kept: What legal holds keep, by store; "" for every store.
        """
        ...


class Proofs(Protocol):
    """Makes what is handed to people: packages, certificates and letters."""

    async def package_papers(self, unit: RequestUnit, request: Request) -> PackagePapers:
        """Return what goes into the packages of a request beside the records."""
        ...

    async def seal_packages(
        self, request: Request, tasks: Sequence[AskedTask], papers: PackagePapers
    ) -> Mapping[Right, bool]:
        """Write the packages that a request asks for, in place of unfinished ones; say which hold anything."""
        ...

    async def certify(self, unit: RequestUnit, request: Request, tasks: Sequence[AskedTask], now: datetime) -> str:
        """Make the certificate of an erasure and return its id.

        Raises:
            RapportError: CERTIFICATE_NOT_READY with the reasons as metadata.
        """
        ...

    async def keep_letter(self, unit: RequestUnit, request: Request, kind: str, now: datetime) -> str:
        """Keep a letter as it is sent; return the hash of it in hexadecimal."""
        ...


class DecisionMakers(Protocol):
    """The services that decide about people."""

    async def find(self, decision_id: str) -> ContestedDecision | None:
        """Return a decision; None if nobody who can be asked made it, or it is too old to be explained."""
        ...

    async def ask_review(self, decision: ContestedDecision, request_id: str) -> DecisionReview:
        """Ask for a human's review of a decision; repeated for the same request it is one review."""
        ...
