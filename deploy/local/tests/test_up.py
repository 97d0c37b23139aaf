"""`rapport up`: real servers and services; whatever happens to them or to it, nothing is lost and nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from local_desk import Desk
from rapport_local.environment import is_free
from rapport_testing.waiting import eventually_sync


def purpose(purpose_id: str) -> str:
    return json.dumps({"purpose_id": purpose_id, "terms": {"bases": [{"basis": "LEGAL_BASIS_CONSENT"}]}})


def restarts(desk: Desk) -> dict[str, int]:
    return {each.name: each.restarts for each in desk.status().processes}


def test_two_environments_run_side_by_side_and_share_nothing(stoppable: Desk, desk: Desk) -> None:
    both = (stoppable, desk)
    desk.up()
    assert desk.run("call", "UpsertPurpose", purpose("apart")).exit_code == 0
    listed = [each.run("call", "--json", "ListPurposes", '{"purpose_id": "apart"}').stdout for each in both]
    assert [json.loads(text).get("purposes", []) != [] for text in listed] == [False, True]
    addresses = [{process.address for process in each.status().processes} for each in both]
    assert not addresses[0] & addresses[1]


def test_a_signal_ends_everything_and_leaves_nothing(stoppable: Desk) -> None:
    assert stoppable.end(signal.SIGTERM) == 0
    assert stoppable.left() == []
    assert stoppable.environment.holder() is None
    assert all(is_free(port) for port in stoppable.environment.remembered_ports().values())
    assert stoppable.run("doctor").exit_code == 0


def test_on_a_terminal_a_table_is_drawn_until_the_terminal_is_closed(desk: Desk) -> None:
    terminal = desk.begin_on_terminal()
    drawn = b""
    while b"Everything is ready" not in drawn:
        drawn += os.read(terminal, 65536)
    text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", drawn).decode()
    assert re.search(r"consent +ready +\d+ +●api ●events ●relay +127.0.0.1:\d+", text)
    family = desk.family()
    os.close(terminal)
    assert desk.ended() == 0
    assert not [each for each in family if each.is_running()]


def test_a_signal_during_the_start_leaves_nothing(desk: Desk) -> None:
    desk.begin()
    eventually_sync(lambda: desk.environment.state_file.exists(), 20)
    desk.end(signal.SIGINT)
    assert desk.left() == []
    desk.up()


def test_what_was_written_survives_a_kill_of_everything(stoppable: Desk) -> None:
    assert stoppable.run("call", "UpsertPurpose", purpose("kept")).exit_code == 0
    stoppable.end(signal.SIGKILL)
    eventually_sync(lambda: not stoppable.left(), 20, message="the children of a killed up end")
    status = stoppable.run("status")
    assert status.exit_code == 1
    assert "no environment runs" in status.stderr
    stoppable.up()
    assert '"kept"' in stoppable.run("call", "ListPurposes").stdout


def test_a_crashed_service_is_started_again_at_the_same_address(stoppable: Desk) -> None:
    consent, before = stoppable.status().process("consent"), restarts(stoppable)
    assert consent is not None
    assert consent.pid is not None
    os.kill(consent.pid, signal.SIGKILL)
    eventually_sync(lambda: restarts(stoppable)["consent"] == before["consent"] + 1, 30)
    eventually_sync(lambda: stoppable.status().all_ready, 60)
    again = stoppable.status().process("consent")
    assert again is not None
    assert (again.address, again.pid == consent.pid) == (consent.address, False)
    assert stoppable.run("call", "GetLedgerHead").exit_code == 0


def test_a_crashed_server_is_started_again_and_the_service_goes_on(stoppable: Desk) -> None:
    status, before = stoppable.status(), restarts(stoppable)
    servers = ("postgres", "nats")
    for name in servers:
        process = status.process(name)
        assert process is not None
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    eventually_sync(lambda: all(restarts(stoppable)[name] == before[name] + 1 for name in servers), 30)
    eventually_sync(lambda: stoppable.status().all_ready, 60)
    assert stoppable.run("call", "UpsertPurpose", purpose("after-the-crash")).exit_code == 0


def test_detached_it_returns_once_ready_and_down_stops_it(desk: Desk) -> None:
    started = desk.run_apart("up", "--detach", *desk.services)
    assert started.returncode == 0, started.stdout + started.stderr
    assert desk.status().all_ready
    assert desk.run("down").exit_code == 0
    assert desk.environment.holder() is None
    assert desk.run("down").stdout == "Nothing runs.\n"


TOLD = (
    "four channels, one profile",
    "verified offline",
    "by company, the weakest",
    "publish RAPPORT_CONSENT",
    "absorbs prf_",
    "consents_merged",
    "SplitProfile",
    "cost.margin",
    "the reasons sum exactly to the score",
    "hardly ever two people",
    "personal prices only lower",
    "held by cost.margin",
    "frequency cap",
    "in the consent ledger",
    "PROFILING_DENIED",
    "genuine: signed by",
    "each service says that it holds nothing",
    "PROFILE_ERASED",
    "DENY_FENCED",
    "The broker is stopped",
    "DENY_STALE after",
    "PERMIT again",
    "checks held",
)


@pytest.mark.timeout(300)
def test_the_demo_holds_and_leaves_a_page_and_nothing_running(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = desk.run_apart(
        "demo", "--folder", str(desk.environment.folder), "--out", str(out), "--people", "120", timeout_s=240
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "✗" not in told.stdout
    for shown in TOLD:
        assert shown in told.stdout
    assert not [line for line in told.stdout.splitlines() if "✓" in line and line.endswith("…")]
    story, _, _ = told.stdout.partition("Where to look next")  # which names files, wherever they are
    assert max(map(len, story.splitlines())) <= 80
    assert desk.environment.holder() is None
    assert all(is_free(port) for port in desk.environment.remembered_ports().values())
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for proof in ("package.zip", "certificate.json"):
        verified = desk.run("verify", str(out / proof), "--keys", str(out / "keys.json"))
        assert "genuine: signed by" in verified.stdout
