"""The whole suite under load: touchpoints in through the public API, end to end until nothing is on its way any more.

All five services with their servers on this machine, commits on disk, spans recorded at the default rate. First as
many touchpoints as it takes, in a stream, until every effect is there: taken in, published, folded, scored, offered,
written. Then a steady stream at `--rate`, in which some people turn up who have left: from sending what they did to
each of its effects. And what a touchpoint costs each process, at ever more profiles.

python tests/benchmarks/pipeline.py [--people 2000,10000] [--touchpoints 10000] [--rate 300] [--seconds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
import uvloop

ROOT: Final = Path(__file__).resolve().parents[2]
for _support in ("tests/support", "services/churn/tests/support"):
    sys.path.append(str(ROOT / _support))

from costs import Costs, since, spent_s  # noqa: E402
from crowd import CRM, Crowd  # noqa: E402
from rapport_local.databases import database_settings  # noqa: E402
from rapport_local.services import service_named  # noqa: E402
from rapport_testing.bench import Figure, Report, p50, p99  # noqa: E402
from suite import Suite  # noqa: E402
from suite_authoring import SETTINGS, author  # noqa: E402
from suite_shop import SHOP, SHOP_MAY, Shop, open_shop, until  # noqa: E402
from suite_state import rows, unsettled  # noqa: E402

_SETTLED_S: Final = 900.0
_LOOK_S: Final = 0.2
_REST_S: Final = 10.0
_PROBES: Final = 60
_ORDERS: Final = 5
_FLOOR_ROWS: Final = 20_000
_FLOOR_AT_ONCE: Final = 200
_ROW_BYTES: Final = 600
"""What a touchpoint takes in the outbox of identity, its headers included."""


def main() -> None:
    """Start the suite, measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", default="2000,10000", help="numbers of profiles, one after the other")
    parser.add_argument("--touchpoints", type=int, default=10_000, help="of each measurement")
    parser.add_argument("--rate", type=int, default=300, help="touchpoints a second of the steady stream")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the steady stream")
    options = parser.parse_args()
    report = Report("pipeline", ROOT / "build" / "bench")
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        suite = Suite(Path(folder) / "rapport", clients={SHOP: SHOP_MAY}, settings=SETTINGS, durable=True)
        try:
            suite.start()
            uvloop.run(measure(suite, report, options))
        finally:
            suite.close()
    print(f"written to {report.write().relative_to(ROOT)}")


async def measure(suite: Suite, report: Report, options: argparse.Namespace) -> None:
    """Measure at each number of profiles."""
    sizes = [int(each) for each in options.people.split(",")]
    async with open_shop(suite, deadline_s=3600) as shop:
        await author(shop)
        await settled(suite)
        rest = await at_rest(suite, report)
        crowd = Crowd(shop, datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
        for size in sizes:
            new = size - len(crowd.people)
            took_s = await crowd.grow(size)
            report.add(Figure(f"{size:,} profiles: recognised in bulk", new / took_s, "/s"))
            await settled(suite)
            await sustained(suite, report, crowd, rest, options.touchpoints)
        await floor(suite, report)
        await steady(suite, report, shop, crowd, options.rate, options.seconds)


async def at_rest(suite: Suite, report: Report) -> Costs:
    """Return what each process takes in a second in which nothing happens."""
    before, began = spent_s(suite), time.perf_counter()
    await asyncio.sleep(_REST_S)
    took_s = time.perf_counter() - began
    rest = {name: seconds / took_s for name, seconds in since(suite, before).items()}
    report.add(Figure("at rest: of one processor", 100 * sum(rest.values()), "%"))
    for name, share in rest.items():
        report.add(Figure(f"- {name}", 100 * share, "%"))
    return rest


async def sustained(suite: Suite, report: Report, crowd: Crowd, rest: Costs, number: int) -> None:
    """Send touchpoints as fast as they are taken in, and wait for all that comes of them.

    What a process takes at rest is none of a touchpoint's cost.
    """
    size = f"{len(crowd.people):,} profiles"
    before, began = spent_s(suite), time.perf_counter()
    recorded = await crowd.take_in(crowd.touchpoints(number))
    taken_s = time.perf_counter() - began
    await settled(suite)
    whole_s = time.perf_counter() - began
    spent = {name: seconds - rest.get(name, 0.0) * whole_s for name, seconds in since(suite, before).items()}
    report.add(Figure(f"{size}: touchpoints end to end", number / whole_s, "/s", 300.0, ">= 1, target 3.3"))
    report.add(Figure("- of these taken in", number / taken_s, "/s"))
    report.add(Figure("- of these refused, a gate being stale", number - recorded, ""))
    report.add(Figure("- CPU of a touchpoint", sum(spent.values()) / number * 1e6, "us"))
    for name, seconds in spent.items():
        report.add(Figure(f"- - {name}", seconds / number * 1e6, "us"))


async def floor(suite: Suite, report: Report) -> None:
    """Write as many bytes into a table of the same server, batch by batch, each on disk before the next."""
    service = service_named("identity")
    assert service is not None
    dsn = database_settings(suite.environment, service).owner_dsn
    assert dsn is not None
    before, began, own = spent_s(suite), time.perf_counter(), time.process_time()
    async with await psycopg.AsyncConnection.connect(dsn.get_secret_value()) as connection:
        await connection.execute("CREATE TABLE floor (id bigint PRIMARY KEY, payload bytea)")
        await connection.commit()
        for first in range(0, _FLOOR_ROWS, _FLOOR_AT_ONCE):
            async with connection.cursor() as cursor, cursor.copy("COPY floor FROM STDIN") as copy:
                for number in range(first, first + _FLOOR_AT_ONCE):
                    await copy.write_row((number, b"\0" * _ROW_BYTES))
            await connection.commit()
        took_s = time.perf_counter() - began
        spent = sum(since(suite, before).values()) + time.process_time() - own
        await connection.execute("DROP TABLE floor")
    report.add(Figure("floor: a row written in batches, durable", _FLOOR_ROWS / took_s, "/s"))
    report.add(Figure("- CPU of a row", spent / _FLOOR_ROWS * 1e6, "us"))


@dataclass(frozen=True)
class Probe:
    """Somebody who has left: when what they did was sent, and answered."""

    profile_id: str
    sent: datetime
    answered: datetime


async def steady(suite: Suite, report: Report, shop: Shop, crowd: Crowd, rate: int, seconds: float) -> None:
    """Send so many a second, and among them what leads to a score, a risk, an offer and a mail."""
    strangers = await crowd.strangers(_PROBES, "left")
    await settled(suite)
    probes: list[Probe] = []

    async def visits() -> None:
        began = time.perf_counter()
        for tenth in range(round(seconds * 10)):
            await asyncio.sleep(max(0.0, began + tenth / 10 - time.perf_counter()))
            await crowd.take_in(crowd.touchpoints(rate // 10))

    async def probing() -> None:
        for person, profile_id in strangers:
            sent = datetime.now(UTC)
            await crowd.take_in(person.orders(CRM, _ORDERS))
            probes.append(Probe(profile_id, sent, datetime.now(UTC)))
            await asyncio.sleep(seconds / _PROBES)

    before, began = spent_s(suite), time.perf_counter()
    await asyncio.gather(visits(), probing())
    busy = sum(since(suite, before).values()) / (time.perf_counter() - began)
    await settled(suite)
    report.add(Figure(f"at {rate}/s: processors busy", busy, "of 2"))
    sent = {each.profile_id: each.sent for each in probes}
    answered = [(each.answered - each.sent).total_seconds() * 1e3 for each in probes]
    _latencies(report, "answered", answered)
    for effect, found in (await effects(suite, list(sent))).items():
        _latencies(report, effect, [(at - sent[who]).total_seconds() * 1e3 for who, at in found.items()])


async def effects(suite: Suite, ids: Sequence[str]) -> dict[str, dict[str, datetime]]:
    """Return when each effect was there for each of these profiles, as the services wrote it down."""
    published = await rows(
        suite,
        "identity",
        "SELECT event_id, profile_ids[1], published_at FROM published WHERE profile_ids && %s",
        list(ids),
    )
    owner = {event_id: profile_id for event_id, profile_id, _ in published}
    folded = await rows(
        suite, "churn", "SELECT event_id, received_at FROM inbox WHERE event_id = ANY (%s)", list(owner)
    )
    found = {
        "published": _last((profile_id, at) for _, profile_id, at in published),
        "folded": _last((owner[event_id], at) for event_id, at in folded),
    }
    for effect, service, query in (
        (
            "risk raised",
            "churn",
            "SELECT profile_ids[1], min(published_at) FROM published WHERE profile_ids && %s GROUP BY 1",
        ),
        (
            "offer made",
            "pricing",
            "SELECT profile_id, to_timestamp(created_us / 1e6) FROM offers WHERE profile_id = ANY (%s)",
        ),
        (
            "mail handed over",
            "notification",
            "SELECT recipient_id, to_timestamp(ended_us / 1e6) FROM notifications WHERE recipient_id = ANY (%s)"
            " AND ended_us > 0",
        ),
    ):
        found[effect] = _last(await rows(suite, service, query, list(ids)))
    return found


def _last(pairs: object) -> dict[str, datetime]:
    last: dict[str, datetime] = {}
    for profile_id, at in pairs:  # type: ignore[attr-defined] # rows of a query
        last[profile_id] = max(at, last.get(profile_id, at))
    return last


def _latencies(report: Report, effect: str, taken_ms: Sequence[float]) -> None:
    if len(taken_ms) < 2:
        raise RuntimeError(f"nothing was {effect}")
    report.add(Figure(f"- {effect}, p50 ({len(taken_ms)} people)", p50(taken_ms), "ms"))
    report.add(Figure(f"- {effect}, p99", p99(taken_ms), "ms"))


async def settled(suite: Suite) -> None:
    """Wait until nothing is on its way any more."""
    await until(lambda: unsettled(suite), lambda left: not left, within_s=_SETTLED_S, every_s=_LOOK_S)


if __name__ == "__main__":
    main()
