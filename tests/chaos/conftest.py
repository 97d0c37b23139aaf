"""How many storms there are."""

from __future__ import annotations

import pytest

_SEEDS = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At full scale there are storms of many seeds, each a test of its own, so that a run can be resumed."""
    if "seed" in metafunc.fixturenames:
        seeds = _SEEDS if metafunc.config.getoption("scale") == "full" else 1
        metafunc.parametrize("seed", range(seeds))
