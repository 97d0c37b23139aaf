"""The import contracts hold because breaking one fails the build: each is broken in a copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("libs/chassis", "libs/privacy", "libs/testing", "services/consent", "services/identity", "deploy/local")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for member in MEMBERS:
        shutil.copytree(ROOT / member / "src", tmp_path / member / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(copy / member / "src") for member in MEMBERS)
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def add_import(copy: Path, module: str, statement: str) -> None:
    path = copy / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{statement}\n", encoding="utf-8")


def test_the_contracts_hold_in_an_unchanged_copy(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("libs/chassis/src/rapport_chassis/clock.py", "import rapport_privacy", "Dependencies point one way"),
        ("libs/privacy/src/rapport_privacy/gate.py", "import rapport_consent", "Dependencies point one way"),
        ("libs/privacy/src/rapport_privacy/gate.py", "import rapport_testing", "What serves does not know"),
        ("services/identity/src/rapport_identity/app/ports.py", "import rapport_consent", "Dependencies point one way"),
        ("services/consent/src/rapport_consent/domain/rows.py", "import psycopg", "Rules are pure"),
        ("services/consent/src/rapport_consent/domain/rows.py", "import rapport.consent.v1.ledger_pb2", "Rules are"),
        ("services/consent/src/rapport_consent/app/ledger.py", "import psycopg", "Use cases see no technology"),
        (
            "services/consent/src/rapport_consent/entrypoints/grpc.py",
            "import rapport_consent.adapters.ledger",
            "Inside a service",
        ),
    ],
)
def test_breaking_a_contract_fails_the_build(copy: Path, module: str, statement: str, contract: str) -> None:
    add_import(copy, module, statement)
    done = lint(copy)
    assert done.returncode == 1
    broken = done.stdout.partition("Broken contracts")[2]
    assert contract in broken, done.stdout
