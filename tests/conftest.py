"""One environment of all five services for every test that needs them: it takes long to start."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rapport_testing.prove import Scale
    from suite import Suite
    from suite_calm import Calm


_WITH_A_START_S = 300
_RUNNING = pytest.StashKey["Suite"]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give time to whichever test comes first: it waits for the start, and for the undisturbed run."""
    for item in items:
        if "_suite" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_WITH_A_START_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let what services complained of stand beside a failure: their logs go with the environment."""
    report = yield
    suite = item.config.stash.get(_RUNNING, None)
    if report.failed and suite is not None:
        report.sections.append(("the services' last complaints", suite.complaints()))
    return report


@pytest.fixture(scope="session")
def _suite(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Suite]:
    from suite import Suite
    from suite_authoring import SETTINGS
    from suite_shop import SHOP, SHOP_MAY

    made = Suite(tmp_path_factory.mktemp("environment") / "rapport", clients={SHOP: SHOP_MAY}, settings=SETTINGS)
    try:
        pytestconfig.stash[_RUNNING] = made
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def suite(_suite: Suite) -> Iterator[Suite]:
    """The running suite. Who takes a part of it down puts it back; after a failure that is done here."""
    yield _suite
    _suite.mend()


@pytest.fixture(scope="session")
def _calm(_suite: Suite, scale: Scale) -> Calm:
    from suite_calm import undisturbed

    base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return asyncio.run(undisturbed(_suite, scale.pick(small=9, full=40), base))


@pytest.fixture
def calm(suite: Suite, _calm: Calm) -> Calm:
    """What the main job led to, undisturbed, in the running suite: people whom other tests go on with."""
    return _calm
