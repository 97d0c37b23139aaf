from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis import failpoints as chassis_failpoints
from rapport_testing.child import ProcessError
from rapport_testing.failpoints import failpoint_variables
from rapport_testing.nats import NatsServer
from rapport_testing.process import RandomKiller, ServiceProcess
from rapport_testing.waiting import eventually_sync

MakeScript = Callable[..., ServiceProcess]

STEPS = """
    from rapport_chassis.failpoints import arm_from_environment, failpoint
    arm_from_environment("test")
    for step in range(1, 6):
        print(f"step {step}")
        failpoint("step.taken")
    print("all done")
"""

SERVICE = """
    import signal, sys
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready to serve")
    while True:
        signal.pause()
"""

names = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
specifications = st.builds(
    lambda name, action, passage: f"{name}={action}" + (f"@{passage}" if passage else ""),
    names,
    st.sampled_from(["kill", "stop", "raise"]),
    st.integers(min_value=0, max_value=99),
)


def test_an_armed_failpoint_kills_the_service_at_its_third_passage(script: MakeScript) -> None:
    service = script(STEPS)
    service.arm("step.taken=kill@3", "never.passed=kill")
    service.start(wait=False)
    service.wait_killed()
    assert service.logs().splitlines() == ["step 1", "step 2", "step 3"]


def test_arming_nothing_disarms_the_next_start(script: MakeScript) -> None:
    service = script(STEPS)
    service.arm("step.taken=kill")
    service.start(wait=False)
    service.wait_killed()

    service.arm()
    service.start(wait=False)

    assert service.wait() == 0
    assert service.logs().splitlines()[-1] == "all done"


def test_a_service_that_ends_otherwise_was_not_killed(script: MakeScript) -> None:
    service = script("raise SystemExit(3)")
    service.start(wait=False)
    with pytest.raises(ProcessError, match="ended with 3"):
        service.wait_killed()


@given(st.lists(specifications, min_size=1, max_size=5))
def test_what_the_harness_arms_the_chassis_reads(armed: list[str]) -> None:
    (value,) = failpoint_variables(*armed).values()
    try:
        chassis_failpoints.arm_from_environment("test", {chassis_failpoints.VARIABLE: value})
    finally:
        chassis_failpoints.disarm()


@pytest.mark.parametrize("text", ["", "name", "name=", "name=explode", "name=kill@0", "name=kill@", "a=kill;b=kill"])
def test_a_malformed_failpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a failpoint"):
        failpoint_variables(text)


def test_start_returns_when_the_service_says_it_is_ready(script: MakeScript) -> None:
    service = script(SERVICE, ready_line="ready to serve")
    service.start()
    assert service.is_running
    assert service.logs() == "ready to serve\n"


def test_readiness_is_asked_anew_after_a_restart(script: MakeScript) -> None:
    service = script(SERVICE, ready_line="ready to serve")
    service.start()
    first = service.pid

    service.restart()

    assert service.is_running
    assert service.pid != first
    assert service.logs() == "ready to serve\n" * 2


def test_a_service_that_ends_before_it_is_ready_is_reported_with_its_log(script: MakeScript) -> None:
    service = script("print('no database'); raise SystemExit(2)", ready_line="ready")
    with pytest.raises(ProcessError, match=r"ended with 2; its log ends:\nno database"):
        service.start()


def test_a_service_that_never_turns_ready_is_reported_and_killed(script: MakeScript) -> None:
    service = script("import signal; signal.pause()", ready_line="ready", start_timeout_s=0.3)
    with pytest.raises(ProcessError, match="is not ready"):
        service.start()
    assert not service.is_running


def test_readiness_may_be_a_question_whose_failure_means_no() -> None:
    asked: list[int] = []

    def ready() -> bool:
        asked.append(len(asked))
        if len(asked) == 1:
            raise OSError("refused")
        return len(asked) > 2

    service = ServiceProcess(["/bin/sleep", "60"], {}, Path("/dev/null"), ready)
    with service:
        assert service.is_running
    assert service.returncode == -signal.SIGKILL


def test_terminate_lets_the_service_end_by_itself(script: MakeScript) -> None:
    service = script(SERVICE, ready_line="ready to serve")
    service.start()
    assert service.terminate() == 0


def test_a_suspended_service_goes_on_after_resume(script: MakeScript) -> None:
    service = script(SERVICE, ready_line="ready to serve")
    service.start()
    process = psutil.Process(service.pid)
    service.suspend()
    eventually_sync(lambda: process.status() == psutil.STATUS_STOPPED)
    service.resume()
    eventually_sync(lambda: process.status() != psutil.STATUS_STOPPED)


def test_the_killer_kills_and_restarts_each_of_its_victims(script: MakeScript, nats: NatsServer) -> None:
    service = script(SERVICE, ready_line="ready to serve")
    service.start()

    with RandomKiller([service, nats], seed=1, between=(0.0, 0.02)) as killer:
        eventually_sync(lambda: killer.kills >= 10, timeout_s=60)

    assert service.is_running
    assert nats.is_running
    starts = [service.logs().count("ready to serve"), nats.log_path.read_text().count("Server is ready")]
    assert min(starts) > 1
    assert sum(starts) == 2 + killer.kills


def test_the_killer_reports_a_victim_that_does_not_come_back(script: MakeScript, tmp_path: Path) -> None:
    service = script(
        f"""
        import pathlib, signal
        once = pathlib.Path({str(tmp_path / "started")!r})
        if once.exists():
            raise SystemExit("broken for good")
        once.touch()
        print("ready")
        signal.pause()
        """,
        ready_line="ready",
    )
    service.start()
    with (
        pytest.raises(ProcessError, match="did not start again") as raised,
        RandomKiller([service], seed=1, between=(0.0, 0.01)) as killer,
    ):
        eventually_sync(lambda: not killer.is_killing)
    assert "broken for good" in str(raised.value.__cause__)
