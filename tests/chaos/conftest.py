"""One environment for all of chaos, in which nobody but these tests does anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from suite import Suite
from suite_authoring import SETTINGS
from suite_shop import SHOP, SHOP_MAY

_SEEDS = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At full scale there are storms of many seeds, each a test of its own, so that a run can be resumed."""
    if "seed" in metafunc.fixturenames:
        seeds = _SEEDS if metafunc.config.getoption("scale") == "full" else 1
        metafunc.parametrize("seed", range(seeds))


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A running suite that nobody else uses."""
    folder: Path = tmp_path_factory.mktemp("chaos") / "suite"
    made = Suite(folder, clients={SHOP: SHOP_MAY}, settings=SETTINGS)
    try:
        made.start()
        yield made
    finally:
        made.close()
