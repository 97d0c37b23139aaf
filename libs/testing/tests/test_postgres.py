from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest
from rapport_testing.child import ProcessError
from rapport_testing.postgres import PostgresServer, Privilege, binary


def test_committed_rows_survive_a_kill(postgres: PostgresServer) -> None:
    postgres.create_database("kept")
    postgres.execute("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)", "kept")
    dsn = postgres.dsn("kept")

    postgres.kill()
    assert not postgres.is_running
    postgres.start()

    assert postgres.dsn("kept") == dsn
    assert postgres.execute("SELECT count(*), sum(n) FROM kept", "kept") == [(1000, 500500)]
    postgres.drop_database("kept")


def test_a_kill_leaves_no_process(postgres: PostgresServer) -> None:
    assert postgres.pid is not None
    family = psutil.Process(postgres.pid).children(recursive=True)
    assert family

    postgres.kill()

    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


def test_commits_reach_the_disk_unless_told_otherwise(postgres: PostgresServer, tmp_path: Path) -> None:
    assert postgres.execute("SHOW fsync") == [("on",)]
    with PostgresServer(tmp_path / "data", durable=False) as quick:
        assert quick.execute("SHOW fsync") == [("off",)]
        assert quick.execute("SHOW listen_addresses") == [("",)]
    assert not quick.is_running


def test_starts_over_a_lock_file_whose_process_id_now_belongs_to_another(postgres: PostgresServer) -> None:
    postgres.kill()
    for lock_file in (postgres.data_folder / "postmaster.pid", *postgres.socket_folder.glob(".s.PGSQL.*.lock")):
        lines = lock_file.read_text().splitlines()
        lock_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    postgres.start()

    assert postgres.execute("SELECT 1") == [(1,)]


def test_a_second_server_on_the_same_folder_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(ProcessError, match="another PostgreSQL server runs"):
        PostgresServer(postgres.data_folder).start()
    assert postgres.execute("SELECT 1") == [(1,)]


def test_suspended_means_stopped_in_mid_step_until_resumed(postgres: PostgresServer) -> None:
    assert postgres.pid is not None
    family = [psutil.Process(postgres.pid), *psutil.Process(postgres.pid).children(recursive=True)]

    postgres.suspend()
    assert {process.status() for process in family} == {psutil.STATUS_STOPPED}
    assert postgres.is_running

    postgres.resume()
    assert postgres.execute("SELECT 1") == [(1,)]


def test_a_role_needs_its_password_on_the_socket_and_on_the_port(postgres: PostgresServer) -> None:
    postgres.access.create_role("clerk", "right")
    with psycopg.connect(postgres.dsn("postgres", "clerk", "right")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("clerk",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn("postgres", "clerk", "wrong"))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, dbname="postgres", user="clerk", password="wrong")
    with psycopg.connect(host="127.0.0.1", port=postgres.port, dbname="postgres", user="clerk", password="right"):
        pass


def test_a_database_is_cloned_for_its_owner(postgres: PostgresServer) -> None:
    postgres.access.create_role("keeper")
    postgres.access.create_role("keeper")
    postgres.create_database("original")
    postgres.execute("CREATE TABLE t AS SELECT 7 AS n", "original")

    postgres.create_database("copy", template="original", owner="keeper")

    assert postgres.execute("SELECT n FROM t", "copy") == [(7,)]
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'copy'"
    assert postgres.execute(owner) == [("keeper",)]
    for name in ("copy", "original"):
        postgres.drop_database(name)


def test_the_wheel_can_dump_and_back_up(postgres: PostgresServer, tmp_path: Path) -> None:
    dump = subprocess.run([str(binary("pg_dump")), postgres.dsn()], capture_output=True, text=True, check=True)
    assert "PostgreSQL database dump complete" in dump.stdout
    backup = tmp_path / "backup"
    command = [str(binary("pg_basebackup")), "-d", postgres.dsn(), "-D", str(backup), "--checkpoint=fast"]
    subprocess.run(command, capture_output=True, check=True)

    restored = PostgresServer(backup)
    with restored:
        assert restored.execute("SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
@pytest.mark.parametrize("privilege", ["namespace", "unprivileged-user"])
def test_root_can_run_it_in_a_folder_closed_to_others(tmp_path: Path, privilege: Privilege) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with PostgresServer(closed / "data", privilege=privilege, durable=False) as server:
        server.execute("CREATE TABLE t AS SELECT 1 AS n")
        server.kill()
        server.start()
        assert server.execute("SELECT n FROM t") == [(1,)]
    # What one way has made, the other takes over.
    with PostgresServer(closed / "data", durable=False) as server:
        assert server.execute("SELECT n FROM t") == [(1,)]


def test_sockets_of_a_killed_server_go_when_it_is_stopped_or_its_data_is_gone(tmp_path: Path) -> None:
    killed = PostgresServer(tmp_path / "killed", durable=False)
    killed.start()
    killed.kill()
    assert list(killed.socket_folder.iterdir())
    killed.stop()
    assert not killed.socket_folder.exists()

    killed.start()
    killed.kill()
    shutil.rmtree(killed.data_folder)
    with PostgresServer(tmp_path / "next", durable=False) as following:
        assert not killed.socket_folder.exists()
        assert following.socket_folder.exists()
    assert not following.socket_folder.exists()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data", durable=False)
    server.socket_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(ProcessError, match="belongs to somebody else"):
            server.start()
    finally:
        server.socket_folder.unlink()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data", durable=False, settings={"shared_buffers": "nonsense"})
    with pytest.raises(ProcessError, match='invalid value for parameter "shared_buffers"'):
        server.start()
    assert not server.is_running
