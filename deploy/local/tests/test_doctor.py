"""The doctor finds planted faults, says how to mend them, and is content once they are mended."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from click.testing import Result
from rapport_local import access
from rapport_local.environment import HOST, Environment
from rapport_local.status import EnvironmentStatus, ProcessStatus, write_status
from rapport_testing.child import ChildProcess
from rapport_testing.pki import LocalAuthority

Rapport = Callable[..., Result]


def test_a_well_environment_is_called_well(rapport: Rapport) -> None:
    done = rapport("doctor")
    assert done.exit_code == 0, done.output
    assert "✗" not in done.output


def test_a_key_that_others_can_read_is_found_and_the_cure_works(environment: Environment, rapport: Rapport) -> None:
    key = access.tls_files(environment, "consent").key
    key.chmod(0o644)
    found = rapport("doctor")
    assert found.exit_code == 1
    assert f"mend: chmod 600 {key}" in found.output
    key.chmod(0o600)
    assert rapport("doctor").exit_code == 0


def test_a_key_of_records_that_others_can_read_is_found(environment: Environment, rapport: Rapport) -> None:
    folder = environment.service_folder("identity") / "epochs"
    folder.mkdir(parents=True)
    (folder / "1.key").touch(mode=0o644)
    found = rapport("doctor")
    assert found.exit_code == 1
    assert f"mend: chmod 600 {folder / '1.key'}" in found.output


def test_an_expired_certificate_and_a_foreign_key_are_found(environment: Environment, rapport: Rapport) -> None:
    authority = LocalAuthority(environment.certificates)
    authority.issue("consent", not_after=datetime.now(UTC) - timedelta(hours=2))
    authority.files("nats").key.write_bytes(authority.files("cli").key.read_bytes())
    found = rapport("doctor")
    assert found.exit_code == 1
    assert "the certificate of consent has expired" in found.output
    assert "the key of nats does not belong to its certificate" in found.output


def test_a_broken_policy_is_found(environment: Environment, rapport: Rapport) -> None:
    environment.policy_file.write_text("certificates: [not, a, mapping]\n")
    found = rapport("doctor")
    assert found.exit_code == 1
    assert "is not a policy" in found.output


def test_a_port_taken_by_another_program_is_a_warning(environment: Environment, rapport: Rapport) -> None:
    port = environment.take_port("consent")
    with socket.create_server((HOST, port)):
        found = rapport("doctor")
    assert found.exit_code == 0
    assert f"port {port} of consent was taken" in found.output


def test_processes_of_a_killed_run_are_found_and_down_stops_them(
    environment: Environment, rapport: Rapport, script: Callable[[str], list[str]], tmp_path: Path
) -> None:
    child = ChildProcess(script("import time; time.sleep(600)"), log_path=tmp_path / "log")
    child.start()
    try:
        record_dead_run(environment, child.pid, psutil.Process(child.pid).create_time())
        found = rapport("doctor")
        assert found.exit_code == 1
        assert f"left over from a run that was killed: consent ({child.pid})" in found.output
        stopped = rapport("down")
        assert stopped.exit_code == 0
        assert "consent" in stopped.output
        assert child.wait(10) == -9
        assert rapport("doctor").exit_code == 0
    finally:
        child.kill()


def test_a_recorded_process_id_that_another_program_has_by_now_is_left_alone(
    environment: Environment, rapport: Rapport
) -> None:
    record_dead_run(environment, os.getpid(), psutil.Process().create_time() - 1000)
    stopped = rapport("down")
    assert stopped.exit_code == 0
    assert "Nothing runs" in stopped.output


def record_dead_run(environment: Environment, pid: int | None, created: float) -> None:
    """Write what a run leaves that was killed while it ran."""
    process = ProcessStatus(name="consent", state="ready", pid=pid, created=created)
    write_status(
        environment,
        EnvironmentStatus(folder=str(environment.folder), pid=1, phase="running", processes=[process]),
    )
