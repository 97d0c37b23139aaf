"""The generator of the manifests, and what is written by it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from manifest_table import Deployed, deployed  # noqa: E402 - the folder of tools is no package

Object = dict[str, Any]


@pytest.fixture(scope="session")
def deploy() -> Path:
    return ROOT / "deploy"


@pytest.fixture(scope="session", params=deployed(), ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Deployed:
    found: Deployed = request.param
    return found


@pytest.fixture(scope="session")
def read(deploy: Path) -> Callable[[str], list[Object]]:
    """Reads all documents of the files that a pattern names."""

    def documents(pattern: str) -> Iterator[Object]:
        paths = sorted(deploy.glob(pattern))
        assert paths, f"nothing is called {pattern}"
        for path in paths:
            yield from yaml.load_all(path.read_bytes(), yaml.CSafeLoader)

    return lambda pattern: [*documents(pattern)]


@pytest.fixture(scope="session")
def base(read: Callable[[str], list[Object]]) -> Callable[[Deployed], list[Object]]:
    """The objects of one service's base."""
    return lambda service: [
        each for each in read(f"kustomize/base/{service.name}/*.yaml") if each["kind"] != "Kustomization"
    ]
