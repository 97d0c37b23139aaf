"""What a touchpoint costs that leads to no message: taken in from the broker, looked at, done with.

By far the most events are such. One worker, a process of the service as it runs in earnest, on PostgreSQL that writes
to its disk; as many as it takes at once, and what the processor spent on each.

python services/notification/benchmarks/touchpoints.py [--touchpoints 4000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "services/notification/tests/support"))

import cpu  # noqa: E402
from notification_desk import open_desk  # noqa: E402
from notification_events import visit  # noqa: E402
from notification_installation import NotificationInstallation, start_installation  # noqa: E402
from rapport_chassis.events.jetstream import JetStreamApi  # noqa: E402
from rapport_chassis.events.wire import Request, Wire  # noqa: E402
from rapport_chassis.ids import new_id  # noqa: E402
from rapport_notification.entrypoints.subscriptions import CONSUMERS  # noqa: E402
from rapport_testing.bench import Figure, Report  # noqa: E402
from rapport_testing.waiting import eventually  # noqa: E402

_AT_ONCE: Final = 200
_TIMEOUT_S: Final = 300.0


async def measure(installation: NotificationInstallation, number: int) -> None:
    """Publish touchpoints and wait until all are done with."""
    async with open_desk(installation, process="worker") as desk:
        await desk.until_ready()
    people = [new_id("profile") for _ in range(max(1, number // 5))]
    requests = [
        Request(each.subject, each.payload(), each.headers())
        for each in (visit(people[at % len(people)]) for at in range(number))
    ]
    wire = await Wire.open(installation.nats_settings("observer"), user="observer")
    api = JetStreamApi(wire)

    async def is_done() -> bool:
        info = await api.consumer_info("RAPPORT_IDENTITY", CONSUMERS["identity"])
        return bool(info["delivered"]["stream_seq"]) and info["num_pending"] == info["num_ack_pending"] == 0

    try:
        before, began = cpu.seconds(), time.perf_counter()
        for at in range(0, number, _AT_ONCE):
            await wire.exchange(requests[at : at + _AT_ONCE], timeout_s=30)
        await eventually(is_done, timeout_s=_TIMEOUT_S)
        took_s = time.perf_counter() - began
    finally:
        wire.close()
    report = Report("notification-touchpoints", ROOT / "build" / "bench")
    report.add(Figure("touchpoints taken in, one worker", number / took_s, "/s"))
    after = cpu.seconds()
    for kind in sorted(after, key=lambda each: before[each] - after[each]):
        report.add(Figure(f"processor time, {kind}", 1e6 * (after[kind] - before[kind]) / number, "us/touchpoint"))
    report.write()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--touchpoints", type=int, default=4000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name:
        installation = start_installation(Path(name), durable=True)
        worker = installation.process("worker", telemetry__sampling="0.05")
        try:
            worker.start()
            uvloop.run(measure(installation, options.touchpoints))
        finally:
            worker.kill()
            installation.stop()


if __name__ == "__main__":
    main()
