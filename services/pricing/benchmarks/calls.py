"""Speed of quotes over the wire with mTLS, beside Health.Check through the same chain, at the default sampling.

python services/pricing/benchmarks/calls.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.pricing.v1 import authored_pb2
from rapport_testing.bench import Figure, Report, latencies_us, p50, p99

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "services/pricing/tests/support"))

from pricing_desk import open_desk  # noqa: E402 - found by the line before
from pricing_installation import SHOP, PricingInstallation, start_installation  # noqa: E402 - found by the line before
from pricing_words import asked, promotion_terms  # noqa: E402 - found by the line before

PROMOTIONS: Final = 200
LINES: Final = 10


def main() -> None:
    """Measure and write build/bench/pricing-calls.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    report = Report("pricing-calls", ROOT / "build" / "bench")
    installation = start_installation(folder)
    try:
        with installation.process(telemetry__sampling="0.05"):
            asyncio.run(measure(installation, report, options.rounds))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


async def measure(installation: PricingInstallation, report: Report, rounds: int) -> None:
    """Time one line of a customer who is known, then ten lines under many promotions."""
    async with open_desk(installation) as desk:
        await desk.until_ready()
        await desk.declare("DE")
        shoes = [await desk.sold(1000 + number) for number in range(LINES)]
        client = installation.client(SHOP)
        health = client.stub(health_pb2_grpc.HealthStub)
        one = asked((shoes[0], 1), profile_id="prf_00000001")
        ten = asked(*((shoe, 2) for shoe in shoes), profile_id="prf_00000001")

        async def check() -> object:
            return await health.Check(health_pb2.HealthCheckRequest())

        async def quote() -> object:
            return await desk.prices.GetQuote(one)

        async def basket() -> object:
            return await desk.prices.GetQuote(ten)

        floor, quoted = await latencies_us([check, quote], rounds=rounds, calls=100)
        report.add(Figure("GetQuote p50", p50(quoted), "us", p50(floor), "<= 1.6"))
        report.add(Figure("GetQuote p99", p99(quoted), "us", p99(floor), "<= 2.5"))
        for number in range(PROMOTIONS):
            category = "shoes" if number % 20 == 0 else f"category{number}"
            scope = authored_pb2.TermsScope(categories=[category], markets=["DE"])
            await desk.promote(f"bench{number}", promotion_terms(percent_ppm=10_000, scope=scope))
        floor, filled = await latencies_us([check, basket], rounds=rounds, calls=50)
        name = f"{LINES} lines under {PROMOTIONS} promotions"
        report.add(Figure(f"{name} p50", p50(filled), "us", p50(floor), "<= 3"))
        await client.close()


if __name__ == "__main__":
    main()
