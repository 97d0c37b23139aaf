from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil
import pytest
from rapport_testing.shared_servers import OwnedServers

MEMORY = Path("/dev/shm")
PLENTY = 4 << 30
has_room = (
    os.access(MEMORY, os.W_OK)
    and shutil.disk_usage(MEMORY).free > PLENTY
    and psutil.virtual_memory().available > 2 * PLENTY
)


@pytest.mark.skipif(not has_room, reason="needs room in memory")
def test_files_of_a_run_are_in_memory_and_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    servers = OwnedServers({})
    folder = Path(servers.answer_workers()).parent
    assert folder.parent == MEMORY
    servers.stop()
    assert not folder.exists()


def test_files_of_a_run_go_where_temporary_files_are_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="rt-") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", None)
        servers = OwnedServers({})
        folder = Path(servers.answer_workers()).parent
        assert folder.parent == Path(short)
        servers.stop()


@pytest.mark.skipif(not has_room, reason="needs room in memory")
def test_what_a_killed_run_left_in_memory_is_removed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    ended = psutil.Popen(["/bin/true"])
    ended.wait()
    left = Path(tempfile.mkdtemp(prefix=f"rapport-run-{ended.pid}-", dir=MEMORY))
    servers = OwnedServers({})
    servers.answer_workers()
    assert not left.exists()
    servers.stop()
