"""Images and compose: what they name exists, and what they install is what a clean environment can install."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from manifest_table import Deployed, deployed
from prepare import prepare
from rapport_chassis.settings_report import settings_table
from rapport_testing.nats import binary
from rapport_testing.prove import Scale

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("infrastructure", "services", "observability")


def instructions(service: Deployed) -> list[list[str]]:
    text = (ROOT / f"deploy/images/{service.name}.Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", "", text).splitlines()
    return [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]


def test_image_is_built_of_folders_that_exist_and_runs_a_module_as_nobody(service: Deployed) -> None:
    steps = instructions(service)
    stages = [at for at, (name, _) in enumerate(steps) if name == "FROM"]
    assert len(stages) == 2
    first, last = steps[: stages[1]], steps[stages[1] :]
    ignored = (ROOT / f"deploy/images/{service.name}.Dockerfile.dockerignore").read_text(encoding="utf-8")
    for name, rest in first:
        if name == "COPY":
            source = rest.split()[0]
            assert (ROOT / source).exists(), source
            assert any(source.startswith(line[1:]) for line in ignored.splitlines() if line.startswith("!")), source
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert {rest.split()[0] for name, rest in steps if name == "FROM"} == {f"python:{minor}-slim-bookworm"}
    final = dict(last)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", final["USER"])
    *_, flag, module = json.loads(final["ENTRYPOINT"])
    assert flag == "-m"
    assert importlib.util.find_spec(module) is not None
    assert json.loads(final["CMD"]) == ["serve"]
    assert not [rest for name, rest in last if name == "RUN" and "uv" in rest.split()]


def test_image_installs_members_and_extras_that_are_declared(service: Deployed) -> None:
    (install,) = [rest for name, rest in instructions(service) if name == "RUN" and " pip install " in rest]
    members = install.split("/opt/rapport ")[1].replace('"', "").split()
    names = []
    for member in members:
        folder, _, extra = member.partition("[")
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert not extra or extra.removesuffix("]") in project["optional-dependencies"]
        names.append(project["name"])
    own = tomllib.loads((ROOT / f"services/{service.name}/pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {each for each in own["dependencies"] if each.startswith("rapport-")} | {own["name"]}
    assert needed <= {*names}


def test_install_step_of_an_image_works_in_a_clean_environment(tmp_path: Path, scale: Scale) -> None:
    """At small scale one image's; at full scale each one's."""
    uv = ROOT / ".venv/bin/uv"
    if not uv.exists():
        pytest.skip("needs the uv that the Makefile installs")
    for service in deployed()[: scale.pick(small=1, full=len(deployed()))]:
        python = tmp_path / service.name
        (install,) = [rest for name, rest in instructions(service) if name == "RUN" and " pip install " in rest]
        line = install.replace("/opt/uv/bin/uv", str(uv)).replace("/opt/rapport", str(python))
        lock = {f"UV_{kind}CONSTRAINT": str(ROOT / "requirements.lock") for kind in ("", "BUILD_")}
        for command in (f"{uv} venv --quiet {python}", line.replace("install", "install --quiet", 1)):
            clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
            done = subprocess.run(
                ["sh", "-c", command], cwd=ROOT, env={**clean, **lock}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        shown = subprocess.run(
            [str(python / "bin/python"), "-m", service.module, "--help"], capture_output=True, text=True, check=False
        )
        assert "check-config" in shown.stdout, shown.stderr
        shutil.rmtree(python)


def test_compose_names_settings_steps_and_files_that_exist(read: Callable[[str], list[Any]], tmp_path: Path) -> None:
    prepare(tmp_path, postgres="postgres")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prepare(tmp_path, postgres="postgres")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}, "made anew"
    (infrastructure,), (services,), (seen,) = (read(f"compose/{name}.yaml") for name in LAYERS)
    steps = {**infrastructure["services"], **services["services"], **seen["services"]}
    volumes = {*infrastructure["volumes"], *services["volumes"]}
    for step in steps.values():
        assert {*step.get("depends_on", {})} <= {*steps}
        for mounted in step.get("volumes", []):
            source = mounted.split(":")[0]
            if source.startswith("./state/"):
                assert (tmp_path / source.removeprefix("./state/")).exists(), source
            elif source.startswith("."):
                assert (ROOT / "deploy/compose" / source).exists(), source
            else:
                assert source in volumes
    for service in deployed():
        settings = import_module(f"{service.module}.bootstrap").DEFINITION.settings_class
        known = {line.split("`")[1] for line in settings_table(settings).splitlines() if line.startswith("| `")}
        given = {*steps[service.name]["environment"]} - {"OTEL_EXPORTER_OTLP_ENDPOINT"}
        assert given - known == {f"{service.local.prefix}SECRETS_FOLDER"}


def test_prepared_configuration_is_one_that_nats_takes(tmp_path: Path) -> None:
    prepare(tmp_path, postgres="postgres")
    path = tmp_path / "nats/nats.conf"
    text = path.read_text(encoding="utf-8").replace("/etc/rapport/tls", str(tmp_path / "certificates/nats"))
    path.write_text(text.replace("/data", str(tmp_path / "data")), encoding="utf-8")
    done = subprocess.run([str(binary()), "-c", str(path), "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
