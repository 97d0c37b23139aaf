"""What the use cases of privacy requests need of the technology behind them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rapport_chassis.database.pool import Connection

from rapport_consent.app.ledger import Token
from rapport_consent.app.raise_fence import BlankingUnit
from rapport_consent.domain.handed_records import Handed
from rapport_consent.domain.holds import Hold
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskAnswer
from rapport_consent.domain.vault import Vault


class Register(Protocol):
    """The requests there are."""

    async def add(self, request: Request, look_at: datetime | None) -> None:
        """Enter a request."""
        ...

    async def get(self, request_id: str) -> Request:
        """Return a request.

        Raises:
            RapportError: REQUEST_NOT_FOUND.
        """
        ...

    async def hold(self, request_id: str) -> Request:
        """Return a request that nobody else changes until the transaction ends.

        Raises:
            RapportError: REQUEST_NOT_FOUND.
        """
        ...

    async def save(self, request: Request, look_at: datetime | None) -> None:
        """Keep a request that this transaction holds, and when the saga is to look at it again."""
        ...

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Return requests that are to be looked at, the one that waits longest first."""
        ...

    async def touch(self, request: Request) -> None:
        """Keep a request that this transaction holds; when the saga looks at it stays as it is."""
        ...

    async def running_about(self, profile_id: str) -> list[str]:
        """Return the requests that run for a person."""
        ...

    async def wake(self, request_id: str, now: datetime) -> None:
        """Have a request looked at, if it is running."""
        ...

    async def claim(self, request: Request, profile_ids: Collection[str], rights: Collection[Right]) -> str:
        """Enter a request as the one that runs for a person and rights; return another that does, empty if none."""
        ...

    async def unclaim(self, request_id: str) -> None:
        """Let go of what a request claimed."""
        ...

    async def open_of(self, profile_id: str) -> list[Request]:
        """Return the open requests about a person, held until the transaction ends."""
        ...


class Tasks(Protocol):
    """The journal of what participants were asked."""

    async def of(self, request_id: str) -> list[AskedTask]:
        """Return what was asked for a request, the oldest first."""
        ...

    async def ask(self, task: AskedTask, profile_ids: Sequence[str], token: Token, hold: Hold | None = None) -> None:
        """Journal a task; one for a service is published with it, others are called for or wait for people."""
        ...

    async def next_call(self, now: datetime, names: Collection[str]) -> AskedTask | None:
        """Return the task to call for next, of these participants, and note that it is called for."""
        ...

    async def answer(self, answer: TaskAnswer, now: datetime, confirmed_by: str = "") -> str:
        """Keep the answer to a task; return the request's id, empty if it is unknown or answered already."""
        ...


class HandedRows(Protocol):
    """Records that were handed in with answers."""

    async def keep(self, request_id: str, task_id: str, handed: Handed, now: datetime) -> None:
        """Keep what opens the records that came with the answer to a task."""
        ...

    async def destroy(self, request_id: str) -> None:
        """Destroy all that was handed in for a request."""
        ...


class VaultPort(Protocol):
    """The request vault."""

    async def put(self, request_id: str, vault: Vault) -> None:
        """Keep what names a requester, in place of what was kept."""
        ...

    async def get(self, request_id: str) -> Vault | None:
        """Return what is kept; None once it is destroyed."""
        ...

    async def give(self, request_id: str, notification_id: str) -> Vault | None:
        """Return what is kept, to a notification; None once it is destroyed."""
        ...

    async def destroy(self, request_id: str) -> None:
        """Destroy what is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code as it is kept: never itself.

    Attributes:
        salt: What was added.
        digest: Of salt and code; empty if there is none.
        expires_at: Until when it is good; None if there is none.
        attempts: How often another one was tried.
        codes: How many were sent for the request.
    """

    salt: bytes
    digest: bytes
    expires_at: datetime | None
    attempts: int
    codes: int


class Codes(Protocol):
    """One-time codes."""

    async def want(self, request_id: str, now: datetime, most: int) -> None:
        """Have a code sent, unless as many were sent as may be; whether one can be is found out later."""
        ...

    async def next_wanted(self, now: datetime) -> str:
        """Return a request for which a code is to be sent, held until the transaction ends; empty if there is none."""
        ...

    async def sent(self, request_id: str, now: datetime, code: Code | None) -> None:
        """Keep what was sent; None where nothing could be."""
        ...

    async def postpone(self, request_id: str, by: timedelta) -> None:
        """Leave a request for later: others first."""
        ...

    async def tried(self, request_id: str) -> Code | None:
        """Count one attempt and return the code, held until the transaction ends; without a digest none is good."""
        ...

    async def spend(self, request_id: str) -> None:
        """Have the code good for nothing any more."""
        ...


class Holds(Protocol):
    """Legal holds."""

    async def add(self, hold: Hold) -> None:
        """Enter a hold."""
        ...

    async def release(self, hold_id: str, actor: str, now: datetime) -> Hold:
        """Release a hold.

        Raises:
            RapportError: HOLD_NOT_FOUND: there is none, or it is released.
        """
        ...

    async def get(self, hold_id: str) -> Hold:
        """Return a hold.

        Raises:
            RapportError: HOLD_NOT_FOUND.
        """
        ...

    async def of(self, profile_ids: Collection[str]) -> list[Hold]:
        """Return the holds on records of these ids, released ones included."""
        ...

    async def by_tasks(self, task_request_id: str) -> list[Hold]:
        """Return the hold whose tasks go under a request id."""
        ...

    async def page(self, profile_id: str, released: bool, after: datetime | None, limit: int) -> list[Hold]:
        """Return holds, the newest first."""
        ...


class RequestUnit(Protocol):
    """One transaction on privacy requests, and on the ledger."""

    connection: Connection

    @property
    def ledger(self) -> BlankingUnit:
        """The ledger, in this transaction."""
        ...

    @property
    def requests(self) -> Register:
        """The register."""
        ...

    @property
    def tasks(self) -> Tasks:
        """The journal of tasks."""
        ...

    @property
    def handed(self) -> HandedRows:
        """Records that were handed in."""
        ...

    @property
    def vault(self) -> VaultPort:
        """The vault."""
        ...

    @property
    def codes(self) -> Codes:
        """One-time codes."""
        ...

    @property
    def holds(self) -> Holds:
        """Legal holds."""
        ...

    async def head(self) -> Token:
        """Return the committed head of the ledger."""
        ...

    async def closed(self, request: Request, outcome: str, now: datetime) -> None:
        """Tell everybody that a request has come to its end."""
        ...

    async def log(self, request: Request, event: str, reference: str, document: Mapping[str, str]) -> None:
        """Have something that happened to a request entered into the transparency log."""
        ...

    async def forget_openings(self, request_id: str) -> None:
        """Destroy what opens the log's commitments about a request."""
        ...


class RequestStore(Protocol):
    """Opens transactions on privacy requests."""

    def unit(self) -> AbstractAsyncContextManager[RequestUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...

    def turn(self, request_id: str) -> AbstractAsyncContextManager[bool]:
        """Take the one turn at a request's saga; whether it was free. It ends with the block, or with the process."""
        ...
