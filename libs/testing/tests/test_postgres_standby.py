"""A standby that lagged, in the place of a server that is lost."""

from pathlib import Path

import pytest
from rapport_testing.child import ProcessError
from rapport_testing.postgres import PostgresServer
from rapport_testing.postgres_standby import base_backup, promote, replace_lost

TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


def test_promoted_standby_serves_what_it_had_heard_of_on_a_timeline_of_its_own(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "primary", durable=False) as primary:
        primary.execute("CREATE TABLE heard (of text); INSERT INTO heard VALUES ('early')")
        before = primary.execute(TIMELINE)
        base_backup(primary, tmp_path / "standby")
        primary.execute("INSERT INTO heard VALUES ('late')")
        with pytest.raises(ProcessError, match="still runs"):
            replace_lost(primary, tmp_path / "standby", tmp_path / "lost")
        primary.kill()
        replace_lost(primary, tmp_path / "standby", tmp_path / "lost")
        assert primary.execute("SELECT pg_is_in_recovery()") == [(True,)]
        promote(primary)
        assert primary.execute("INSERT INTO heard VALUES ('after'); SELECT * FROM heard") == [("early",), ("after",)]
        assert primary.execute(TIMELINE) != before
    with PostgresServer(tmp_path / "lost", durable=False) as lost:
        assert lost.execute("SELECT * FROM heard") == [("early",), ("late",)]


def test_backup_into_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with PostgresServer(tmp_path / "primary", durable=False) as primary, pytest.raises(ProcessError, match="not empty"):
        base_backup(primary, tmp_path / "taken")
