"""Work that goes on whatever is killed: each request is sent, under its own id, until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from consent_desk import Desk, answers, profile, verdict, withdrawal
from rapport.consent.v1 import consent_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.prove import Progress
from rapport_testing.waiting import eventually

_AGAIN = {"UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_PATIENCE_S = 120.0


async def persist(call: Callable[..., Awaitable[Any]], request: Any) -> Any:
    """Send a request until it is answered; an error that a client is not told to wait out is raised."""

    async def attempt() -> Any:
        try:
            return await call(request, timeout=5)
        except RemoteError as error:
            if error.reason.code not in _AGAIN:
                raise
            return None

    return await eventually(attempt, timeout_s=_PATIENCE_S, interval_s=0.05)


class Load:
    """Writers at work side by side, each with a person of its own who says yes and no in turns, after a pause.

    Attributes:
        after: Position of the ledger's head when the work began.
        answered: What each write was answered, by request id.
        people: The people, with how often each has decided.
    """

    def __init__(
        self, desk: Desk, *, writers: int, writes: int, pause_s: float = 0.0, progress: Progress | None = None
    ) -> None:
        self._desk = desk
        self._pause_s = pause_s
        self._left = writes
        self.after = 0
        self._progress = progress
        self.people = {profile(): 0 for _ in range(writers)}
        self.answered: dict[str, consent_pb2.LedgerWrite] = {}

    async def run(self, go_on: Callable[[], bool] = lambda: False) -> None:
        """Write until all is written, and then for as long as `go_on` says so."""
        head = await persist(self._desk.shop.GetLedgerHead, consent_pb2.GetLedgerHeadRequest())
        self.after = head.head.position
        await asyncio.gather(*(self._write(person, go_on) for person in self.people))

    async def _write(self, person: str, go_on: Callable[[], bool]) -> None:
        while self._left > 0 or go_on():
            self._left -= 1
            if self.people[person] % 2:
                request, call = withdrawal(person, "promo"), self._desk.shop.WithdrawConsent
            else:
                request, call = answers(person, "yes promo"), self._desk.shop.RecordConsent  # type: ignore[assignment]
            self.answered[request.request_id] = await persist(call, request)
            self.people[person] += 1
            await asyncio.sleep(self._pause_s)
            if self._progress is not None:
                self._progress.advance()

    async def assert_each_took_effect_once(self, desk: Desk) -> int:
        """Compare what was answered with what the ledger holds, row by row, and return the head's position."""
        changes = await desk.changes(self.after)
        assert [change.position for change in changes] == list(range(self.after + 1, self.after + len(changes) + 1))
        recorded = {change.position: change.named_id for change in changes if change.named_id in self.people}
        entries = [entry for write in self.answered.values() for entry in write.entries]
        assert len({entry.reference for entry in entries}) == len(entries) == len(self.answered)
        assert sorted(entry.position for entry in entries) == sorted(recorded)
        for write in self.answered.values():
            assert recorded[write.token.position] == write.current_profile_id
        counted = list(recorded.values())
        assert {person: counted.count(person) for person in self.people} == self.people
        for person, decisions in self.people.items():
            expected = "PERMIT GRANTED" if decisions % 2 else "DENY WITHDRAWN"
            decision = await desk.check(person, "promo", at_least=await desk.head())
            assert verdict(decision) == expected
            assert verdict(await desk.check(person, "promo", authority=True)) == expected
        return changes[-1].position
