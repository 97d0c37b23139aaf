"""Gates in other processes: how long one takes to load, what a check costs, and how soon all know of a withdrawal.

    python services/consent/benchmarks/gates.py [--subjects N] [--rounds N] [--replicas N]

Every process is a real one, on the servers that the consent service runs on; each figure stands beside its floor.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import nats
import psycopg
from nats.js.api import ConsumerConfig
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2, purpose_pb2, purpose_pb2_grpc
from rapport_chassis.events.tls import client_context
from rapport_chassis.ids import new_id
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.settings import GateProcessSettings
from rapport_testing.bench import Figure, Report, latencies_us, p50, p99
from rapport_testing.installation import OBSERVER, Installation, TestedService, tls_files

ROOT: Final = Path(__file__).resolve().parents[3]
PURPOSE: Final = "marketing.email"
KEYS: Final = 200_000
HOLDERS: Final = tuple(f"replica-{number}" for number in range(1, 10))
STREAM: Final = "BENCH"
_PAUSE_S: Final = 0.02


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=500, help="withdrawals")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--replica", action="store_true", help="be one of the other processes")
    options = parser.parse_args()
    if options.replica:
        asyncio.run(replica())
        return
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    source = ROOT / "services/consent/src/rapport_consent"
    service = TestedService(
        "consent", source / "migrations", ROOT / "deploy/nats", {"SIGNING_FOLDER": "{folder}"}, gates=HOLDERS
    )
    installation = Installation(service, folder, durable=True)
    for caller in ("bench", *HOLDERS):
        installation.grant(caller, ["consent.*"])
    installation.grant_role("officer", ["consent.*"])
    report = Report("gates", ROOT / "build" / "bench")
    installation.start()
    try:
        measure(installation, report, options)
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"written to {report.write().relative_to(ROOT)}")


def measure(installation: Installation, report: Report, options: argparse.Namespace) -> None:
    """Prepare the ledger, start the service with it, and run every benchmark."""
    people = [new_id("profile") for _ in range(options.rounds + 1)]
    with installation.process("api", only="api"):
        asyncio.run(prepare(installation, people))
    began = time.perf_counter()
    asyncio.run(seed(installation, options.subjects))
    report.add(Figure(f"{options.subjects:,} subjects put into the tables", time.perf_counter() - began, "s"))
    api = installation.process("api", only="api", telemetry__sampling="0.05")
    relay = installation.process("relay", only="relay", telemetry__sampling="0.05")
    with api, relay:
        asyncio.run(run(installation, report, people, options.subjects, options.replicas))


async def run(installation: Installation, report: Report, people: list[str], subjects: int, replicas: int) -> None:
    """Run every benchmark."""
    client = installation.client("bench", process="api", deadline_s=60)
    consent = client.stub(consent_pb2_grpc.ConsentServiceStub)
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(started(installation, HOLDERS[0]))
        loaded = await first.say()
        report.add(Figure(f"first load of {subjects:,} over the wire", loaded["took_s"], "s", 20.0, "<= 1"))
        report.add(Figure("memory of the process a subject", loaded["grown_bytes"] / max(subjects, 1), "B"))
        await _checks(consent, first, report, subjects)
        others = [await stack.enter_async_context(started(installation, holder)) for holder in HOLDERS[1:replicas]]
        for other in others:
            await other.say()
        await _propagation(installation, consent, [first, *others], report, people)
    await client.close()


async def _checks(
    consent: consent_pb2_grpc.ConsentServiceAsyncStub, replica: Replica, report: Report, subjects: int
) -> None:
    chooser = random.Random(1)
    in_process = await replica.ask({"check": [subjects, min(KEYS, subjects)]})

    async def check() -> object:
        entry = consent_pb2.CheckEntry(profile_id=subject_id(chooser.randrange(subjects)), purpose_id=PURPOSE)
        return await consent.CheckConsent(consent_pb2.CheckConsentRequest(entry=entry))

    (remote,) = await latencies_us([check], rounds=10, calls=100)
    report.add(Figure("CheckConsent p50 / check in process, cold keys", p50(remote), "us", in_process["us"], ">= 100"))


async def _propagation(
    installation: Installation,
    consent: consent_pb2_grpc.ConsentServiceAsyncStub,
    replicas: Sequence[Replica],
    report: Report,
    people: list[str],
) -> None:
    """From the answer of WithdrawConsent to the first denial of the last replica, in turns with the floor."""
    async with published_and_fetched(installation) as publish_and_fetch:
        for each in replicas:
            each.tell({"watch": people})
        floors: list[float] = []
        answered: list[float] = []
        for person in people:
            floors.append(await publish_and_fetch())
            await consent.WithdrawConsent(
                consent_pb2.WithdrawConsentRequest(
                    request_id=str(uuid.uuid4()), profile_id=person, purpose_ids=[PURPOSE]
                )
            )
            answered.append(now())
            await asyncio.sleep(_PAUSE_S)
        denied = [(await each.say())["denied"] for each in replicas]
    took = [1e3 * (max(times) - at) for at, *times in zip(answered, *denied, strict=True)][1:]
    floors = [1e3 * each for each in floors[1:]]
    name = f"WithdrawConsent answered to last of {len(replicas)}"
    report.add(Figure(f"{name}, p50 / publish + fetch", p50(took), "ms", p50(floors)))
    report.add(Figure(f"{name}, p99 / publish + fetch", p99(took), "ms", p99(floors), "<= 5"))


@asynccontextmanager
async def published_and_fetched(installation: Installation) -> AsyncIterator[Any]:
    """Give a function that publishes a message and fetches it, and returns the seconds that takes."""
    settings = installation.nats_settings(OBSERVER)
    assert settings.tls is not None
    client = await nats.connect(
        settings.url, tls=client_context(settings.tls), inbox_prefix=f"_INBOX.{OBSERVER}", allow_reconnect=False
    )
    jetstream = client.jetstream()
    await jetstream.add_stream(name=STREAM, subjects=["bench.>"])
    subscription = await jetstream.pull_subscribe("bench.>", "bench", stream=STREAM, config=ConsumerConfig())

    async def publish_and_fetch() -> float:
        began = time.perf_counter()
        await jetstream.publish("bench.message", b"x" * 400)
        (message,) = await subscription.fetch(1, timeout=5)
        took = time.perf_counter() - began
        await message.ack()
        return took

    yield publish_and_fetch
    await subscription.unsubscribe()
    await client.close()


class Replica:
    """Another process with a gate inside, as it is spoken to: JSON, one line each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, command: dict[str, Any]) -> None:
        """Give it something to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def say(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return said

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Give it something to do and return what comes of it."""
        self.tell(command)
        return await self.say()


@asynccontextmanager
async def started(installation: Installation, holder: str) -> AsyncIterator[Replica]:
    """Start another process."""
    files = tls_files(installation.certificate(holder))
    variables = {
        "RAPPORT_GATE__NAME": holder,
        "RAPPORT_GATE__CONSENT": installation.address("api"),
        "RAPPORT_GATE__SERVER_NAME": "localhost",
        "RAPPORT_GATE__NATS": installation.nats.url,
        "RAPPORT_GATE__TLS__CERTIFICATE": str(files.certificate),
        "RAPPORT_GATE__TLS__KEY": str(files.key),
        "RAPPORT_GATE__TLS__AUTHORITIES": str(files.authorities),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--replica",
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=(installation.folder / f"{holder}.log").open("wb"),
        limit=2**26,
    )
    try:
        yield Replica(process)
    finally:
        process.kill()
        await process.wait()


async def replica() -> None:
    """Hold a gate, do what standard input says, and end with it."""
    from rapport_chassis.telemetry.logs import configure_logging

    configure_logging("replica", "", stream=sys.stderr)
    before, began = _resident_bytes(), time.perf_counter()
    async with ConsentGate.open(GateProcessSettings()) as gate:
        await gate.ready()
        assert gate.stream is not None
        await gate.stream.until_listening()
        say({"took_s": time.perf_counter() - began, "grown_bytes": _resident_bytes() - before})
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            if "check" in command:
                say({"us": _seconds_a_check(gate, *command["check"]) * 1e6})
            else:
                say({"denied": [await _denied(gate, person) for person in command["watch"]]})


def _seconds_a_check(gate: ConsentGate, subjects: int, keys: int) -> float:
    ids = [subject_id(number) for number in random.Random(2).sample(range(subjects), keys)]
    check = gate.gate.check
    began = time.perf_counter()
    for each in ids:
        check(each, PURPOSE)
    return (time.perf_counter() - began) / keys


async def _denied(gate: ConsentGate, person: str) -> float:
    while gate.check(person, PURPOSE):  # noqa: ASYNC110 - an effect asks; nothing tells it
        await asyncio.sleep(0.0005)
    return now()


def say(answer: dict[str, Any]) -> None:
    """Answer whoever started this process."""
    print(json.dumps(answer), flush=True)


async def prepare(installation: Installation, people: Sequence[str]) -> None:
    """Author the purpose, and let people say yes to it."""
    client = installation.client("bench", process="api", deadline_s=60)
    token = installation.actor_token("bench", roles=["officer"])
    purposes = client.stub(purpose_pb2_grpc.PurposeServiceStub, actor_token=token)
    terms = purpose_pb2.PurposeTerms(bases=[purpose_pb2.BasisRule(basis=purpose_pb2.LEGAL_BASIS_CONSENT)])
    await purposes.UpsertPurpose(
        purpose_pb2.UpsertPurposeRequest(request_id=str(uuid.uuid4()), purpose_id=PURPOSE, terms=terms)
    )
    await purposes.ActivatePurpose(
        purpose_pb2.ActivatePurposeRequest(
            request_id=str(uuid.uuid4()), purpose_id=PURPOSE, version=1, reason="benchmark"
        )
    )
    consent = client.stub(consent_pb2_grpc.ConsentServiceStub)
    evidence = consent_pb2.Evidence(declared=consent_pb2.DeclaredEvidence(rule="benchmark"))
    item = consent_pb2.ConsentItem(purpose_id=PURPOSE, choice=consent_pb2.CONSENT_CHOICE_GRANT)
    for person in people:
        await consent.RecordConsent(
            consent_pb2.RecordConsentRequest(
                request_id=str(uuid.uuid4()), profile_id=person, items=[item], evidence=evidence
            )
        )
    await client.close()


async def seed(installation: Installation, subjects: int) -> None:
    """Put people straight into the table that snapshots are read from."""
    settings = installation.database_settings()
    assert settings.owner_dsn is not None
    async with await psycopg.AsyncConnection.connect(settings.owner_dsn.get_secret_value()) as connection:
        statement = "COPY subject_states (profile_id, state) FROM STDIN (FORMAT binary)"
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["text", "bytea"])
            for row in states(subjects):
                await copy.write_row(row)
        await connection.execute("ANALYZE subject_states")


def states(subjects: int) -> Iterator[tuple[str, bytes]]:
    """Yield people with a grant each, their state as it is stored."""
    key = ledger_pb2.KeyState(
        purpose_id=PURPOSE,
        status=ledger_pb2.CONSENT_STATUS_GRANTED,
        evidence=ledger_pb2.EVIDENCE_KIND_CAPTURED,
        reference=new_id("ledger_event"),
        notice_id="signup",
        notice_version=1,
    )
    key.decided_at.FromSeconds(1_700_000_000)
    for number in range(subjects):
        person = subject_id(number)
        key.granting_ids[:] = [person]
        state = ledger_pb2.SubjectState(profile_id=person, whole=True, states=[key])
        yield person, state.SerializeToString()


def subject_id(number: int) -> str:
    """Return the id of a person, spread as random ids are."""
    digest = hashlib.blake2b(number.to_bytes(8), digest_size=17).digest()
    return "prf_" + base64.b64encode(digest, b"ab").decode()[:22]


def now() -> float:
    """Return a time that other processes understand."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
