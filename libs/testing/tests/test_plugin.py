from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from rapport_testing.databases import Database, DatabaseFactory
from rapport_testing.jetstream import JetStreamSpace
from rapport_testing.plugin import MakeDatabase
from rapport_testing.postgres_access import PostgresAccess
from rapport_testing.waiting import eventually_sync

NATS = pytest.importorskip("nats")

INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

SUITE = """
    import json, os, pathlib
    import pytest

    NOTES = pathlib.Path(__file__).parent / "notes"

    def build(database):
        with (NOTES / "built").open("a") as file:
            file.write("built\\n")
        database.execute("CREATE TABLE t AS SELECT 1 AS n")

    @pytest.mark.parametrize("number", range(6))
    async def test_one(number, database, jetstream, postgres_server):
        import nats
        mine = database(build)
        assert mine.execute("SELECT n FROM t") == [(1,)]
        mine.execute("DROP TABLE t")
        client = await nats.connect(jetstream.url)
        await client.jetstream().add_stream(name=f"{jetstream.prefix}_S", subjects=["same.for.all"])
        await client.close()
        note = {"worker": os.environ.get("PYTEST_XDIST_WORKER"), "host": postgres_server.host}
        note["run"] = mine.name.rsplit("_", 2)[0]
        (NOTES / f"{number}.json").write_text(json.dumps(note))
"""


def suite(folder: Path, text: str) -> Path:
    (folder / "notes").mkdir()
    (folder / "pytest.ini").write_text(INI)
    (folder / "test_suite.py").write_text(textwrap.dedent(text))
    return folder / "notes"


PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")


def command(folder: Path, *options: str) -> list[str]:
    return [*PYTEST, f"--rootdir={folder}", *options, str(folder)]


def environment(folder: Path) -> dict[str, str]:
    """Temporary files of the inner run go to a folder of its own, so that what it leaves there can be seen."""
    (folder / "t").mkdir()
    return {**os.environ, "TMPDIR": str(folder / "t"), "PYTEST_ADDOPTS": "", "PYTEST_DEBUG_TEMPROOT": str(folder)}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Unix sockets need short paths, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        yield Path(folder)


def servers_in(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in argument for argument in process.cmdline()[1:]) and process.pid != os.getpid():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_workers_share_one_server_and_one_template_and_leave_nothing(short_folder: Path) -> None:
    notes = suite(short_folder, SUITE)
    done = subprocess.run(
        command(short_folder, "-n", "2"), env=environment(short_folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads((notes / f"{number}.json").read_text()) for number in range(6)]
    assert {each["worker"] for each in told} == {"gw0", "gw1"}
    assert len({each["host"] for each in told}) == 1
    assert (notes / "built").read_text() == "built\n"
    assert servers_in(short_folder) == []
    assert list((short_folder / "t").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_server(short_folder: Path, number: signal.Signals) -> None:
    notes = suite(
        short_folder,
        """
        import pathlib, threading
        def test_waits(postgres_server, nats_server):
            (pathlib.Path(__file__).parent / "notes" / "up").touch()
            threading.Event().wait(60)
        """,
    )
    with subprocess.Popen(
        command(short_folder), env=environment(short_folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        eventually_sync((notes / "up").exists, timeout_s=60)
        assert len(servers_in(short_folder)) >= 3
        run.send_signal(number)
    eventually_sync(lambda: servers_in(short_folder) == [])
    if number == signal.SIGINT:
        assert list((short_folder / "t").iterdir()) == []


def test_figures_are_written_at_full_scale_only(short_folder: Path) -> None:
    suite(short_folder, 'def test_proves(prove, scale):\n    prove("kills", kills=scale.pick(small=5, full=100))\n')
    variables = environment(short_folder)
    subprocess.run(command(short_folder), env=variables, capture_output=True, check=True)
    assert not (short_folder / "build").exists()
    subprocess.run(command(short_folder, "--scale=full"), env=variables, capture_output=True, check=True)
    assert json.loads((short_folder / "build" / "prove" / "kills.json").read_text()) == {"kills": 100}


def test_servers_given_by_url_are_used_and_cleaned_but_not_stopped(
    short_folder: Path, postgres_server: PostgresAccess, nats_server: str
) -> None:
    suite(short_folder, SUITE)
    given = {"RAPPORT_TEST_POSTGRES_URL": postgres_server.dsn(), "RAPPORT_TEST_NATS_URL": nats_server}

    done = subprocess.run(
        command(short_folder), env={**environment(short_folder), **given}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((short_folder / "notes" / "0.json").read_text())
    assert told["host"] == postgres_server.host
    assert [name for name in databases(postgres_server) if name.startswith(told["run"])] == []


def databases(access: PostgresAccess) -> set[str]:
    return {name for (name,) in access.execute("SELECT datname FROM pg_database")}


def test_each_test_gets_a_copy_of_what_was_built(database: MakeDatabase) -> None:
    def build(template: Database) -> None:
        template.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")

    first, second = database(build), database(build)
    first.execute("DELETE FROM t")
    assert second.execute("SELECT n FROM t") == [(1,)]
    assert database().execute("SELECT to_regclass('t')") == [(None,)]


def test_a_failed_build_is_not_copied_and_is_tried_again(postgres_server: PostgresAccess) -> None:
    factory = DatabaseFactory(postgres_server, "retry")
    attempts: list[str] = []

    def build(template: Database) -> None:
        attempts.append(template.name)
        template.execute("CREATE TABLE t (n int)")
        if len(attempts) == 1:
            raise RuntimeError("migration failed")

    with pytest.raises(RuntimeError, match="migration failed"):
        factory.create(build)
    assert factory.create(build).execute("SELECT count(*) FROM t") == [(0,)]
    factory.drop_all()
    assert not any("retry" in name for name in databases(postgres_server))


def test_a_builder_may_leave_a_connection_open(database: MakeDatabase) -> None:
    kept: list[psycopg.Connection] = []

    def build(template: Database) -> None:
        kept.append(psycopg.connect(template.dsn()))

    assert database(build).execute("SELECT 1") == [(1,)]
    kept[0].close()


async def test_streams_of_earlier_tests_are_gone(jetstream: JetStreamSpace) -> None:
    client = await NATS.connect(jetstream.url)
    assert await client.jetstream().streams_info() == []
    await client.jetstream().add_stream(name=jetstream.prefix, subjects=["the.same"])
    await client.close()


async def test_streams_of_this_test_are_deleted_by_prefix_or_all(nats_server: str) -> None:
    client = await NATS.connect(nats_server)
    for name in ("MINE_A", "OTHERS"):
        await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
    await JetStreamSpace(nats_server, "MINE").clear(everything=False)
    assert [info.config.name for info in await client.jetstream().streams_info()] == ["OTHERS"]
    await JetStreamSpace(nats_server, "MINE").clear(everything=True)
    assert await client.jetstream().streams_info() == []
    await client.close()


def test_full_scale_runs_what_has_a_full_size_and_resumes_where_it_was_left(short_folder: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PYTEST, "--scale=full", "test_it.py"], cwd=short_folder, capture_output=True, text=True, check=False
        )

    (short_folder / "pytest.ini").write_text("[pytest]\n")
    (short_folder / ".gitignore").write_text("build/\n__pycache__/\n")
    (short_folder / "test_it.py").write_text(
        "def test_small(): pass\ndef test_heavy(scale): assert scale.is_full\ndef test_other(scale): pass\n"
    )
    for command in ("init -q", "add -A", "-c user.name=t -c user.email=t@t.example commit -qm state"):
        subprocess.run(["git", *command.split()], cwd=short_folder, check=True)
    first = run()
    assert "2 passed, 1 deselected" in first.stdout, first.stdout + first.stderr
    again = run()
    assert again.returncode == 0
    assert "3 deselected" in again.stdout
    (short_folder / "test_it.py").write_text("def test_heavy(scale): pass\n")
    assert "1 passed" in run().stdout
