"""Speed of churn over the wire with mTLS, by a model of trees: scores with reasons, batches, intake, a withdrawal.

    python services/churn/benchmarks/calls.py [--only scores] [--rounds 20]

The model is trained on a made-up shop first. `scores` are measured again while a training runs at the lowest priority.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Final

from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc
from rapport_chassis.rpc.status import RemoteError
from rapport_churn.domain.facts import DAY
from rapport_churn.training.job import train
from rapport_testing.bench import Figure, Report, latencies_us, p50, p99
from rapport_testing.waiting import eventually
from synthetic import DAYS, START
from training import write_down

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "services/churn/tests/support"))

from churn_desk import Desk, open_desk  # noqa: E402 - found by the line before
from churn_events import days_ago, viewed  # noqa: E402 - found by the line before
from churn_installation import PROFILING, SHOP, ChurnInstallation, register, start_installation  # noqa: E402 - found by the line before

PARTS: Final = ("scores", "batch", "intake", "withdrawal")
PEOPLE: Final = 50
BATCH: Final = 50
EVENTS: Final = 2000
EFFORT: Final = {"draws": 2, "origins": 2, "cutoffs": 10, "rows": 10_000}


def main() -> None:
    """Measure and write build/bench/churn-calls.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=PARTS, help="the one part to run; all if not given")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    job = folder / "job"
    job.mkdir()
    write_down(job / "events", 40_000)
    (job / "header.json").write_text(json.dumps({"as_of": START + DAYS * DAY, "effort": EFFORT}))
    with redirect_stdout(StringIO()):  # where it tells its progress
        files = {path.name: path.read_bytes() for path in train(job).iterdir()}
    report = Report("churn-calls", ROOT / "build" / "bench")
    installation = start_installation(folder / "servers")
    try:
        with installation.process(telemetry__sampling="0.05"):
            parts = (options.only,) if options.only else PARTS
            asyncio.run(measure(installation, report, files, parts, options.rounds, job))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


async def measure(
    installation: ChurnInstallation,
    report: Report,
    files: Mapping[str, bytes],
    parts: Collection[str],
    rounds: int,
    job: Path,
) -> None:
    """Run these parts."""
    async with open_desk(installation, deadline_s=60) as desk:
        await desk.until_ready()
        model_id = await register(installation, files)
        await desk.promote(model_id, despite_gates=True)
        people = [await desk.customer(200, 120, 60, 40, 15) for _ in range(PEOPLE)]
        await desk.until_serving(model_id, people[0])
        client = installation.client(SHOP, deadline_s=60)
        churn = client.stub(churn_pb2_grpc.ChurnServiceStub)
        if "scores" in parts:
            health = client.stub(health_pb2_grpc.HealthStub)
            await scores(report, "", churn, health, people, rounds)
            with busy(job):
                await scores(report, ", while training", churn, health, people, rounds)
        if "batch" in parts:
            await batch(report, churn, people, rounds)
        if "intake" in parts:
            await intake(report, desk)
        if "withdrawal" in parts:
            await withdrawal(report, desk, people)
        await client.close()


async def scores(
    report: Report,
    when: str,
    churn: churn_pb2_grpc.ChurnServiceAsyncStub,
    health: health_pb2_grpc.HealthStub,
    people: list[str],
    rounds: int,
) -> None:
    """Time scores with reasons beside Health.Check through the same chain."""
    turn = itertools.cycle(people)

    async def check() -> object:
        return await health.Check(health_pb2.HealthCheckRequest())

    async def score() -> object:
        return await churn.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=next(turn)))

    floor, scored = await latencies_us([check, score], rounds=rounds, calls=100)
    report.add(Figure(f"ScoreProfile with reasons p50{when}", p50(scored), "us", p50(floor), "<= 1.6"))
    report.add(Figure(f"ScoreProfile with reasons p99{when}", p99(scored), "us", p99(floor), "<= 2"))


def busy(job: Path) -> subprocess.Popen[bytes]:
    """Start a training that lasts, as the service starts one."""
    work = job.with_name("busy")
    work.mkdir()
    (work / "events").symlink_to(job / "events")
    (work / "header.json").write_text(json.dumps({"as_of": START + DAYS * DAY, "effort": {"draws": 200}}))
    command = [sys.executable, "-m", "rapport_churn.training", str(work)]
    return _Ended(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


class _Ended(subprocess.Popen[bytes]):
    """A process that is killed where its block ends."""

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


async def batch(report: Report, churn: churn_pb2_grpc.ChurnServiceAsyncStub, people: list[str], rounds: int) -> None:
    """Time a batch beside as many single calls."""
    request = churn_pb2.BatchScoreProfilesRequest(profile_ids=people[:BATCH])

    async def together() -> object:
        return await churn.BatchScoreProfiles(request)

    async def singly() -> object:
        for who in people[:BATCH]:
            await churn.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=who))
        return None

    batched, alone = await latencies_us([together, singly], rounds=max(3, rounds // 4), calls=2)
    report.add(Figure("score in a batch, p50", p50(batched) / BATCH, "us", p50(alone) / BATCH, "<= 0.5"))


async def intake(report: Report, desk: Desk) -> None:
    """Publish events about one customer, and wait until all are known."""
    who = await desk.customer(400)
    events = [viewed(who, days_ago(1 + at / EVENTS)) for at in range(EVENTS)]
    began = time.perf_counter()
    await desk.tell(*events)
    published = time.perf_counter() - began
    await eventually(partial(_are_known, desk, who), timeout_s=300)
    taken = time.perf_counter() - began
    report.add(Figure("events taken in a second", EVENTS / taken, "/s", EVENTS / published))


async def withdrawal(report: Report, desk: Desk, people: list[str]) -> None:
    """Time from a withdrawal until nobody is scored, and until nothing is told of the person any more."""
    refused, gone = [], []
    for who in people[:10]:
        await eventually(partial(_is_told, desk, who), timeout_s=30)
        began = time.perf_counter()
        await asyncio.to_thread(desk.installation.ledger.withdraw, who, PROFILING)
        while not await _is_refused(desk, who):
            pass
        refused.append(time.perf_counter() - began)
        await eventually(partial(_is_gone, desk, who), timeout_s=30)
        gone.append(time.perf_counter() - began)
    report.add(Figure("withdrawal to refusal, slowest of 10", max(refused), "s", 2.0, "<= 1"))
    report.add(Figure("withdrawal to no message, median of 10", statistics.median(gone), "s", 5.0, "<= 1"))


async def _are_known(desk: Desk, who: str) -> bool:
    return (await desk.features(who)).events == EVENTS + 1


async def _is_told(desk: Desk, who: str) -> bool:
    return bool(await desk.told(who))


async def _is_gone(desk: Desk, who: str) -> bool:
    return all(type(each).__name__ == "RiskCleared" for each in await desk.told(who))


async def _is_refused(desk: Desk, who: str) -> bool:
    try:
        await desk.score(who)
    except RemoteError as error:
        return error.reason.name == "PROFILING_DENIED"
    return False


if __name__ == "__main__":
    main()
