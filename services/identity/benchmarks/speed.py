"""Speed of the identity service, over the wire with mTLS, each figure beside its floor of the same run.

make bench-identity, or python services/identity/benchmarks/speed.py [--records 100000] [--only load]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil
from grpc_health.v1 import health_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_identity.population import Population, Sighting
from rapport_identity.population.messages import message_of
from rapport_identity.translate.touchpoints import raw_of
from rapport_testing.bench import Figure, Report, latencies_us, p50, p99
from rapport_testing.process import ServiceProcess
from splink_search import one_by_one_ms

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "services/identity/tests/support"))

from identity_desk import (  # noqa: E402
    EMAIL,
    Desk,
    IdentityInstallation,
    declare_population,
    open_desk,
    start_installation,
)

BATCH: Final = 500
SINGLES: Final = 400
SPLINK_SEARCHES: Final = 10
TOUCHPOINTS: Final = 10_000
TOUCHPOINTS_AT_ONCE: Final = 250
PARTS: Final = ("singles", "touchpoints", "look-ups", "searches", "restart")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="records to load first")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=PARTS, help="the one part to run after the load; all if not given")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    report = Report("identity-speed", ROOT / "build" / "bench")
    installation = start_installation(folder, durable=True)
    try:
        api = installation.process("api", only="api", telemetry__sampling="0.05")
        relay = installation.process("relay", only="relay", telemetry__sampling="0.05")
        with api, relay:
            declare_population(installation, process="api")
            parts = (options.only,) if options.only else PARTS
            asyncio.run(measure(installation, report, api, relay, parts, options.records, options.rounds))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


async def measure(
    installation: IdentityInstallation,
    report: Report,
    api: ServiceProcess,
    relay: ServiceProcess,
    parts: Collection[str],
    count: int,
    rounds: int,
) -> None:
    """Load, then run these parts."""
    arriving = Population(1).sightings(count + SINGLES)
    pids = {"api": api.pid, "relay": relay.pid, "PostgreSQL": installation.postgres.pid, "NATS": installation.nats.pid}
    async with open_desk(installation, process="api", deadline_s=3600) as desk:
        await desk.until_serving("api")
        known = await load(desk, report, itertools.islice(arriving, count), pids, count)
        if "singles" in parts:
            await singles(desk, report, list(arriving))
        if "touchpoints" in parts:
            await touchpoints(desk, report, known, pids, min(count, TOUCHPOINTS))
        if "look-ups" in parts:
            await look_ups(desk, report, known, rounds)
        if "searches" in parts:
            await searches(desk, report, known, count)
        if "restart" in parts:
            await restart(report, api, count)


async def load(
    desk: Desk, report: Report, arriving: Iterator[Sighting], pids: Mapping[str, int | None], count: int
) -> list[record_pb2.Record]:
    """Load in bulk, with a relay running, and return some of the records."""
    known: list[record_pb2.Record] = []

    async def batches() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
        for at in itertools.count():
            records = [message_of(each) for each in itertools.islice(arriving, BATCH)]
            if not records:
                return
            known.append(records[0])
            yield identity_pb2.ResolveRecordsRequest(batch=at, records=records)

    done, began, shown = 0, time.perf_counter(), 0.0
    with cpu_of(report, "a record loaded", pids, count):
        async for answer in desk.shop.ResolveRecords(batches()):
            refused = [each for each in answer.results if each.status.code]
            if refused:
                raise RuntimeError(f"a record was refused: {refused[0].status}")
            done += len(answer.results)
            elapsed = time.perf_counter() - began
            if elapsed - shown > 5:
                shown = elapsed
                print(f"  {done:,} of {count:,} records, {done / elapsed:,.0f}/s", file=sys.stderr)
    report.add(Figure("bulk load, durable", done / (time.perf_counter() - began), "/s", 3000.0, ">= 1"))
    return known


async def singles(desk: Desk, report: Report, arriving: Sequence[Sighting]) -> None:
    """Resolve records one after the other, each durable with its event before the next."""
    taken = []
    for each in arriving:
        made = message_of(each)
        began = time.perf_counter()
        await desk.resolve(made)
        taken.append((time.perf_counter() - began) * 1e3)
    report.add(Figure("ResolveRecord p50", p50(taken), "ms", 4.0, "<= 1"))
    report.add(Figure("ResolveRecord p99", p99(taken), "ms", 25.0, "<= 1"))


async def touchpoints(
    desk: Desk, report: Report, known: Sequence[record_pb2.Record], pids: Mapping[str, int | None], count: int
) -> None:
    """Send orders of people who are known in a stream, each durable with its event when it is answered."""
    buyers = [each for each in known if raw_of(_order(each)).identifiers]  # others wrote nonsense for an address
    orders = [_order(each) for each in itertools.islice(itertools.cycle(buyers), count)]

    async def batches() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
        for first in range(0, count, TOUCHPOINTS_AT_ONCE):
            yield ingest_pb2.IngestTouchpointsRequest(
                batch=first, touchpoints=orders[first : first + TOUCHPOINTS_AT_ONCE]
            )

    began = time.perf_counter()
    with cpu_of(report, "a touchpoint", pids, count):
        async for answer in desk.touchpoints.IngestTouchpoints(batches()):
            for each in answer.results:
                if each.status.code or each.ingested.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_REFUSED:
                    raise RuntimeError(f"a touchpoint was refused: {each}")
    report.add(Figure("touchpoints, durable", count / (time.perf_counter() - began), "/s", 1000.0, ">= 1"))


def _order(buyer: record_pb2.Record) -> ingest_pb2.RawTouchpoint:
    """Return an order of a person, told by every e-mail address that is known of them."""
    made = ingest_pb2.RawTouchpoint(
        source="webshop",
        source_event_id=uuid4().hex,
        identifiers=[each for each in buyer.person.identifiers if each.kind == EMAIL],
    )
    made.touchpoint.channel = touchpoint_pb2.CHANNEL_WEB
    made.touchpoint.purpose_ids.append("order.delivery")
    made.touchpoint.market = buyer.market
    made.touchpoint.occurred_at.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    placed = made.touchpoint.order_placed
    placed.order_id = "ord_0123456789"
    placed.lines.add(quantity=1).item.product_id = "prd_0123456789"
    placed.total.currency_code, placed.total.units = "EUR", 20
    return made


async def look_ups(desk: Desk, report: Report, known: Sequence[record_pb2.Record], rounds: int) -> None:
    """Look identifiers up, beside the cheapest call there is."""
    wanted = itertools.cycle(identifier for each in known for identifier in each.person.identifiers)
    health = health_pb2.HealthCheckRequest()

    async def look_up() -> object:
        return await desk.look_up(next(wanted))

    async def check_health() -> object:
        return await desk.health.Check(health)

    floor, looked_up = await latencies_us([check_health, look_up], rounds=rounds, calls=100)
    report.add(Figure("LookupProfile p50 / Health.Check, same chain", p50(looked_up), "us", p50(floor), "<= 1.6"))
    report.add(Figure("LookupProfile p99 / Health.Check, same chain", p99(looked_up), "us", p99(floor)))


async def searches(desk: Desk, report: Report, known: Sequence[record_pb2.Record], count: int) -> None:
    """Search for people who are known by their names and addresses, beside Splink among the same records."""
    taken = []
    for each in known[:SINGLES]:
        request = identity_pb2.SearchProfilesRequest(person=each.person, market=each.market)
        began = time.perf_counter()
        await desk.shop.SearchProfiles(request)
        taken.append((time.perf_counter() - began) * 1e3)
    records = [each.record for each in Population(1).sightings(count)]
    floor = await asyncio.to_thread(one_by_one_ms, records, records[:SPLINK_SEARCHES])
    report.add(Figure("SearchProfiles p50 / Splink's predict_between", p50(taken), "ms", p50(floor), "<= 0.02"))
    report.add(Figure("SearchProfiles p99", p99(taken), "ms"))


async def restart(report: Report, api: ServiceProcess, count: int) -> None:
    """Start the process anew, until it serves."""
    api.kill()
    began = time.perf_counter()
    await asyncio.to_thread(api.start)
    taken = time.perf_counter() - began
    report.add(Figure(f"restart to serving with {count:,} records", taken, "s"))
    report.add(Figure("  so at 1 M records", taken / count * 1e6, "s", 30.0, "<= 1"))
    assert api.pid is not None
    report.add(Figure("memory of the process a record", psutil.Process(api.pid).memory_info().rss / count, "B"))


@contextmanager
def cpu_of(report: Report, thing: str, pids: Mapping[str, int | None], count: int) -> Iterator[None]:
    """Report the CPU time that each process spends in this block on each of `count` things."""
    before = {name: _cpu_s(pid) for name, pid in pids.items()}
    yield
    for name, pid in pids.items():
        report.add(Figure(f"CPU of {thing}: {name}", (_cpu_s(pid) - before[name]) / count * 1e6, "us"))


def _cpu_s(pid: int | None) -> float:
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    whole = [process.cpu_times(), *(child.cpu_times() for child in children)]
    return float(sum(each.user + each.system + each.children_user + each.children_system for each in whole))


if __name__ == "__main__":
    main()
