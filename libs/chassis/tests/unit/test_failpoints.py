from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rapport_chassis.failpoints import FailpointError, arm, arm_from_environment, disarm, failpoint

PASSES = "from rapport_chassis import failpoints as f; f.arm_from_environment('test'); " + "f.failpoint('a.b'); " * 3


@pytest.fixture(autouse=True)
def _unarmed() -> Iterator[None]:
    disarm()
    yield
    disarm()


def run(specification: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PASSES], env={"RAPPORT_FAILPOINTS": specification})


def test_an_unarmed_failpoint_does_nothing() -> None:
    arm("other=raise")
    failpoint("relay.published")


def test_an_armed_one_raises_at_each_passage() -> None:
    arm("a=raise; b=raise")
    for _ in range(2):
        with pytest.raises(FailpointError, match="a"):
            failpoint("a")


def test_with_a_number_it_acts_at_that_passage_only() -> None:
    arm("a=raise@3")
    failpoint("a")
    failpoint("a")
    with pytest.raises(FailpointError):
        failpoint("a")
    failpoint("a")


@pytest.mark.parametrize("specification", ["a", "a=explode", "a=kill@0", "a=kill@x", "=kill", "A=kill"])
def test_what_cannot_be_read_is_refused(specification: str) -> None:
    with pytest.raises(ValueError, match="not a failpoint"):
        arm(specification)


def test_kill_ends_the_process_by_the_signal() -> None:
    assert run("a.b=kill@2").wait(60) == -signal.SIGKILL


def test_another_armed_name_lets_the_process_end_by_itself() -> None:
    assert run("other=kill").wait(60) == 0


def test_production_refuses_to_be_armed() -> None:
    with pytest.raises(ValueError, match="production"):
        arm_from_environment("production", {"RAPPORT_FAILPOINTS": "a=raise"})
    arm_from_environment("production", {})
    arm_from_environment("test", {"RAPPORT_FAILPOINTS": "a=raise"})
    with pytest.raises(FailpointError):
        failpoint("a")
