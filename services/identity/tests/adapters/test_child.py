"""Long computations in processes of their own: they end with their parent, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rapport_chassis.errors import RapportError
from rapport_identity.adapters.child import compute
from rapport_identity.adapters.matchers import hashed
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.records import Record, RecordKey
from rapport_testing.waiting import eventually

CANARY = "zyxwvutonian"
KEY = bytes(32)


def rows(count):
    for number in range(count):
        record = Record(RecordKey("crm", f"{CANARY}-{number}"), "Lea", None, f"{CANARY}{number}", "1981-03-09")
        yield [number, *record.key, list(fold_record(record).values())]


def join_header(count):
    body = hashed(default_matcher(), KEY).decode()
    return {"matcher": body, "key": KEY.hex(), "bonds": [], "numbers": list(range(count)), "total": count}


def children(parent):
    """The processes of a parent that compute."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                ppid = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                told = (folder / "cmdline").read_text()
            except (OSError, ValueError):
                continue
            if "child_work" in told and ppid == parent:
                found.append(int(folder.name))
    return found


@dataclass
class Begun:
    pid: int
    open_files: list[str]
    niceness: int


def alive(pid):
    try:
        return status(pid)[0] != "Z"
    except OSError:
        return False


def status(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def look_at(pid):
    files = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return Begun(pid, files, int(status(pid)[16]))


async def begun(computing):
    """Return a computation that has begun to read."""
    await anext(computing)
    (pid,) = children(os.getpid())
    return look_at(pid)


async def test_a_computation_says_how_far_it_has_come_and_gives_its_result():
    said = [each async for each in compute("join", join_header(1200), rows(1200))]
    assert said[0] == {"phase": "reading", "done": 1000, "total": 1200}
    assert sorted(number for person in said[-1]["result"]["persons"] for number in person) == list(range(1200))
    assert children(os.getpid()) == []


async def test_who_is_no_longer_asked_for_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with aclosing(compute("join", join_header(4000), rows(4000))) as computing:
        child = await begun(computing)
        assert child.niceness == 19
        assert [each for each in child.open_files if each.startswith(("/tmp", "/var", "/home", "/root"))] == []
    assert not alive(child.pid)
    assert list(tmp_path.rglob("*")) == []


async def test_a_computation_that_is_killed_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with aclosing(compute("join", join_header(4000), rows(4000))) as computing:
        os.kill((await begun(computing)).pid, signal.SIGKILL)
        with pytest.raises(RapportError) as failed:
            async for _ in computing:
                pass
    assert failed.value.reason.name == "INTERNAL"
    assert list(tmp_path.rglob("*")) == []


PARENT = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from test_child import join_header, rows
from rapport_identity.adapters.child import compute

async def main():
    async for said in compute("join", join_header(1500), rows(1500)):
        print(said.get("phase"), flush=True)
        if "phase" in said and said["phase"] == "reading":
            await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_computation_whose_parent_is_killed_ends():
    code = PARENT.format(folder=str(Path(__file__).parent))
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"reading\n"
    (pid,) = children(parent.pid)
    parent.kill()
    await parent.wait()

    async def gone():
        return not alive(pid)

    await eventually(gone, timeout_s=20)


SERVICE = """
import asyncio, os, sys
import uvloop
sys.path.insert(0, {folder!r})
from test_child import join_header, rows
from rapport_identity.adapters.child import compute

async def main():
    os.register_at_fork(before=lambda: print("forked"))
    async for said in compute("join", join_header(2), rows(2)):
        print(*said)

uvloop.run(main())
"""


def test_a_service_does_not_fork_to_compute_since_grpc_can_crash_what_was_forked():
    code = SERVICE.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"


async def test_records_that_teach_nothing_are_said_to():
    pytest.importorskip("splink", reason="training needs rapport-identity[train]")
    names = list(fold_record(Record(RecordKey("", ""))))
    header = {"columns": names, "labels": [], "seed": 1, "least": 5, "total": 20}
    with pytest.raises(RapportError) as refused:
        async for _ in compute("train", header, rows(20)):
            pass
    assert refused.value.reason.name == "NOT_TRAINABLE"
