"""Writes what is deployed: images, compose, Kustomize bases, dashboards and alert rules.

    python tools/manifests.py            writes them
    python tools/manifests.py --check    fails if they are not what the table says

Overlays, operators and the collector's configuration are written by hand and not touched.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from manifest_compose import infrastructure, observability, services
from manifest_images import IGNORED, dockerfile
from manifest_objects import budgets, certificate, certificates, files, network, scaling
from manifest_table import DEPLOY, NAMESPACE, ROOT, WRITTEN, Deployed, deployed, policy
from manifest_telemetry import dashboards, rule_object, rules
from manifest_workloads import database_job, deployment, job
from rapport_chassis.events.provision import PROVISION_USER

GENERATED: Final = (
    "images",
    "compose/*.yaml",
    "kustomize/base",
    "kustomize/components",
    "observability/dashboards",
    "observability/rules.yaml",
)
"""Where every file is written by this tool: one that it does not write is surplus."""


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    fresh = written()
    stale = [path for path, text in fresh.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    surplus = [path for path in _present() if path not in fresh]
    if options.check:
        for path in [*stale, *surplus]:
            print(f"{path.relative_to(ROOT)} is not what the table says: python tools/manifests.py")
        return 1 if stale or surplus else 0
    for path in surplus:
        path.unlink()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh[path], encoding="utf-8")
    return 0


def written() -> dict[Path, str]:
    """Return every generated file with its text."""
    found = deployed()
    made = {
        "compose/infrastructure.yaml": _yaml(infrastructure()),
        "compose/services.yaml": _yaml(services(found)),
        "compose/observability.yaml": _yaml(observability()),
        "observability/rules.yaml": _yaml(rules()),
        "kustomize/base/kustomization.yaml": _yaml(_kustomization("shared", *(service.name for service in found))),
        "kustomize/base/shared/kustomization.yaml": _yaml(
            _kustomization("namespace.yaml", "network.yaml", "certificates.yaml", **_ACCESS)
        ),
        "kustomize/base/shared/certificates.yaml": _yaml(certificate(PROVISION_USER, _PART, [])),
        "kustomize/components/local/kustomization.yaml": _yaml(_local(found)),
        "kustomize/components/databases/kustomization.yaml": _yaml({**_COMPONENT, "resources": ["jobs.yaml"]}),
        "kustomize/components/databases/jobs.yaml": _yaml(
            *(database_job(service, each) for service in found for each in service.local.databases)
        ),
        "kustomize/base/shared/namespace.yaml": _yaml(_NAMESPACE),
        "kustomize/base/shared/network.yaml": _yaml(_DENY_ALL),
        "kustomize/base/shared/policy.yaml": _yaml(policy()),
        "kustomize/base/shared/issuers.json": json.dumps({"issuers": []}, indent=2) + "\n",
        "kustomize/components/autoscaling/kustomization.yaml": _yaml(_component(found)),
        "kustomize/components/alerts/kustomization.yaml": _yaml({**_COMPONENT, "resources": ["rules.yaml"]}),
        "kustomize/components/alerts/rules.yaml": _yaml(rule_object()),
    }
    for service in found:
        made |= _of(service)
    made |= {f"observability/dashboards/{name}.json": _json(each) for name, each in dashboards().items()}
    return {DEPLOY / name: text for name, text in made.items()}


_PART: Final = {"app.kubernetes.io/part-of": "rapport"}
_COMPONENT: Final = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
_TRYING_OUT: Final = {"ENVIRONMENT": "local", "GRPC__REFLECTION": "true"}
_NAMESPACE: Final = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": NAMESPACE,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/part-of": "rapport"},
    },
}
_DENY_ALL: Final = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "nothing-by-default", "labels": {"app.kubernetes.io/part-of": "rapport"}},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
_ACCESS: Final = {
    "configMapGenerator": [{"name": "access", "files": ["policy.yaml", "issuers.json"]}],
    # Services read these files again when they change: no new name, no restart.
    "generatorOptions": {"disableNameSuffixHash": True},
}


def _of(service: Deployed) -> dict[str, str]:
    base = f"kustomize/base/{service.name}"
    literals = [f"{name}={value}" for name, value in service.settings().items()]
    parts = {
        "workloads": [deployment(service, role) for role in service.roles],
        "jobs": [job(service, command) for command in ("migrate", "provision")],
        "network": network(service),
        "budgets": budgets(service),
        "certificates": certificates(service),
        "files": files(service),
    }
    made = {f"{base}/{name}.yaml": _yaml(*objects) for name, objects in parts.items() if objects}
    resources = [f"{name}.yaml" for name, objects in parts.items() if objects]
    settings = {"configMapGenerator": [{"name": f"{service.name}-settings", "literals": literals}]}
    return made | {
        f"{base}/kustomization.yaml": _yaml(_kustomization(*resources, **settings)),
        f"kustomize/components/autoscaling/{service.name}.yaml": _yaml(*scaling(service)),
        f"images/{service.name}.Dockerfile": dockerfile(service),
        f"images/{service.name}.Dockerfile.dockerignore": IGNORED,
    }


def _kustomization(*resources: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": list(resources),
        **more,
    }


def _component(found: list[Deployed]) -> dict[str, Any]:
    """Return the component that lets the autoscalers, not the deployments, say how many processes there are."""
    scaled = [f"{service.name}-api" for service in found]
    scaled += [f"{service.name}-events" for service in found if service.consumers]
    return {
        **_COMPONENT,
        "resources": [f"{service.name}.yaml" for service in found],
        "patches": [
            {
                "target": {"kind": "Deployment", "name": name},
                "patch": _yaml_text([{"op": "remove", "path": "/spec/replicas"}]),
            }
            for name in scaled
        ],
    }


def _local(found: list[Deployed]) -> dict[str, Any]:
    """Return the component that makes an installation one for trying out: one process of each role."""
    settings = [
        {
            "name": f"{service.name}-settings",
            "behavior": "merge",
            "literals": [
                f"{service.local.prefix}{name}={value}"
                for name, value in {
                    "ENVIRONMENT": "local",
                    "GRPC__REFLECTION": "true",
                    **service.trying_out(),
                }.items()
            ],
        }
        for service in found
    ]
    one = _yaml_text([{"op": "replace", "path": "/spec/replicas", "value": 1}])
    return {**_COMPONENT, "configMapGenerator": settings, "patches": [{"target": {"kind": "Deployment"}, "patch": one}]}


def _present() -> list[Path]:
    found: list[Path] = []
    for pattern in GENERATED:
        path = DEPLOY / pattern
        found += sorted(path.rglob("*")) if path.is_dir() else sorted(DEPLOY.glob(pattern))
    return [path for path in found if path.is_file()]


def _yaml(*documents: Any) -> str:
    return f"# {WRITTEN}\n" + "---\n".join(map(_yaml_text, documents))


def _yaml_text(document: Any) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=140)


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice: anchors are for programs."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _json(document: Any) -> str:
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
