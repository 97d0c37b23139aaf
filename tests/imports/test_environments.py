"""An environment of tox has the members that it names, and all libraries; no other member is importable in it."""

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASKED = (
    "grpc",
    "pytest",
    "rapport.common.v1",
    "rapport_chassis",
    "rapport_consent",
    "rapport_privacy",
    "rapport_local",
)
FOUND = "import importlib.util as u, json, sys; print(json.dumps([bool(u.find_spec(n)) for n in sys.argv[1:]]))"


def test_an_environment_has_its_members_and_no_sibling(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    python = str(tmp_path / "bin/python")
    named = [word for member in ("libs/contracts", "libs/chassis") for word in ("-e", member)]
    subprocess.run([python, "tools/borrow.py", sys.prefix, *named], cwd=ROOT, check=True)

    found = subprocess.run([python, "-c", FOUND, *ASKED], cwd=tmp_path, capture_output=True, text=True, check=True)

    has = dict(zip(ASKED, json.loads(found.stdout), strict=True))
    assert [name for name in ASKED if has[name]] == ["grpc", "pytest", "rapport.common.v1", "rapport_chassis"]


def test_an_environment_has_the_commands_of_its_members(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    members = ["libs/contracts", "libs/chassis", "libs/privacy", "libs/testing[pytest]", "deploy/local"]
    named = [word for member in members for word in ("-e", member)]
    subprocess.run([str(tmp_path / "bin/python"), "tools/borrow.py", sys.prefix, *named], cwd=ROOT, check=True)

    command = tmp_path / "bin/rapport"

    assert command.read_text(encoding="utf-8").startswith(f"#!{tmp_path}/bin/python\n")
    assert command.stat().st_mode & 0o111 == 0o111
