"""The process that renders: reads templates and values from one pipe, writes texts to another, and can do little else.

Before it reads anything it gives up what it does not need: new files, file contents, core dumps, memory beyond some. A
render that takes too much processor time ends the process, by a timer that no template can stop.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from contextlib import suppress
from typing import IO, Any, Final

from rapport_notification.templates.rendering import Renderer, RenderRefusedError, mjml_to_html

LENGTH: Final = struct.Struct(">I")
"""Before each message: its length."""
CPU_S: Final = 0.2
"""For one template."""
MEMORY_BYTES: Final = 256 << 20
"""Beyond what it has when it begins."""


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer each message of a batch with a message, until the pipe ends."""
    renderer = Renderer()
    confine()
    while head := source.read(LENGTH.size):
        batch = json.loads(source.read(*LENGTH.unpack(head)))
        for job in batch:
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            answer = _answer(renderer, job)
            signal.setitimer(signal.ITIMER_PROF, 0)
            text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
            sink.write(LENGTH.pack(len(text)) + text)
            # Each at once: if the next one ends the process, this one is not lost with it.
            sink.flush()


def confine() -> None:
    """Give up what rendering does not need."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once, before anything is read
        pages = int(file.read().split()[0])
    memory = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def _answer(renderer: Renderer, job: dict[str, Any]) -> dict[str, Any]:
    try:
        if "mjml" in job:
            return {"html": mjml_to_html(job["mjml"])}
        if not renderer.knows(job["key"]):
            if "source" not in job:
                return {"refused": "not loaded"}
            renderer.load(job["key"], *job["source"])
        return {"parts": renderer.render(job["key"], job["locale"], job["values"])}
    except RenderRefusedError as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": "too much memory"}


def warm_up(locales: list[str]) -> None:
    """Load everything that is loaded when it is first needed: later no file can be opened."""
    mjml_to_html("<mjml><mj-body></mj-body></mjml>")
    renderer = Renderer()
    renderer.load("warm", "{{ a }}", "{{ b }}", "{{ c }}")
    for locale in locales:
        values = {"a": ["integer", 1], "b": ["date", "2026-01-01"], "c": ["money", "1.00", "EUR"]}
        renderer.render("warm", locale, values)
    with suppress(RenderRefusedError):
        renderer.render("warm", locales[0], {})
    with suppress(RenderRefusedError):
        renderer.load("warm", "{{", "", "")


if __name__ == "__main__":
    warm_up(sys.argv[1:])
    main(sys.stdin.buffer, sys.stdout.buffer)
