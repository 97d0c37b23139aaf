"""The folders of sockets, beside other servers that come and go."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from rapport_testing.postgres_sockets import remove_abandoned_folders
from rapport_testing.prove import Scale


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def made(folder: Path, name: str, data_folder: Path) -> Path:
    """A socket folder with the lock file of a server."""
    sockets = folder / f"rapport-socket-{name}"
    sockets.mkdir()
    (sockets / ".s.PGSQL.5432.lock").write_text(f"123\n{data_folder}\n")
    return sockets


def test_folders_without_data_are_removed_and_others_stay(folder: Path) -> None:
    (folder / "data").mkdir()
    kept, left = made(folder, "kept", folder / "data"), made(folder, "left", folder / "gone")
    remove_abandoned_folders()
    assert kept.exists()
    assert not left.exists()


def test_folders_that_others_remove_at_the_same_time_do_no_harm(folder: Path, scale: Scale) -> None:
    def come_and_go() -> None:
        for number in range(scale.pick(small=500, full=5_000)):
            sockets = folder / f"rapport-socket-{number % 5}"
            sockets.mkdir()
            sockets.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    while other.is_alive():
        remove_abandoned_folders()
    other.join()
