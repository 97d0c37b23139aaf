"""Deployments and jobs of a service."""

from __future__ import annotations

from typing import Any, Final

from manifest_table import (
    ACCESS,
    COLLECTOR_URL,
    FILES,
    GRPC_PORT,
    HTTP_PORT,
    KEYS,
    PROVISION_TLS,
    PYTHON,
    SECRETS,
    TLS,
    UID,
    Deployed,
)
from rapport_local.services import LocalDatabase

Manifest = dict[str, Any]

_STOP_S: Final = 10 + 20 + 10 + 5
"""The drain, the grace of calls in flight, what the chassis asks for beside them, and some to spare."""


def labels(service: Deployed, component: str = "") -> dict[str, str]:
    """Return the labels of a service's objects."""
    found = {"app.kubernetes.io/name": service.name, "app.kubernetes.io/part-of": "rapport"}
    return found | ({"app.kubernetes.io/component": component} if component else {})


def deployment(service: Deployed, role: str) -> Manifest:
    """Return the deployment of one role."""
    container = {
        "name": service.name,
        "image": service.image,
        "args": ["serve", "--only", role],
        "envFrom": [{"configMapRef": {"name": f"{service.name}-settings"}}],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": f"k8s.pod.name=$(POD_NAME),rapport.role={role}"},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": COLLECTOR_URL},
        ],
        "ports": [{"name": "grpc", "containerPort": GRPC_PORT}, *_http(service, role)],
        "startupProbe": _probe(service, "liveness", period_s=5, failures=service.size.starting_s // 5),
        "livenessProbe": _probe(service, "liveness", period_s=30, failures=4),
        "readinessProbe": _probe(service, role, period_s=10, failures=2),
        "resources": _resources(service),
        "securityContext": _CONTAINER,
        "volumeMounts": _mounts(service),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{service.name}-{role}", "labels": labels(service, role)},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels(service, role)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels(service, role)},
                "spec": {
                    **_pod(service),
                    "terminationGracePeriodSeconds": _STOP_S,
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": key,
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": labels(service, role)},
                        }
                        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                    ],
                    **_folders(service),
                    "containers": [container],
                    "volumes": _volumes(service, f"{service.name}-database"),
                },
            },
        },
    }


def job(service: Deployed, command: str) -> Manifest:
    """Return the job that migrates the databases, or the one that provisions streams and consumers."""
    prefix = service.local.prefix
    secret = f"{service.name}-database-owner" if command == "migrate" else f"{service.name}-database"
    mounts, volumes, own = _mounts(service), _volumes(service, secret), []
    if command == "provision":
        mounts.append({"name": "provision", "mountPath": PROVISION_TLS, "readOnly": True})
        volumes.append(_secret("provision", "provision-tls"))
        own = [
            {"name": f"{prefix}NATS__TLS__{part}", "value": f"{PROVISION_TLS}/{file}"}
            for part, file in (("CERTIFICATE", "tls.crt"), ("KEY", "tls.key"), ("AUTHORITIES", "ca.crt"))
        ]
    container = {
        "args": [command],
        "envFrom": [{"configMapRef": {"name": f"{service.name}-settings"}}],
        "env": own,
        "volumeMounts": mounts,
    }
    return _job(service, f"{service.name}-{command}", command, container, volumes)


def database_job(service: Deployed, database: LocalDatabase) -> Manifest:
    """Return the job that makes a database and its roles on a server that exists."""
    name = database.name.replace("_", "-")
    container = {
        "command": [PYTHON, "-m", "rapport_chassis.database", database.name],
        "args": ["--admin-dsn-file", "/run/admin/dsn", "--passwords", "/run/passwords"],
        "volumeMounts": [
            {"name": "admin", "mountPath": "/run/admin", "readOnly": True},
            {"name": "passwords", "mountPath": "/run/passwords", "readOnly": True},
        ],
    }
    volumes = [_secret("admin", "postgres-admin"), _secret("passwords", f"{name}-passwords")]
    return _job(service, f"{name}-database", "database", container, volumes)


def _job(service: Deployed, name: str, step: str, container: Manifest, volumes: list[Manifest]) -> Manifest:
    container = {
        "name": step,
        "image": service.image,
        **container,
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": _CONTAINER,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": labels(service, step),
            # A job cannot be changed: a deployment tool that knows hooks makes it anew, others delete it first.
            "annotations": {
                "argocd.argoproj.io/hook": "PreSync",
                "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
            },
        },
        "spec": {
            "backoffLimit": 6,
            "ttlSecondsAfterFinished": 600,
            "template": {
                "metadata": {"labels": labels(service, step)},
                "spec": {**_pod(service), "restartPolicy": "OnFailure", "containers": [container], "volumes": volumes},
            },
        },
    }


_CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _pod(service: Deployed) -> Manifest:
    return {
        "serviceAccountName": service.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _folders(service: Deployed) -> Manifest:
    """Make the folders that a service expects to be there, on the volume that its processes share."""
    if not service.folders():
        return {}
    script = "import os, sys; [os.makedirs(path, 0o700, exist_ok=True) for path in sys.argv[1:]]"
    container = {
        "name": "folders",
        "image": service.image,
        "command": [PYTHON, "-c", script, *service.folders()],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": _CONTAINER,
        "volumeMounts": [{"name": "files", "mountPath": FILES}],
    }
    return {"initContainers": [container]}


def _probe(service: Deployed, name: str, *, period_s: int, failures: int) -> Manifest:
    # Kubelets speak gRPC without TLS only; the process asks itself, with the certificate it serves with.
    command = [PYTHON, "-m", "rapport_chassis.rpc.probe", name, "--server-name", service.name]
    return {
        "exec": {"command": command},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _http(service: Deployed, role: str) -> list[Manifest]:
    return [{"name": "https", "containerPort": HTTP_PORT}] if service.local.http and role == "api" else []


def _resources(service: Deployed) -> Manifest:
    memory = service.size.memory
    return {"requests": {"cpu": service.size.cpu, "memory": memory}, "limits": {"memory": memory}}


def _mounts(service: Deployed) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "tls", "mountPath": TLS, "readOnly": True},
        {"name": "access", "mountPath": ACCESS, "readOnly": True},
        {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    for holder, folder in service.certificate_folders().items():
        if holder != service.name:
            found.append({"name": holder, "mountPath": folder, "readOnly": True})
    if service.key_files():
        found.append({"name": "keys", "mountPath": KEYS, "readOnly": True})
    if service.folders():
        found.append({"name": "files", "mountPath": FILES})
    return found


def _volumes(service: Deployed, database_secret: str) -> list[Manifest]:
    found = [
        _secret("tls", f"{service.name}-tls"),
        {"name": "access", "configMap": {"name": "access"}},
        _secret("secrets", database_secret),
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    found += [_secret(holder, f"{holder}-tls") for holder in service.certificate_folders() if holder != service.name]
    if service.key_files():
        found.append(_secret("keys", f"{service.name}-keys"))
    if service.folders():
        found.append({"name": "files", "persistentVolumeClaim": {"claimName": f"{service.name}-files"}})
    return found


def _secret(name: str, of: str) -> Manifest:
    return {"name": name, "secret": {"secretName": of, "defaultMode": 0o440}}
