"""The scenes about a gate in another process: what it knows, how soon, and what it does when others are away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pydantic import BaseModel
from rapport.consent.v1 import consent_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_privacy.freshness import BOUND_S
from rapport_testing.child import RunAs, launch_command
from rapport_testing.waiting import eventually

from rapport_local.demo.asking import person, request_id
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import Cast
from rapport_local.gates import gate_variables
from rapport_local.processes import child_environment
from rapport_local.stack import Stack

SENDER: Final = "sender"
_PROGRAM: Final = "rapport_privacy.examples.sender"
_ROUNDS: Final = 120_000
_PATIENCE_S: Final = 30.0
_MARGIN_S: Final = 0.25


class Line(BaseModel):
    """What the sender says when an answer has changed."""

    at: float
    person: str
    answer: str
    reason: str
    reference: str
    position: int


class Sender:
    """The other process, as it is heard.

    Attributes:
        people: Those it would like to send to; all have said yes.
    """

    def __init__(self, process: asyncio.subprocess.Process, people: list[str]) -> None:
        self._process = process
        self._said: dict[str, Line] = {}
        self._changed = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())
        self.people = people

    async def until(self, who: str, answer: str) -> Line:
        """Return what it says of a person once that is this answer.

        Raises:
            TimeoutError: It is another for too long.
        """
        async with asyncio.timeout(_PATIENCE_S):
            while (line := self._said.get(who)) is None or line.answer != answer:
                self._changed.clear()
                await self._changed.wait()
        return line

    def says(self, who: str) -> str:
        """Return the answer it gave last of a person."""
        line = self._said.get(who)
        return "" if line is None else line.answer

    async def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = Line.model_validate(json.loads(text))
            self._said[line.person] = line
            self._changed.set()


@asynccontextmanager
async def sender(cast: Cast, stack: Stack) -> AsyncIterator[Sender]:
    """Start the other process for three people who have said yes to it."""
    people = [person() for _ in range(3)]
    for each in people:
        await cast.record(each, EMAIL, NORTH)
    variables = gate_variables(cast.environment, stack.status(), SENDER)
    program = [sys.executable, "-m", _PROGRAM, EMAIL, *people, "--brand", NORTH, "--rounds", str(_ROUNDS)]
    with cast.environment.log_of(SENDER).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *launch_command(program, run_as=RunAs(), parent_pid=os.getpid()),
            env=child_environment(variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    started = Sender(process, people)
    try:
        yield started
    finally:
        await started.stop()


async def follows(report: Report, cast: Cast, sender: Sender) -> None:
    """It permits; a person takes it back; it denies."""
    leaving, *_ = sender.people
    report.say(f"python -m {_PROGRAM}: it has a certificate, and a replica of the ledger inside. It asks nobody.")
    for each in sender.people:
        await sender.until(each, "PERMIT")
    report.expect(True, "it may send to all three people who said yes, and does")
    took_s = await _withdrawn(cast, sender, leaving)
    report.expect(took_s < 1.0, f"one took it back: denied {_later(took_s)} the answer of WithdrawConsent")


async def without_broker(report: Report, cast: Cast, sender: Sender, stack: Stack) -> None:
    """Nothing is published; it asks the ledger for what it misses."""
    _, leaving, staying = sender.people
    await stack.halt("nats")
    report.say("Nothing is published any more. The gate asks for the ledger's head four times a second, over gRPC.")
    took_s = await _withdrawn(cast, sender, leaving)
    report.expect(took_s < BOUND_S, f"the second took it back: denied {_later(took_s)} the answer all the same")
    report.expect(sender.says(staying) == "PERMIT", "and the third is still sent to")
    await stack.resume("nats")


async def without_service(report: Report, cast: Cast, sender: Sender, stack: Stack) -> None:
    """It cannot know any more what was taken back, so it stops; and goes on by itself."""
    *_, staying = sender.people
    await stack.halt("consent")
    away_at = _now()
    denied = await sender.until(staying, "DENY_STALE")
    took_s = denied.at - away_at
    report.say("Nobody can tell whether the third person has just said no. So the gate does.")
    report.expect(took_s < BOUND_S + _MARGIN_S, f"DENY_STALE after {took_s:.1f} s; the bound is {BOUND_S:g} s")
    await stack.resume("consent")
    back_at = _now()
    permitted = await sender.until(staying, "PERMIT")
    report.expect(True, f"PERMIT again {_later(permitted.at - back_at)} the service was ready, by itself")
    gone = [each for each in sender.people if each != staying]
    report.expect(all(sender.says(each).startswith("DENY") for each in gone), "and still not to those who said no")
    await eventually(lambda: _answers(cast, staying), timeout_s=30)


async def _answers(cast: Cast, who: str) -> bool:
    """Whether the service answers the shop again, whose channels may still wait before they connect."""
    entry = consent_pb2.CheckEntry(profile_id=who, purpose_id=EMAIL, brand_id=NORTH)
    try:
        await cast.check(entry)
        await cast.untraced.CheckConsent(consent_pb2.CheckConsentRequest(entry=entry))
    except RemoteError as error:
        if error.reason.code != "UNAVAILABLE":
            raise
        return False
    return True


async def _withdrawn(cast: Cast, sender: Sender, who: str) -> float:
    """Return how long after the answer to a withdrawal the other process denies; negative if it was faster."""
    await cast.shop.WithdrawConsent(
        consent_pb2.WithdrawConsentRequest(request_id=request_id(), profile_id=who, purpose_ids=[EMAIL], brand_id=NORTH)
    )
    answered_at = _now()
    return (await sender.until(who, "DENY")).at - answered_at


def _later(seconds: float) -> str:
    if seconds < 0:
        return f"{-seconds * 1000:.0f} ms before"
    return f"{seconds * 1000:.0f} ms after"


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
