"""Whether anything was committed since somebody last looked: one small look for all who would look each for himself.

Much of what goes on in the background asks again and again whether there is something to do. While nothing is written
to the server, the answer cannot have changed. Two equal snapshots see the same rows, so one statement tells all of them
that they may go on waiting, whoever writes, in whichever process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"
"""Tells what a statement sees. Exact: a transaction that commits changes it, in whatever order numbers were given."""

Mark = object
"""What was seen at some moment; equal marks mean that nothing was committed in between."""


class Commits:
    """Lets many wait for the next commit at the price of one.

    Args:
        look: Reads a snapshot; raises while the server is away, which everybody who waits is woken by.
    """

    def __init__(self, look: Callable[[], Awaitable[str]]) -> None:
        self._look = look
        self._seen: Mark = object()
        self._news = asyncio.Event()
        self._paces: Counter[float] = Counter()
        self._watch: asyncio.Task[None] | None = None

    @property
    def mark(self) -> Mark:
        """What was seen last: to be taken before one looks oneself, and to be waited from if there was nothing."""
        return self._seen

    async def since_or(self, word: Coroutine[Any, Any, object], mark: Mark, *, pace_s: float, at_most_s: float) -> None:
        """Return as `since` does, or as soon as the coroutine does: a word from somebody in this process."""
        commits = self.since(mark, pace_s=pace_s, at_most_s=at_most_s)
        waits = [asyncio.ensure_future(each) for each in (commits, word)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def since(self, mark: Mark, *, pace_s: float, at_most_s: float) -> None:
        """Return after `pace_s`, as soon as something was committed since the mark.

        Args:
            mark: Where to wait from.
            pace_s: How long to wait at least, and how late a commit may be noticed. Others who wait less let it be
                noticed sooner.
            at_most_s: Return after this time in any case: for what falls due by itself.
        """
        self._paces[pace_s] += 1
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watch(), name="commits")
        try:
            async with asyncio.timeout(at_most_s):
                await asyncio.sleep(pace_s)
                while self._seen == mark:
                    await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._paces[pace_s] -= 1
            if not self._paces[pace_s]:
                del self._paces[pace_s]
            if not self._paces and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(min(self._paces))
            try:
                seen: Mark = await self._look()
            except Exception:  # whoever waits shall find out for himself what is wrong
                seen = object()
            if seen != self._seen:
                self._seen = seen
                self._news.set()
                self._news = asyncio.Event()
