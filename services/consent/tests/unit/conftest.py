"""Property tests look at more histories at full scale."""

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples each property is tried on."""
    full = config.getoption("scale", default="small") == "full"
    settings.register_profile("consent", max_examples=3000 if full else 100, deadline=None)
    settings.load_profile("consent")
