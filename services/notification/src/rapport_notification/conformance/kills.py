"""Kills a sender again and again while it sends, and counts at the sink what was lost and what came twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rapport_notification.conformance.smtp_sink import SmtpSink
from rapport_notification.conformance.victim import Journal
from rapport_notification.domain.entries import FINAL, Verdict


@dataclass(frozen=True, slots=True)
class Toll:
    """What the kills cost.

    Attributes:
        messages: How many were to be sent.
        kills: How often the sender was killed while it sent.
        lost: Never arrived, and not named as ambiguous.
        twice: Arrived more than once.
        ambiguous: Named as such: nobody can tell, and the class allows no second copy.
        ambiguous_arrived: Of them in truth arrived.
        open: Not at an end.
    """

    messages: int
    kills: int
    lost: int
    twice: int
    ambiguous: int
    ambiguous_arrived: int
    open: int


async def kill_again_and_again(
    journal: Path,
    *,
    messages: int,
    connections: int,
    kills: int,
    askable: bool,
    draw: random.Random,
    progress: Callable[[], None] = lambda: None,
) -> Toll:
    """Let a sender send, kill it after each so many messages, and let the last one finish.

    Args:
        journal: Where the sender keeps its ledger.
        messages: How many it has to send.
        connections: How many it sends over.
        kills: How often it is killed.
        askable: The sink can be asked what it has seen.
        draw: Draws when.
        progress: Called after each kill.
    """
    async with SmtpSink() as sink:
        points = sorted(draw.sample(range(1, messages - connections), kills))
        done = 0
        for point in points:
            process = _start(journal, sink, messages, connections, askable)
            # As soon as so many have arrived, and a moment later: wherever the sender then is.
            ended = asyncio.create_task(asyncio.to_thread(process.wait))
            arrived_enough = asyncio.create_task(sink.until(point))
            await asyncio.wait({ended, arrived_enough}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.sleep(draw.random() * 0.002)
                process.kill()
                done += 1
            await ended
            arrived_enough.cancel()
            progress()
        process = _start(journal, sink, messages, connections, askable)
        await asyncio.to_thread(process.wait)
        kept = Journal(journal, messages)
        kept.close()
        entries = kept.entries
        arrived = {number: sink.taken.ids[f"{number}@conformance.example"] for number in entries}
        ambiguous = {number for number, entry in entries.items() if entry.verdict is Verdict.AMBIGUOUS}
        return Toll(
            messages,
            done,
            sum(not count and number not in ambiguous for number, count in arrived.items()),
            sum(count > 1 for count in arrived.values()),
            len(ambiguous),
            sum(bool(arrived[number]) for number in ambiguous),
            sum(entry.state not in FINAL for entry in entries.values()),
        )


def _start(journal: Path, sink: SmtpSink, messages: int, connections: int, askable: bool) -> subprocess.Popen[bytes]:
    host, port = sink.address
    arguments = [str(journal), host, str(port), str(messages), str(connections), *(["lookup"] if askable else [])]
    command = [sys.executable, "-m", "rapport_notification.conformance.victim", *arguments]
    return subprocess.Popen(command, env=dict(os.environ))  # noqa: S603 - ourselves
