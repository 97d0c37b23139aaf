"""A real process: how it starts, how it stops, and what its commands print."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport_chassis.cli import EXIT_CONFIGURATION
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import ClientSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.pki import LocalAuthority
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually

PROGRAM = Path(__file__).with_name("sample_service.py")
PRELOADED = ("rapport_chassis.cli", "rapport_chassis.process", "rapport_chassis.rpc.server", "uvloop")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Sample:
    """The sample service in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = LocalAuthority(folder / "pki")
        authority.issue("sample")
        files = authority.issue("caller")
        self._tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
        policy = folder / "policy.yaml"
        policy.write_text("certificates:\n  spiffe://rapport.local/caller: [chassis.*]\n")
        server = authority.files("sample")
        self.environment = {
            "RAPPORT_TOLD_FOLDER": str(folder),
            "RAPPORT_SAMPLE_ENVIRONMENT": "test",
            "RAPPORT_SAMPLE_GRPC__TLS__CERTIFICATE": str(server.certificate),
            "RAPPORT_SAMPLE_GRPC__TLS__KEY": str(server.key),
            "RAPPORT_SAMPLE_GRPC__TLS__AUTHORITIES": str(server.authorities),
            "RAPPORT_SAMPLE_GRPC__ADDRESS_FILE": str(self.address_file),
            "RAPPORT_SAMPLE_GRPC__DRAIN_S": "0",
            "RAPPORT_SAMPLE_DATABASE__DSN": "postgresql://sample:geheim@nowhere/sample",
            "RAPPORT_SAMPLE_AUTH__POLICY_FILE": str(policy),
        }
        self._processes: list[ServiceProcess] = []

    @property
    def address_file(self) -> Path:
        return self.folder / "address"

    def start(self, *arguments: str, **variables: str) -> ServiceProcess:
        process = self._program(self.folder / "log", "serve", *arguments, **variables)
        process.start()
        return process

    def client(self) -> Client:
        settings = ClientSettings(target=self.address_file.read_text(), tls=self._tls)
        return Client(settings, telemetry=Telemetry.off())

    def allow(self, name: str) -> None:
        """Make a file that the service waits for."""
        (self.folder / name).touch()

    def told(self) -> list[str]:
        """What the parts have told so far."""
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run a command to its end, and return its exit code and what it wrote."""
        process = self._program(self.folder / "output", *arguments, **variables)
        process.start(wait=False)
        code = process.wait(60)
        return code, (self.folder / "output").read_text()

    def _program(self, log: Path, *arguments: str, **variables: str) -> ServiceProcess:
        process = ServiceProcess(
            [sys.executable, str(PROGRAM), *arguments],
            {**self.environment, **variables},
            log,
            ready=self.address_file.exists,
            imports=PRELOADED,
        )
        self._processes.append(process)
        return process

    def kill(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Sample]:
    made = Sample(tmp_path)
    yield made
    made.kill()


async def status(client: Client, name: str) -> Any:
    return (await client.stub(health_pb2_grpc.HealthStub).Check(health_pb2.HealthCheckRequest(service=name))).status


def before(told: list[str], *lines: str) -> bool:
    """Whether these lines were told in this order."""
    places = [told.index(line) for line in lines]
    return places == sorted(places)


async def test_a_stopping_process_drains_in_the_documented_order(sample: Sample) -> None:
    process = sample.start(RAPPORT_SAMPLE_GRPC__DRAIN_S="30")
    client = sample.client()
    operations = client.stub(operations_pb2_grpc.OperationsStub)
    watch = client.stub(health_pb2_grpc.HealthStub).Watch(health_pb2.HealthCheckRequest(service="api"))
    answers: list[Any] = [(await anext(watch)).status]
    in_flight = asyncio.create_task(operations.WaitOperation(operations_pb2.WaitOperationRequest(name="w"), timeout=60))
    await eventually(lambda: "call entered" in sample.told())

    ending = asyncio.create_task(asyncio.to_thread(process.terminate, 60))
    answers.append((await anext(watch)).status)
    assert answers == [SERVING, NOT_SERVING]
    # Load balancers hear of it late: calls are still served.
    await operations.GetOperation(operations_pb2.GetOperationRequest(name="g"))
    assert "consumer fetches no more" not in sample.told()

    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)  # the second one cuts the drain short
    await eventually(lambda: "consumer fetches no more" in sample.told())
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    sample.allow("release-call")
    assert (await in_flight).name == "w"
    sample.allow("release-message")
    assert await ending == 0
    await client.close()
    told = sample.told()
    assert before(told, "database started", "nats started", "consumer started")
    assert before(
        told, "consumer fetches no more", "call answered", "relay stopped", "nats stopped", "database stopped"
    )
    assert before(told, "consumer stopped", "relay stopped")
    assert {line for line in told if line.endswith("stopped")} == {
        f"{part} stopped" for part in ("http", "consumer", "relay", "sweeper", "nats", "database")
    }
    assert told[-1] == "database stopped"
    assert not sample.address_file.exists()
    assert '"event":"stopped"' in (sample.folder / "log").read_text()


async def test_what_cannot_start_blocks_no_other_part_and_starts_later(sample: Sample) -> None:
    sample.allow("release-message")
    sample.allow("consumer-missing")
    sample.allow("database-missing")
    process = sample.start()
    client = sample.client()
    await eventually(lambda: {"relay started", "nats started"} <= set(sample.told()))
    assert await status(client, "api") == SERVING
    assert await status(client, "events") == NOT_SERVING
    (sample.folder / "consumer-missing").unlink()
    (sample.folder / "database-missing").unlink()

    async def events_ready() -> bool:
        return bool(await status(client, "events") == SERVING)

    await eventually(events_ready, timeout_s=20)
    await eventually(lambda: {"consumer started", "database started"} <= set(sample.told()), timeout_s=20)
    await client.close()
    assert await asyncio.to_thread(process.terminate) == 0


async def test_a_process_with_one_role_has_no_part_of_the_others(sample: Sample) -> None:
    process = sample.start("--only", "relay")
    client = sample.client()
    await eventually(lambda: "relay started" in sample.told())

    async def ready() -> bool:
        return bool(await status(client, "") == SERVING)

    await eventually(ready)
    with pytest.raises(RemoteError, match="METHOD_UNKNOWN"):
        await client.stub(operations_pb2_grpc.OperationsStub).GetOperation(operations_pb2.GetOperationRequest())
    with pytest.raises(RemoteError, match="NOT_FOUND"):
        await status(client, "events")
    await client.close()
    assert await asyncio.to_thread(process.terminate) == 0
    assert not any(line.startswith(("consumer", "http")) for line in sample.told())


def test_check_config_prints_the_effective_settings_masked(sample: Sample) -> None:
    code, output = sample.run("check-config", RAPPORT_SAMPLE_GRPC__MAX_IN_FLIGHT="7")
    assert code == 0
    rows = dict(line.split(maxsplit=1) for line in output.splitlines() if len(line.split(maxsplit=1)) == 2)
    assert rows["RAPPORT_SAMPLE_GRPC__MAX_IN_FLIGHT"] == "7"
    assert set(rows["RAPPORT_SAMPLE_DATABASE__DSN"]) == {"*"}
    assert "geheim" not in output


def test_check_config_speaks_json(sample: Sample) -> None:
    _, output = sample.run("check-config", "--json")
    assert json.loads(output)["RAPPORT_SAMPLE_ENVIRONMENT"] == "test"


def test_a_service_has_commands_of_its_own(sample: Sample) -> None:
    assert sample.run("where") == (3, "test\n")
    assert "print the environment" in sample.run("--help")[1]


def test_settings_that_cannot_be_used_are_named_without_their_values(sample: Sample) -> None:
    code, output = sample.run("serve", RAPPORT_SAMPLE_GRPC__PORT="geheim", RAPPORT_SAMPLE_GRPC__TYPO="geheim")
    assert code == EXIT_CONFIGURATION
    assert "RAPPORT_SAMPLE_GRPC__PORT" in output
    assert "RAPPORT_SAMPLE_GRPC__TYPO" in output
    assert "geheim" not in output


def test_a_service_that_must_not_be_served_says_why_and_ends(sample: Sample) -> None:
    code, output = sample.run("serve", RAPPORT_SAMPLE_AUTH__POLICY_FILE=str(sample.folder / "nowhere.yaml"))
    assert code == EXIT_CONFIGURATION
    assert "nowhere.yaml" in output


def test_failpoints_are_refused_in_production(sample: Sample) -> None:
    code, _ = sample.run("serve", RAPPORT_SAMPLE_ENVIRONMENT="production", RAPPORT_FAILPOINTS="a=kill")
    assert code != 0
    assert not sample.told()


IMPORTS: Callable[[str], str] = (
    "import sys; import {}; print(*sorted(m for m in sys.modules if m.split('.')[0] in "
    "('alembic', 'grpc_tools', 'sqlmodel', 'uvicorn', 'pytest') and m.count('.') == 0))"
).format


def test_serving_imports_no_tools() -> None:
    """grpc itself imports the empty package of grpcio-tools where that is installed."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS("rapport_chassis.cli, rapport_chassis.process, rapport_chassis.rpc.client")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) <= {"grpc_tools"}
