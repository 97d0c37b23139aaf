"""Mails a second by the whole path: event, trigger, gates, address, two parts rendered, DKIM, ledger, SMTP.

One worker, a process of the service as it runs in earnest, on PostgreSQL that writes to its disk. Counted at a sink in
a process of its own, against mails of about that size handed to the same sink over as many kept connections, in turns.

python services/notification/benchmarks/from_event.py [--rounds 7] [--mails 400]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "services/notification/tests/support"))

import cpu  # noqa: E402
from mail import CONNECTIONS, raw  # noqa: E402
from notification_desk import Desk, advertising, open_desk, request_id, terms  # noqa: E402
from notification_events import offer  # noqa: E402
from notification_installation import MARKETING, NotificationInstallation, start_installation  # noqa: E402
from rapport.notification.v1 import events_pb2, template_pb2, trigger_pb2  # noqa: E402
from rapport_chassis.events.wire import Request, Wire  # noqa: E402
from rapport_notification.conformance.smtp_sink import SmtpSink  # noqa: E402
from rapport_testing.bench import Figure, Report  # noqa: E402
from rapport_testing.free_ports import free_port  # noqa: E402
from rapport_testing.waiting import eventually  # noqa: E402

_TRIGGER: Final = "bench"
_TIMEOUT_S: Final = 300.0


class CountingSink:
    """A sink in a process of its own, which writes a line for each mail it has taken."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "sink.log"
        self.log.touch()
        self._process = subprocess.Popen([sys.executable, __file__, "--sink", str(self.port), str(self.log)])  # noqa: S603

    @property
    def taken(self) -> int:
        """How many mails it has taken."""
        return self.log.read_bytes().count(b"\n")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def counting(folder: Path) -> Iterator[CountingSink]:
    """Run a sink."""
    sink = CountingSink(folder)
    try:
        yield sink
    finally:
        sink.stop()


async def serve(port: int, log: Path) -> None:
    """Be the sink."""
    listening = SmtpSink(dsn=True, log=log)
    listening.address = ("127.0.0.1", port)
    async with listening:
        await asyncio.Event().wait()


async def furnish(desk: Desk) -> None:
    """Have a template and a trigger in force."""
    await desk.until_ready()
    written = terms("Hello {{ recipient_given_name }}: {{ percent }} % until {{ until }}")
    del written.variables["title"]
    written.variables["percent"].kind = template_pb2.VARIABLE_KIND_TEXT
    written.variables["until"].kind = template_pb2.VARIABLE_KIND_DATE
    texts = written.texts["en"]
    texts.subject, texts.mjml = "{{ percent }} % off", texts.mjml.replace("{{ title }}", "{{ percent }} % off")
    await desk.template("bench", written)
    said = trigger_pb2.TriggerTerms(
        event="offer_created",
        audience=trigger_pb2.TRIGGER_AUDIENCE_PERSON,
        category="offers",
        purpose_id=MARKETING,
        template_id="bench",
        variables={"percent": "percent", "until": "valid_until"},
        **_class(events_pb2.MESSAGE_CLASS_MARKETING),
    )
    drafted = await desk.triggers.UpsertTrigger(
        trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id=_TRIGGER, terms=said)
    )
    await desk.triggers.ActivateTrigger(
        trigger_pb2.ActivateTriggerRequest(
            request_id=request_id(), trigger_id=_TRIGGER, version=drafted.status.version, reason="bench"
        )
    )


async def by_path(installation: NotificationInstallation, sink: CountingSink, people: list[str]) -> float:
    """Return the seconds from the first event to the last mail."""
    wire = await Wire.open(installation.nats_settings("observer"), user="observer")
    requests = [Request(each.subject, each.payload(), each.headers()) for each in map(offer, people)]
    wanted = sink.taken + len(people)
    began = time.perf_counter()
    try:
        await wire.exchange(requests, timeout_s=30)
        await eventually(lambda: sink.taken >= wanted, timeout_s=_TIMEOUT_S)
    finally:
        wire.close()
    return time.perf_counter() - began


async def by_hand(sink: CountingSink, mail: bytes, count: int) -> float:
    """Return the seconds that the same bytes take, handed over raw."""
    began = time.perf_counter()
    await raw(sink.port, mail, count)
    return time.perf_counter() - began


async def measure(installation: NotificationInstallation, sink: CountingSink, rounds: int, mails: int) -> None:
    """Take turns, print and write the figures."""
    async with open_desk(installation, process="worker") as desk:
        await furnish(desk)
        people = [[installation.person(MARKETING) for _ in range(mails)] for _ in range(rounds + 1)]
        # The gate learns of grants a little later: what asks for their position is sent once it has them all.
        await desk.template()
        last = advertising(installation.person(MARKETING), at_least=installation.token)
        await desk.becomes(await desk.send(last), "SENT")
    await by_path(installation, sink, people[0])  # warm
    sample = b"X" * 76 + b"\r\n"
    mail = b"From: a@mail.brand.example\r\nTo: b@x.example\r\nSubject: s\r\n\r\n" + sample * 100
    paths, hands = [], []
    spent: defaultdict[str, float] = defaultdict(float)
    for turn in people[1:]:
        hands.append(mails / await by_hand(sink, mail, mails // CONNECTIONS * CONNECTIONS))
        before = cpu.seconds()
        paths.append(mails / await by_path(installation, sink, turn))
        for kind, now in cpu.seconds().items():
            spent[kind] += now - before[kind]
    report = Report("notification-from-event", ROOT / "build" / "bench")
    floor = statistics.median(hands)
    ratio = statistics.median(path / hand for path, hand in zip(paths, hands, strict=True))
    report.add(Figure("event to SMTP, one worker", ratio * floor, "mails/s", floor, ">= 0.15"))
    for kind, seconds in sorted(spent.items(), key=lambda each: -each[1]):
        report.add(Figure(f"processor time, {kind}", 1000 * seconds / (rounds * mails), "ms/mail"))
    report.write()


def _class(number: Any) -> dict[str, Any]:
    return {"class": number}  # a word of Python


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mails", type=int, default=400)
    parser.add_argument("--sink", nargs=2, metavar=("PORT", "LOG"), help="be the sink")
    options = parser.parse_args()
    if options.sink:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(serve(int(options.sink[0]), Path(options.sink[1])))
        return
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name, counting(Path(name)) as sink:
        installation = start_installation(Path(name) / "i", durable=True)
        server = [{"name": "sink", "host": "127.0.0.1", "port": sink.port, "tls": "never", "connections": CONNECTIONS}]
        worker = installation.process(
            "worker", email__servers=json.dumps(server), telemetry__sampling="0.05", dispatch__home="Etc/UTC",
            dispatch__quiet_hours_file=str(_open(Path(name))),
        )  # fmt: skip
        try:
            worker.start()
            uvloop.run(measure(installation, sink, options.rounds, options.mails))
        finally:
            worker.kill()
            installation.stop()


def _open(folder: Path) -> Path:
    """Return rules without quiet hours, so that it can be measured at any time."""
    rule = {"quiet": [], "holidays": False, "kind": "bench", "source": "none", "checked": "2026-11-22"}
    path = folder / "open.json"
    path.write_text(json.dumps({"version": "bench", "default": rule, "countries": {}}), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
