"""Keeps a process that renders, and starts another one when it has to be ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from rapport_notification.domain.contents import Template
from rapport_notification.templates.child import LENGTH
from rapport_notification.templates.rendering import KEPT

START_S: Final = 20.0
"""How long a process may take to load what it needs."""
WALL_S: Final = 3.0
"""For one template: more than the processor time it may take, because the machine is shared."""

_INHERITED: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
_MESSAGE_LIMIT: Final = 8 << 20


class NotRenderedError(Exception):
    """A message could not be written: why, in words that quote nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """One message to write.

    Attributes:
        template: Checked; its MJML already turned into HTML, in `html`.
        html: By language; empty where it has none.
        locale: The language, one of the template's.
        values: As `domain.contents.checked` returns them.
    """

    template: Template
    html: Mapping[str, str]
    locale: str
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What the process keeps it under."""
        template = self.template
        return f"{template.template_id}@{template.version}/{template.brand_id}/{self.locale}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is sent.

    Attributes:
        subject: One line.
        text: The plain part.
        html: The other part; empty for none.
    """

    subject: str
    text: str
    html: str


class RenderWorker:
    """Renders in another process, one batch at a time."""

    def __init__(self, locales: Sequence[str] = ("en",)) -> None:
        """Start nothing yet.

        Args:
            locales: Languages it loads when it starts; it cannot open the data of others later, and refuses them.

        Raises:
            ValueError: There is none.
        """
        if not locales:
            raise ValueError("a renderer knows a language")
        self._locales = tuple(locales)
        self._lock = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = asyncio.StreamReader()
        self._transports: list[asyncio.BaseTransport] = []
        self._known: OrderedDict[str, None] = OrderedDict()
        self._fresh = True

    async def close(self) -> None:
        """End the process."""
        async with self._lock:
            await self._end()

    async def render(self, jobs: Sequence[Job]) -> list[Rendered | NotRenderedError]:
        """Return for each job its texts, or why there are none. One that ends the process takes no other with it."""
        answers = await self._ask([(job.key, self._message(job)) for job in jobs])
        return [
            Rendered(*answer["parts"]) if "parts" in answer else NotRenderedError(answer["refused"])
            for answer in answers
        ]

    async def html_of(self, mjml: str) -> str:
        """Return MJML as HTML.

        Raises:
            NotRenderedError: It is not MJML, or takes too long.
        """
        [answer] = await self._ask([("", {"mjml": mjml})])
        if "html" not in answer:
            raise NotRenderedError(answer["refused"])
        return str(answer["html"])

    def _message(self, job: Job) -> dict[str, Any]:
        texts = job.template.texts[job.locale]
        source = [texts.subject, texts.text, job.html.get(job.locale, "")]
        return {"key": job.key, "locale": job.locale, "values": dict(job.values), "source": source}

    async def _ask(self, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        async with self._lock:
            while len(answers) < len(jobs):
                if self._process is None or self._process.poll() is not None:
                    await self._start()
                answers += await self._some(jobs[len(answers) :])
        return answers

    async def _some(self, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return the answers that came, the last of which may be that there is none."""
        answers: list[dict[str, Any]] = []
        sent = []
        for key, message in jobs:
            known = key in self._known
            sent.append({name: part for name, part in message.items() if name != "source"} if known else message)
            if key:
                self._known[key] = None
                self._known.move_to_end(key)
        while len(self._known) > KEPT // 2:
            self._known.popitem(last=False)
        try:
            self._write(sent)
            for _ in jobs:
                # The first answer of a new process also waits for it to have loaded.
                async with asyncio.timeout(START_S if self._fresh else WALL_S):
                    answers.append(await self._read())
                self._fresh = False
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            await self._end()
            answers.append({"refused": "too much time or memory"})
        except BaseException:
            await self._end()
            raise
        return answers

    def _write(self, message: object) -> None:
        text = json.dumps(message, separators=(",", ":")).encode()
        # Of uvloop it is no subclass.
        transport = cast(asyncio.WriteTransport, self._transports[0])
        transport.write(LENGTH.pack(len(text)) + text)

    async def _read(self) -> dict[str, Any]:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        found: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        return found

    async def _start(self) -> None:
        await self._end()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # Popen starts it by vfork. An event loop of uvloop forks, and what gRPC runs after a fork can crash the child.
        process = subprocess.Popen(  # noqa: S603, ASYNC220 - ourselves; vfork takes microseconds
            [sys.executable, "-m", "rapport_notification.templates.child", *self._locales],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        loop = asyncio.get_running_loop()
        self._process, self._fresh = process, True
        self._known.clear()
        self._reader = asyncio.StreamReader(limit=_MESSAGE_LIMIT)
        reader = self._reader
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
        self._transports = [writing, reading]

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        for transport in self._transports:
            transport.close()
        await asyncio.to_thread(process.wait)
