"""Every command that a README shows is run, in the order it is shown, against a running environment."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rapport_local.environment import Environment
from rapport_local.service_settings import Connections, variables
from rapport_local.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
RUNS_FOR_EVER = re.compile(r"\bserve\b")
SERVES = '"event":"grpc_serving"'
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def commands(readme: Path) -> list[str]:
    """The commands of a page, but those that end the environment: a backup is restored by them in `test_canary`."""
    blocks = [each for each in BLOCK.findall(readme.read_text(encoding="utf-8")) if "rapport down" not in each]
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def readmes() -> list[Path]:
    pages = ["*README.md", "docs/*.md", "deploy/local/INGEST.md", "libs/privacy/EMBEDDING.md"]
    listed = subprocess.run(["git", "ls-files", *pages], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if commands(ROOT / name)]


@pytest.fixture(scope="module")
def configured(environment_folder: Path) -> dict[str, str]:
    """What the services are configured with in the running environment, as the owners of their databases."""
    environment = Environment.at(environment_folder)
    ports = environment.remembered_ports()
    connections = Connections(f"nats://127.0.0.1:{ports['nats']}", ports)
    given = [variables(service, environment, connections, migrating=True) for service in SERVICES]
    # Beside those that run: what a README starts takes a port of its own.
    return {name: "0" if name.endswith("GRPC__PORT") else value for each in given for name, value in each.items()}


def provisioner(configured: dict[str, str]) -> dict[str, str]:
    """The certificate that may provision, in the place of each service's own."""
    ends = {"NATS__TLS__CERTIFICATE": "tls.crt", "NATS__TLS__KEY": "tls.key"}
    return {
        name: str(Path(own).parents[1] / "provision" / file)
        for name, own in configured.items()
        for end, file in ends.items()
        if name.endswith(end)
    }


@pytest.mark.parametrize("readme", readmes(), ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.timeout(300)
def test_every_command_of_a_readme_works(readme: Path, run: Run, configured: dict[str, str]) -> None:
    for command in commands(readme):
        program, *rest = command.split()
        if program == "make":
            assert rest[0] in TARGETS, f"{command}: there is no such target"
            continue
        if program == "python":
            command = command.replace("python", sys.executable, 1)
            if "provision" in rest:
                configured = configured | provisioner(configured)
        variables = configured if program == "python" else {}
        if RUNS_FOR_EVER.search(command):
            run_until_ready(command, variables)
            continue
        done = run(command, variables)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def run_until_ready(command: str, variables: dict[str, str]) -> None:
    """Run a command that runs for ever, end it once it says that it serves, and see it end well."""
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if SERVES in line:
                running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0, f"{command}\n{''.join(said)}"
        assert any(SERVES in line for line in said), command


def test_help_lists_every_target_for_people() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ})
    for target in ("demo", "test", "check", "prove", "bench"):
        assert f"make {target} " in done.stdout
