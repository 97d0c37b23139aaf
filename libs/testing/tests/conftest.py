"""Fixtures of the test kit's own tests: servers that a test may kill."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rapport_testing.nats import NatsServer
from rapport_testing.postgres import PostgresServer
from rapport_testing.process import ServiceProcess


@pytest.fixture(scope="module")
def killable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "data", tcp=True, require_passwords=True)
    yield server
    server.stop("immediate")


@pytest.fixture
def postgres(killable_postgres: PostgresServer) -> PostgresServer:
    """A running server that the test may leave killed or suspended."""
    killable_postgres.resume()
    if not killable_postgres.is_running:
        killable_postgres.start()
    return killable_postgres


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Makes a service out of the text of a Python program; it is killed after the test."""
    made: list[ServiceProcess] = []

    def make(text: str, *, ready_line: str | None = None, start_timeout_s: float = 30.0) -> ServiceProcess:
        path = tmp_path / f"service{len(made)}.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        made.append(
            ServiceProcess(
                [sys.executable, "-u", str(path)],
                {},
                path.with_suffix(".log"),
                ready_line=ready_line,
                start_timeout_s=start_timeout_s,
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.kill()
