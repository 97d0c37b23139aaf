"""The folder of a backup: whole or none, never mixed with anything, and never read if it was changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import Result
from rapport_local import backups, restores
from rapport_local.backups import Backup, Dump
from rapport_local.failure import Failure
from rapport_local.services import KEY_STORE, SERVICES

CONTENT = b"what was dumped"


def made_in(folder: Path) -> Backup:
    (folder / "churn.dump").write_bytes(CONTENT)
    dump = Dump(
        service="churn",
        database="churn",
        file="churn.dump",
        sha256=sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )
    return backups.finish(folder, datetime.now(UTC), [dump])


def test_every_database_is_dumped_keys_after_what_they_open_and_the_ledger_last() -> None:
    names = [database.name for _, database in backups.in_order()]
    assert sorted(names) == sorted(database.name for service in SERVICES for database in service.databases)
    assert names.index(KEY_STORE) > names.index("identity")
    assert names[-1] == "consent"


def test_what_a_killed_backup_left_is_no_backup_and_is_begun_anew(tmp_path: Path) -> None:
    for name in ("identity.dump", "churn.dump.part"):
        (tmp_path / name).write_bytes(b"half of it")
    with pytest.raises(Failure, match="no whole backup"):
        backups.read(tmp_path)
    backups.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_or_a_whole_backup_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").touch()
    with pytest.raises(Failure, match="other files"):
        backups.prepare(tmp_path)
    (tmp_path / "letters.txt").unlink()
    made = made_in(tmp_path)
    with pytest.raises(Failure, match="a backup already"):
        backups.prepare(tmp_path)
    assert backups.read(tmp_path) == made


@pytest.mark.parametrize("content", [CONTENT + b"!", CONTENT[:-1], b""])
def test_a_dump_that_was_changed_is_not_restored(tmp_path: Path, content: bytes) -> None:
    (dump,) = made_in(tmp_path).dumps
    assert backups.verified(tmp_path, dump).read_bytes() == CONTENT
    (tmp_path / dump.file).write_bytes(content)
    with pytest.raises(Failure, match="not what was written"):
        backups.verified(tmp_path, dump)


def test_a_service_that_is_not_in_the_backup_is_not_restored(tmp_path: Path, rapport: Callable[..., Result]) -> None:
    made_in(tmp_path)
    refused = rapport("restore", str(tmp_path), "--service", "pricing")
    assert refused.exit_code == 1
    assert "holds no backup of pricing" in refused.stderr


def test_services_are_restored_in_the_order_of_their_table_whatever_is_named() -> None:
    assert [service.name for service in restores.chosen(["pricing", "consent"])] == ["consent", "pricing"]
    assert restores.chosen([]) == list(SERVICES)
