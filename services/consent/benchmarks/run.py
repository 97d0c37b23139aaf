"""Speed of the consent service, over the wire with mTLS, each figure beside its floor of the same run.

make bench-consent
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import grpc
import psutil
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2, purpose_pb2, purpose_pb2_grpc
from rapport_chassis.ids import new_id
from rapport_testing.bench import Figure, Report, latencies_us, p50, p99
from rapport_testing.installation import Installation, TestedService

ROOT: Final = Path(__file__).resolve().parents[3]
PURPOSE: Final = "marketing.email"
BATCH: Final = 500
PARTS: Final = ("checks", "writes", "import")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=50_000, help="rows to import")
    parser.add_argument("--only", choices=PARTS, help="the one part to run; all if not given")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    service = TestedService(
        "consent",
        ROOT / "services/consent/src/rapport_consent/migrations",
        ROOT / "deploy/nats",
        {"SIGNING_FOLDER": "{folder}"},
    )
    installation = Installation(service, folder)
    installation.grant("bench", ["consent.*"])
    installation.grant_role("officer", ["consent.*"])
    report = Report("consent", ROOT / "build" / "bench")
    installation.start()
    try:
        api = installation.process("api", only="api", telemetry__sampling="0.05")
        relay = installation.process("relay", only="relay", telemetry__sampling="0.05")
        with api, relay:
            pids = {
                "api": api.pid,
                "relay": relay.pid,
                "PostgreSQL": installation.postgres.pid,
                "NATS": installation.nats.pid,
                "client": os.getpid(),
            }
            parts = (options.only,) if options.only else PARTS
            asyncio.run(measure(installation, report, CpuTimes(report, pids), parts, options.rounds, options.rows))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


class CpuTimes:
    """What work costs in CPU time, by process: it says more than a rate on a machine that does other things beside."""

    def __init__(self, report: Report, pids: Mapping[str, int | None]) -> None:
        self._report = report
        self._pids = pids

    @contextmanager
    def per(self, thing: str, count: int) -> Iterator[None]:
        """Report the CPU time that each process spends in this block on each of `count` things."""
        before = {name: _cpu_s(pid) for name, pid in self._pids.items()}
        yield
        for name, pid in self._pids.items():
            self._report.add(Figure(f"CPU a {thing}: {name}", (_cpu_s(pid) - before[name]) / count * 1e6, "us"))


def _cpu_s(pid: int | None) -> float:
    """CPU time of a process in seconds, with its children, ended ones too; of this process without those it started."""
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    whole = [process.cpu_times(), *(child.cpu_times() for child in children)]
    return float(sum(each.user + each.system + each.children_user + each.children_system for each in whole))


async def measure(
    installation: Installation, report: Report, cpu: CpuTimes, parts: Collection[str], rounds: int, rows: int
) -> None:
    """Run these parts."""
    client = installation.client("bench", process="api", deadline_s=600)
    consent = client.stub(consent_pb2_grpc.ConsentServiceStub)
    purposes = client.stub(
        purpose_pb2_grpc.PurposeServiceStub, actor_token=installation.actor_token("bench", roles=["officer"])
    )
    await _author(purposes)
    if "checks" in parts:
        await _checks(installation, client.stub(health_pb2_grpc.HealthStub), consent, report, rounds)
    if "writes" in parts:
        await _writes(installation, consent, report, cpu, rounds)
    if "import" in parts:
        await _import(installation, consent, report, cpu, rows)
    await client.close()


async def _checks(
    installation: Installation,
    health_stub: health_pb2_grpc.HealthStub,
    consent: consent_pb2_grpc.ConsentServiceAsyncStub,
    report: Report,
    rounds: int,
) -> None:
    chooser = random.Random(1)
    people = [new_id("profile") for _ in range(1000)]
    for person in people:
        await consent.RecordConsent(_grant(person))
    bare_server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), bare_server)  # type: ignore[no-untyped-call]
    port = bare_server.add_insecure_port("127.0.0.1:0")
    await bare_server.start()
    bare_channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    bare = health_pb2_grpc.HealthStub(bare_channel)  # type: ignore[no-untyped-call]
    request = health_pb2.HealthCheckRequest()

    def check() -> consent_pb2.CheckConsentRequest:
        entry = consent_pb2.CheckEntry(profile_id=chooser.choice(people), purpose_id=PURPOSE)
        return consent_pb2.CheckConsentRequest(entry=entry)

    async def check_health() -> object:
        return await health_stub.Check(request)

    async def check_consent() -> object:
        return await consent.CheckConsent(check())

    async def check_bare() -> object:
        return await bare.Check(request)

    floor, checked, unchained = await latencies_us([check_health, check_consent, check_bare], rounds=rounds, calls=100)
    report.add(Figure("CheckConsent p50 / Health.Check, same chain", p50(checked), "us", p50(floor), "<= 1.6"))
    report.add(Figure("CheckConsent p99 / Health.Check, same chain", p99(checked), "us", p99(floor)))
    report.add(Figure("Health.Check p50 / Health without chain or TLS", p50(floor), "us", p50(unchained)))
    await bare_channel.close()
    await bare_server.stop(None)


async def _writes(
    installation: Installation,
    consent: consent_pb2_grpc.ConsentServiceAsyncStub,
    report: Report,
    cpu: CpuTimes,
    rounds: int,
) -> None:
    async with await _connection(installation) as bare:
        await bare.execute("CREATE TABLE bare_commit (id bigserial PRIMARY KEY, body bytea)")
        body = b"x" * 600

        async def commit() -> object:
            return await bare.execute("INSERT INTO bare_commit (body) VALUES (%s)", (body,))

        async def record() -> object:
            return await consent.RecordConsent(_grant(new_id("profile")))

        floor, recorded = await latencies_us([commit, record], rounds=rounds, calls=20)
        report.add(Figure("RecordConsent durable, p50 / bare commit", p50(recorded), "us", p50(floor)))
        report.add(Figure("RecordConsent durable, p99 / bare commit", p99(recorded), "us", p99(floor)))

        began = time.perf_counter()
        calls = 100 * rounds

        async def caller() -> None:
            for _ in range(calls // 16):
                await record()

        with cpu.per("write", calls):
            await asyncio.gather(*(caller() for _ in range(16)))
        per_second = calls / (time.perf_counter() - began)
        report.add(Figure("RecordConsent, 16 callers / bare commits", per_second, "/s", 1e6 / p50(floor)))


async def _import(
    installation: Installation,
    consent: consent_pb2_grpc.ConsentServiceAsyncStub,
    report: Report,
    cpu: CpuTimes,
    rows: int,
) -> None:
    chooser = random.Random(2)
    now = datetime.now(UTC)
    people = [new_id("profile") for _ in range(rows // 2)]

    async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        evidence = consent_pb2.ImportedEvidence(source="bench", file_sha256=bytes(32))
        evidence.exported_at.FromDatetime(now)
        yield consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
        for start in range(0, rows, BATCH):
            batch = consent_pb2.ImportBatch()
            for index in range(start, min(start + BATCH, rows)):
                row = batch.rows.add(
                    external_id=str(index),
                    profile_id=chooser.choice(people),
                    purpose_id=PURPOSE,
                    status=chooser.choice([ledger_pb2.CONSENT_STATUS_GRANTED, ledger_pb2.CONSENT_STATUS_WITHDRAWN]),
                )
                row.occurred_at.FromDatetime(now - timedelta(minutes=chooser.randrange(500_000)))
            yield consent_pb2.RecordConsentsRequest(batch=batch)

    began = time.perf_counter()
    imported = 0
    with cpu.per("row", rows):
        async for answer in consent.RecordConsents(messages()):
            refused = [result for result in answer.results if result.status.code]
            if refused:
                raise RuntimeError(f"a row was refused: {refused[0]}")
            imported += len(answer.results)
        per_second = imported / (time.perf_counter() - began)
        await _published(installation)
    report.add(Figure(f"import of {imported:,} rows, relay and replica running", per_second, "/s", 5000, ">= 1"))


async def _published(installation: Installation) -> None:
    """Wait until no event waits to be published."""
    async with await _connection(installation) as watching:
        while await (await watching.execute("SELECT FROM outbox LIMIT 1")).fetchone() is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _connection(installation: Installation) -> psycopg.AsyncConnection:
    settings = installation.database_settings()
    assert settings.owner_dsn is not None
    return await psycopg.AsyncConnection.connect(settings.owner_dsn.get_secret_value(), autocommit=True)


async def _author(purposes: purpose_pb2_grpc.PurposeServiceAsyncStub) -> None:
    terms = purpose_pb2.PurposeTerms(bases=[purpose_pb2.BasisRule(basis=purpose_pb2.LEGAL_BASIS_CONSENT)])
    await purposes.UpsertPurpose(
        purpose_pb2.UpsertPurposeRequest(request_id=str(uuid.uuid4()), purpose_id=PURPOSE, terms=terms)
    )
    await purposes.ActivatePurpose(
        purpose_pb2.ActivatePurposeRequest(
            request_id=str(uuid.uuid4()), purpose_id=PURPOSE, version=1, reason="benchmark"
        )
    )
    await purposes.PublishNotice(
        purpose_pb2.PublishNoticeRequest(
            request_id=str(uuid.uuid4()),
            notice_id="signup",
            locale="en",
            text="We would like to write to you.",
            purpose_ids=[PURPOSE],
            reason="benchmark",
        )
    )


def _grant(person: str) -> consent_pb2.RecordConsentRequest:
    return consent_pb2.RecordConsentRequest(
        request_id=str(uuid.uuid4()),
        profile_id=person,
        items=[consent_pb2.ConsentItem(purpose_id=PURPOSE, choice=consent_pb2.CONSENT_CHOICE_GRANT)],
        notice_id="signup",
        notice_version=1,
        locale="en",
        evidence=consent_pb2.Evidence(
            captured=consent_pb2.CapturedEvidence(surface="bench", method=consent_pb2.CAPTURE_METHOD_CHECKBOX)
        ),
    )


if __name__ == "__main__":
    main()
