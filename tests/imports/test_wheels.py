"""A wheel carries all that its service needs: each command of one works where no checkout is."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.events.topology import DECLARED
from rapport_testing.installation import Installation, TestedService
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually_sync

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("libs/contracts", "libs/chassis", "libs/privacy", "services/consent")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the service's wheel and of those it needs, as an installer unpacks them."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in MEMBERS:
        next(WheelBuilder(str(ROOT / member)).build(directory=str(folder), versions=["standard"]))
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Installation]:
    """Real servers with an empty database and no streams."""
    unused = tmp_path / "unused"
    made = Installation(TestedService("consent", unused, DECLARED, {"SIGNING_FOLDER": "{folder}"}), tmp_path)
    try:
        made.postgres.start()
        made.nats.start()
        create_service_database(made.postgres.dsn("postgres"), "consent", RolePasswords())
        yield made
    finally:
        made.stop()


def test_a_service_is_served_configured_migrated_and_provisioned_from_its_wheel(
    installed: Path, servers: Installation, tmp_path: Path
) -> None:
    owner, provision = servers.database_settings().owner_dsn, servers.certificate("provision")
    assert owner is not None
    # Without `site` no .pth file is read, so that what is installed from the checkout cannot be found.
    libraries = os.pathsep.join([str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    python = [sys.executable, "-S"]
    variables = {**servers.variables(), "PYTHONPATH": libraries, "RAPPORT_CONSENT_GRPC__PORT": "0"}
    owning = {
        "RAPPORT_CONSENT_DATABASE__OWNER_DSN": owner.get_secret_value(),
        "RAPPORT_CONSENT_NATS__TLS__CERTIFICATE": str(provision.certificate),
        "RAPPORT_CONSENT_NATS__TLS__KEY": str(provision.key),
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*python, *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables, **owning},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    modules = run("-c", "import rapport_consent as a, rapport_privacy as b, rapport_chassis as c; print(a, b, c)")
    assert modules.count(str(installed)) == 3
    log = tmp_path / "log"
    serve = [*python, "-m", "rapport_consent", "serve"]
    with ServiceProcess(serve, variables, log, ready_line='"event":"grpc_serving"') as served:
        # In this order: a service that is started before its schema and streams are there waits for them.
        assert str(tmp_path / "own") in run("-m", "rapport_consent", "check-config")
        assert "migrated 0001_expand_" in run("-m", "rapport_consent", "migrate")
        assert "RAPPORT_CONSENT" in run("-m", "rapport_consent", "provision")
        eventually_sync(lambda: set(readiness(log).values()) == {"SERVING"} and len(readiness(log)) == 3, timeout_s=30)
        served.terminate()


def readiness(log: Path) -> dict[str, str]:
    """The last state of each role that the log tells of."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"readiness_changed"' in line]
    return {line["role"]: line["state"] for line in lines}
