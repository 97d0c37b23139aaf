"""The pytest plugin: real servers once per run, databases and streams per test, the scale of heavy tests."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import pytest_asyncio

from rapport_testing.prove import Progress, Scale, record_figures
from rapport_testing.resume import Resume

if TYPE_CHECKING:
    from rapport_testing.capture import LogCapture, TelemetryCapture
    from rapport_testing.clock import TestClock
    from rapport_testing.databases import Database, DatabaseFactory, TemplateBuilder
    from rapport_testing.jetstream import JetStreamSpace
    from rapport_testing.postgres_access import PostgresAccess
    from rapport_testing.shared_servers import OwnedServers, Servers

_FULL_SCALE_TIMEOUT_S = 3600.0
_SMALL_EXAMPLES = 25
"""Cases of a property at small scale, where the test does not say how many."""


class Run:
    """What this process knows of the test run: its id, its number among the workers, and its servers.

    Attributes:
        id: Letters and digits that the processes of this run share, and no other run has.
        worker: The number of this worker; 0 where there are none.
    """

    def __init__(self, config: pytest.Config) -> None:
        told: dict[str, Any] = getattr(config, "workerinput", {})
        self.is_worker = bool(told)
        self.id: str = told.get("rapport_run", secrets.token_hex(4))
        self.worker = int(str(told.get("workerid", "gw0")).removeprefix("gw"))
        self._desk: str | None = told.get("rapport_desk")
        self._owned: OwnedServers | None = None
        self._asked: Servers | None = None

    @property
    def owned(self) -> OwnedServers:
        """The servers this process starts; nothing is started by asking for them."""
        if self._owned is None:
            from rapport_testing.shared_servers import OwnedServers

            self._owned = OwnedServers()
        return self._owned

    @property
    def servers(self) -> Servers:
        """The servers of the run."""
        if self._desk is None:
            return self.owned
        if self._asked is None:
            from rapport_testing.shared_servers import AskedServers

            self._asked = AskedServers(self._desk)
        return self._asked

    def finish(self) -> None:
        """Stop the servers of this process and drop what the run made on others."""
        if self._owned is None:
            return
        from rapport_testing.databases import DatabaseFactory
        from rapport_testing.postgres import CLUSTER_VARIABLE
        from rapport_testing.postgres_access import PostgresAccess
        from rapport_testing.shared_servers import POSTGRES_VARIABLE

        if POSTGRES_VARIABLE in os.environ:
            DatabaseFactory(PostgresAccess.from_url(os.environ[POSTGRES_VARIABLE]), self.id).drop_all()
        if os.environ.get(CLUSTER_VARIABLE) == str(self._owned.cluster()):
            del os.environ[CLUSTER_VARIABLE]
        self._owned.stop()


_RUN = pytest.StashKey[Run]()


class Prove(Protocol):
    """Records figures of a full-scale run."""

    def __call__(self, name: str, /, **figures: Any) -> None:
        """Write the figures to `build/prove/<name>.json`; nothing at small scale."""
        ...


class MakeDatabase(Protocol):
    """Makes databases that are dropped after the test."""

    def __call__(self, template_builder: TemplateBuilder | None = None, *, key: str | None = None) -> Database:
        """Return a copy of what the builder builds once in a run, or an empty database."""
        ...


class MakeProgress(Protocol):
    """Makes the bar of a long test."""

    def __call__(self, total: int, label: str) -> Progress:
        """Return a bar, which shows itself at full scale only."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--scale`."""
    parser.getgroup("rapport").addoption(
        "--scale",
        choices=("small", "full"),
        default="small",
        help="size of heavy tests: small in every check, full to prove the promised figures",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run; nothing is started before a test asks for it."""
    from rapport_testing.postgres import CLUSTER_VARIABLE

    run = config.stash[_RUN] = Run(config)
    if CLUSTER_VARIABLE not in os.environ:
        os.environ[CLUSTER_VARIABLE] = str(run.owned.cluster())
    if config.getoption("scale") == "small":
        from hypothesis import settings

        settings.register_profile("small", settings.default, max_examples=_SMALL_EXAMPLES)
        settings.load_profile("small")
    # Before the timeout plugin reads its options: full scale takes longer than any single check may.
    if config.getoption("scale") == "full" and getattr(config.option, "timeout", None) is None:
        config.option.timeout = _FULL_SCALE_TIMEOUT_S
    if config.getoption("scale") == "full" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Resume(config.rootpath), "rapport-resume")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where to ask for the servers of the run."""
    run = node.config.stash[_RUN]
    node.workerinput["rapport_run"] = run.id
    node.workerinput["rapport_desk"] = run.owned.answer_workers()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers of the run, also after Ctrl-C."""
    from rapport_testing.forks import stop_fork_servers

    stop_fork_servers()
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.finish()


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> Scale:
    """The size of heavy tests: `scale.pick(small=5, full=100)`."""
    return Scale(pytestconfig.getoption("scale"))


@pytest.fixture(scope="session")
def prove(pytestconfig: pytest.Config, scale: Scale) -> Prove:
    """Records what a full-scale run has proven: `prove("consent", kills=100, lost=0)`."""

    def record(name: str, /, **figures: Any) -> None:
        if scale.is_full:
            record_figures(pytestconfig.rootpath / "build" / "prove", name, figures)

    return record


@pytest.fixture
def progress(pytestconfig: pytest.Config, scale: Scale) -> MakeProgress:
    """Bars for long tests: called with the total and what is counted, then advanced by the test."""
    write = _terminal_writer(pytestconfig) if scale.is_full else None
    is_terminal = sys.__stdout__ is not None and sys.__stdout__.isatty()
    return lambda total, label: Progress(total, label, write, is_terminal=is_terminal)


@pytest.fixture
def test_clock() -> TestClock:
    """A clock that the test moves."""
    from rapport_testing.clock import TestClock

    return TestClock()


@pytest.fixture
def telemetry_capture() -> Iterator[TelemetryCapture]:
    """Telemetry whose spans and metrics stay in memory."""
    from rapport_testing.capture import TelemetryCapture

    capture = TelemetryCapture()
    yield capture
    capture.shutdown()


@pytest.fixture
def log_capture() -> Iterator[LogCapture]:
    """What is logged through structlog during the test."""
    from rapport_testing.capture import captured_logs

    with captured_logs() as capture:
        yield capture


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> PostgresAccess:
    """The PostgreSQL of the run, shared by all tests; those that kill one start a `PostgresServer` of their own."""
    from rapport_testing.postgres_access import PostgresAccess

    return PostgresAccess.from_url(pytestconfig.stash[_RUN].servers.postgres_url())


@pytest.fixture(scope="session")
def nats_server(pytestconfig: pytest.Config) -> str:
    """The URL of the run's NATS, with the login of this worker; those that kill one start their own `NatsServer`."""
    run = pytestconfig.stash[_RUN]
    return run.servers.nats_url(run.worker)


@pytest.fixture(scope="session")
def _database_factory(pytestconfig: pytest.Config, postgres_server: PostgresAccess) -> DatabaseFactory:
    from rapport_testing.databases import DatabaseFactory

    return DatabaseFactory(postgres_server, pytestconfig.stash[_RUN].id)


@pytest.fixture
def database(_database_factory: DatabaseFactory) -> Iterator[MakeDatabase]:
    """Makes databases for this test: `database(builder)` copies the template that `builder` fills once per run."""
    made: list[Database] = []

    def make(template_builder: TemplateBuilder | None = None, *, key: str | None = None) -> Database:
        made.append(_database_factory.create(template_builder, key))
        return made[-1]

    yield make
    for each in made:
        _database_factory.drop(each)


@pytest_asyncio.fixture
async def jetstream(pytestconfig: pytest.Config, nats_server: str) -> AsyncIterator[JetStreamSpace]:
    """A part of the run's NATS for this test alone; its streams are deleted afterwards."""
    from rapport_testing.jetstream import JetStreamSpace
    from rapport_testing.shared_servers import NATS_VARIABLE

    space = JetStreamSpace(nats_server, f"T{secrets.token_hex(4).upper()}")
    yield space
    await space.clear(everything=NATS_VARIABLE not in os.environ)


def _terminal_writer(config: pytest.Config) -> Callable[[str], None] | None:
    """Write past pytest's capturing; a worker has no terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capturing = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capturing is None or config.stash[_RUN].is_worker:
        return None

    def write(text: str) -> None:
        with capturing.global_and_fixture_disabled():
            reporter.write(text, flush=True)

    return write
