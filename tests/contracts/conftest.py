"""The contracts as their stubs hold them, and copies of them that a test may spoil."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rapport
from google.protobuf.descriptor import Descriptor, FileDescriptor
from rapport.common.v1 import event_pb2

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Checkout:
    """A checkout with the contracts in it."""

    root: Path

    def tool(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one command of tools/proto.py on it."""
        line = [sys.executable, str(ROOT / "tools" / "proto.py"), command, "--root", str(self.root)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=100)

    def edit(self, contract: str, old: str, new: str) -> None:
        """Replace text, which must be there, in one contract."""
        path = self.root / "proto" / contract
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def _files() -> Iterator[FileDescriptor]:
    for module in pkgutil.walk_packages(rapport.__path__, "rapport."):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(module.name).DESCRIPTOR


def _nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for inner in message.nested_types:
        yield from _nested(inner)


FILES = sorted(_files(), key=lambda file: file.name)
MESSAGES = [inner for file in FILES for message in file.message_types_by_name.values() for inner in _nested(message)]


@pytest.fixture(scope="session")
def files() -> list[FileDescriptor]:
    """Every file of the contracts."""
    return FILES


@pytest.fixture(scope="session")
def messages() -> list[Descriptor]:
    """Every message of the contracts."""
    return MESSAGES


@pytest.fixture(scope="session")
def events(messages: list[Descriptor]) -> dict[Descriptor, event_pb2.EventType]:
    """Every event message with what its option says."""
    stated = [message for message in messages if message.GetOptions().HasExtension(event_pb2.event)]
    return {message: message.GetOptions().Extensions[event_pb2.event] for message in stated}


@pytest.fixture
def checkout() -> Checkout:
    """The real checkout; read only."""
    return Checkout(ROOT)


@pytest.fixture
def copied(tmp_path: Path) -> Checkout:
    """A copy of the contracts that the test may change."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "libs" / "contracts", tmp_path / "libs" / "contracts", ignore=ignored)
    return Checkout(tmp_path)
