"""The import contracts hold because breaking one fails the build: each is broken in a copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = (
    "libs/chassis",
    "libs/privacy",
    "libs/testing",
    "services/churn",
    "services/consent",
    "services/identity",
    "services/notification",
    "services/pricing",
    "deploy/local",
)


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


FORBIDDEN = [
    ("libs/chassis", "rapport_chassis.clock", "rapport_privacy", "Dependencies point one way"),
    ("libs/privacy", "rapport_privacy.gate", "rapport_consent", "Dependencies point one way"),
    ("libs/privacy", "rapport_privacy.gate", "rapport_testing", "What serves does not know what tests"),
    ("services/identity", "rapport_identity.app.ports", "rapport_consent", "Dependencies point one way"),
    ("services/consent", "rapport_consent.domain.rows", "psycopg", "Rules are pure"),
    ("services/consent", "rapport_consent.domain.rows", "rapport.consent.v1.ledger_pb2", "Rules are pure"),
    ("services/consent", "rapport_consent.app.ledger", "psycopg", "Use cases see no technology"),
    ("services/churn", "rapport_churn.domain.features", "lightgbm", "What serves does not know what trains"),
    (
        "services/notification",
        "rapport_notification.domain.holds",
        "rapport_notification.sending",
        "Inside notification",
    ),
    ("services/consent", "rapport_consent.entrypoints.grpc", "rapport_consent.adapters.ledger", "Inside a service"),
]


def test_each_import_that_breaks_a_contract_fails_the_build(copy: Path) -> None:
    for member, module, imported, _ in FORBIDDEN:
        add_import(copy, f"{member}/src/{module.replace('.', '/')}.py", f"import {imported}")
    done = lint(copy)
    assert done.returncode == 1
    reports = done.stdout.partition("Broken contracts")[2]
    begins = sorted(reports.index(contract) for contract in {contract for *_, contract in FORBIDDEN})
    for _, module, imported, contract in FORBIDDEN:
        begin = reports.index(contract)
        report = reports[begin : next((each for each in begins if each > begin), None)]
        assert f"{module} -> {imported.removesuffix('.consent.v1.ledger_pb2')} (l." in report, done.stdout
