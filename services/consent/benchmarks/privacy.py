"""From approval to certificate: how long the erasure of one person takes, and what more history of others costs.

    python services/consent/benchmarks/privacy.py [--events N] [--rounds N] [--history N]

The coordinator is the service as it is deployed; four participants with databases and streams of their own, in one
process beside it, hold the person's records, and so does the ledger. Access is sealed before, in another round.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "services/consent/tests/support"))

from consent_desk import profile  # noqa: E402 - the rig of the tests
from consent_privacy_desk import (  # noqa: E402
    COMPLETED,
    PrivacyDesk,
    open_privacy_desk,
)
from consent_privacy_rig import PrivacyRig, running_privacy_rig  # noqa: E402
from rapport.consent.v1.privacy_request_pb2 import PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE  # noqa: E402
from rapport_testing.bench import Figure, Report  # noqa: E402

NAMES: Final = ("identity", "churn", "pricing", "notification")
OWN: Final = "consent"
_DELETE: Final = "DELETE FROM notes WHERE profile_id = %s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000, help="records of the person, over all participants")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--history", type=int, default=20_000, help="records of others at first; then tenfold")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    report = Report("privacy", ROOT / "build/bench")
    try:
        with running_privacy_rig(folder / "rig", names=(*NAMES, OWN)) as rig:
            for history in (options.history, 10 * options.history):
                fill(rig, history)
                asyncio.run(measure(rig, report, options.events, options.rounds, history))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


async def measure(rig: PrivacyRig, report: Report, events: int, rounds: int, history: int) -> None:
    """Report what requests take beside so much history."""
    erasures: list[float] = []
    both: list[float] = []
    floors: list[float] = []
    async with open_privacy_desk(rig) as desk:
        for _ in range(rounds):
            floors.append(delete(rig, events))
            erasures.append(await answered(rig, desk, events, PRIVACY_RIGHT_ERASURE))
            both.append(await answered(rig, desk, events, PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE))
    beside = f"{events:,} records, {history:,} of others"
    floor = median(floors) * 1e3
    report.add(Figure(f"erasure, {beside}", median(erasures) * 1e3, "ms", floor))
    report.add(Figure(f"access and erasure, {beside}", median(both) * 1e3, "ms", floor))


async def answered(rig: PrivacyRig, desk: PrivacyDesk, events: int, *rights: int) -> float:
    """Return how long a request takes from its approval to its end, in seconds."""
    person = profile()
    email = f"{person.lower()}@example.com"
    rig.note("identity", person, email)
    for name in NAMES:
        hold(rig, name, person, events // len(NAMES))
    asked = await desk.verified(*rights, email=email, profile_id=person)  # type: ignore[arg-type]
    await desk.approve(asked)
    began_at = time.perf_counter()
    done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE"] * len(rights)
    return time.perf_counter() - began_at


def fill(rig: PrivacyRig, rows: int) -> None:
    """Bring the history of others to so many rows over all participants."""
    for name in NAMES:
        with rig.database(name) as connection:
            row = connection.execute("SELECT count(*) FROM notes").fetchone()
        missing = rows // len(NAMES) - (row[0] if row else 0)
        people = [profile() for _ in range(max(1, missing // 100))]
        for person in people:
            hold(rig, name, person, 100)
        with rig.database(name) as connection:
            connection.execute("ANALYZE notes")


def hold(rig: PrivacyRig, name: str, person: str, count: int) -> None:
    """Have a participant hold records about somebody."""
    rig.fill(name, person, (f"{person} did {number}" for number in range(count)))


def delete(rig: PrivacyRig, count: int) -> float:
    """Return how long it takes to delete as many rows of a person, table after table: the floor."""
    person = profile()
    for name in NAMES:
        hold(rig, name, person, count // len(NAMES))
    took = 0.0
    for name in NAMES:
        with rig.database(name) as connection:
            began_at = time.perf_counter()
            connection.execute(_DELETE, (person,))
            took += time.perf_counter() - began_at
    return took


if __name__ == "__main__":
    main()
