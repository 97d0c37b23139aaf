"""What is deployed fits together, and names settings, commands, roles and consumers that exist."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifest_schema import problems
from manifest_table import Deployed, deployed
from rapport_chassis import cli
from rapport_chassis.events.topology import DECLARED
from rapport_chassis.rpc import probe
from rapport_chassis.rpc.health import LIVENESS, ROLES
from rapport_chassis.settings_report import settings_table
from rapport_chassis.yaml_text import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("local", "staging", "production")
Object = dict[str, Any]
Base = Callable[[Deployed], list[Object]]
Read = Callable[[str], list[Object]]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each.get("kind") == kind]


def pods(objects: list[Object]) -> list[Object]:
    return [each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("Deployment", "Job")]


def test_written_files_are_what_the_table_says() -> None:
    done = subprocess.run(
        [sys.executable, "tools/manifests.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_and_reference_of_a_kustomization_exists(deploy: Path) -> None:
    found = sorted((deploy / "kustomize").rglob("kustomization.yaml"))
    for path in found:
        document = parse_yaml(path.read_bytes())
        named = [*document.get("resources", []), *document.get("components", [])]
        named += [file for each in document.get("configMapGenerator", []) for file in each.get("files", [])]
        for name in named:
            reached = (path.parent / name).resolve()
            assert (reached / "kustomization.yaml").exists() if reached.is_dir() else reached.exists(), (path, name)
        listed = {*named, "kustomization.yaml"}
        beside = {each.name for each in path.parent.iterdir() if each.is_file()}
        assert beside <= listed, f"{path.parent} holds what nothing names"
    assert {path.parent.name for path in found} >= {*OVERLAYS, *(service.name for service in deployed())}


def test_objects_have_the_fields_that_the_api_knows(read: Read) -> None:
    for pattern in ("kustomize/base/*/*.yaml", "kustomize/components/*/*.yaml", "kustomize/overlays/*/*.yaml"):
        for each in read(pattern):
            if each.get("kind", "Component") not in ("Kustomization", "Component"):
                assert problems(each) == [], each["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_renders_to_objects_that_the_api_knows(deploy: Path, overlay: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, which renders without a cluster")
    rendered = subprocess.run(
        ["kubectl", "kustomize", str(deploy / "kustomize/overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    objects = [*yaml.load_all(rendered.stdout, yaml.CSafeLoader)]
    assert [problem for each in objects for problem in problems(each)] == []
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert len(names) == len(objects)
    replicas = {each["spec"].get("replicas") for each in of_kind(objects, "Deployment")}
    assert replicas == {"local": {1}, "staging": {1}, "production": {2, None}}[overlay]
    given = {name: value for each in of_kind(objects, "ConfigMap") for name, value in each.get("data", {}).items()}
    environments = {value for name, value in given.items() if name.endswith("_ENVIRONMENT")}
    assert environments == {"local" if overlay == "local" else "production"}


def test_configuration_is_one_that_the_service_takes(
    service: Deployed, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kustomization,) = of_kind(read(f"kustomize/base/{service.name}/kustomization.yaml"), "Kustomization")
    literals = kustomization["configMapGenerator"][0]["literals"]
    given = dict(each.split("=", 1) for each in literals)
    settings_class = import_module(f"{service.module}.bootstrap").DEFINITION.settings_class
    known = {line.split("`")[1] for line in settings_table(settings_class).splitlines() if line.startswith("| `")}
    prefix = service.local.prefix
    assert {*given} - known <= {f"{prefix}SECRETS_FOLDER"}
    secrets = service.secret_files(migrating=True)
    assert {prefix + name.upper() for name in secrets} <= known
    for name in secrets:
        (tmp_path / name).write_text("host=postgres")
    for name in [each for each in known if each in given]:
        monkeypatch.setenv(name, given[name])
    monkeypatch.setenv(f"{prefix}SECRETS_FOLDER", str(tmp_path))
    settings = settings_class()
    assert settings.environment == "production"
    assert settings.database.owner_dsn is not None


def test_containers_run_commands_probes_and_roles_that_exist(service: Deployed, base: Base) -> None:
    definition = import_module(f"{service.module}.bootstrap").DEFINITION
    parser: argparse.ArgumentParser = cli._parser(definition)
    roles = []
    for pod in pods(base(service)):
        (container,) = pod["containers"]
        options = parser.parse_args(container["args"])
        roles += [options.only] if "only" in options else []
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if kind not in container:
                continue
            _, flag, module, name, *_ = container[kind]["exec"]["command"]
            assert (flag, module) == ("-m", probe.__name__)
            assert name == (options.only if kind == "readinessProbe" else LIVENESS)
    assert set(roles) <= set(ROLES)
    assert roles == list(service.roles)


def test_pods_are_closed_and_every_path_of_theirs_is_mounted(service: Deployed, base: Base, read: Read) -> None:
    objects, shared = base(service), read("kustomize/base/shared/*.yaml")
    issued = {each["spec"]["secretName"] for each in of_kind([*objects, *shared], "Certificate")}
    claims = {each["metadata"]["name"] for each in of_kind(objects, "PersistentVolumeClaim")}
    stated = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    paths = [value for value in service.settings().values() if value.startswith("/")]
    assert paths
    for pod in pods(objects):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        volumes = {each["name"]: each for each in pod["volumes"]}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]["memory"]
            assert {each["name"] for each in container["volumeMounts"]} <= {*volumes}
        mounted = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]]
        assert [path for path in paths if not any(path.startswith(each) for each in mounted)] == []
        for volume in volumes.values():
            secret = volume.get("secret", {}).get("secretName", "")
            assert not secret or secret in issued or f"`{secret.replace(service.name, 'SERVICE')}`" in stated
            assert volume.get("configMap", {}).get("name", "access") == "access"
            assert "persistentVolumeClaim" not in volume or volume["persistentVolumeClaim"]["claimName"] in claims


def test_what_selects_selects_something_and_what_scales_scales_consumers_that_are_declared(
    service: Deployed, base: Base, read: Read
) -> None:
    objects = base(service)
    deployments = {each["metadata"]["name"]: each for each in of_kind(objects, "Deployment")}
    templates = [each["spec"]["template"]["metadata"]["labels"] for each in deployments.values()]
    for each in deployments.values():
        assert each["spec"]["selector"]["matchLabels"].items() <= each["spec"]["template"]["metadata"]["labels"].items()
    (network,) = of_kind(objects, "Service")
    budgets = [each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "PodDisruptionBudget")]
    for selector in [network["spec"]["selector"], *budgets]:
        assert sum(selector.items() <= labels.items() for labels in templates) == 1
    assert len(budgets) == len(deployments)
    (policy,) = of_kind(objects, "NetworkPolicy")
    ports = {each["port"] for each in network["spec"]["ports"]}
    assert {each["port"] for each in policy["spec"]["ingress"][0]["ports"]} == ports
    api = deployments[f"{service.name}-api"]["spec"]["template"]["spec"]["containers"][0]
    assert {each["containerPort"] for each in api["ports"]} == ports

    consumers = parse_yaml((DECLARED / "consumers.yaml").read_bytes())["consumers"]
    declared = {(each["name"], f"RAPPORT_{each['stream'].upper()}") for each in consumers}
    for scaler in read(f"kustomize/components/autoscaling/{service.name}.yaml"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
        triggers = scaler["spec"].get("triggers", [])
        assert {(each["metadata"]["consumer"], each["metadata"]["stream"]) for each in triggers} <= declared


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("kubeconform", ["-strict", "-ignore-missing-schemas", "deploy/kustomize/base"]),
        ("promtool", ["check", "rules", "deploy/observability/rules.yaml"]),
        (
            "docker-compose",
            ["-f", "deploy/compose/infrastructure.yaml", "-f", "deploy/compose/services.yaml", "config"],
        ),
    ],
)
def test_programs_that_judge_manifests_find_no_fault(program: str, arguments: list[str]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
