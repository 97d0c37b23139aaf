"""The part of the Kubernetes API that the manifests use: which fields there are, and of what type.

No schema of the whole API is light enough to keep; a field that is not listed here is a fault, so that a misspelt one,
which a server would drop in silence, is found without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_TEXTS: Final = {"*": str}
_METADATA: Final = {"name": str, "namespace": str, "labels": _TEXTS, "annotations": _TEXTS}
_SELECTOR: Final = {"matchLabels": _TEXTS}
_KEY: Final = {"name": str, "key": str}
_ENV: Final = [{"name": str, "value": str, "valueFrom": {"fieldRef": {"fieldPath": str}, "secretKeyRef": _KEY}}]
_PROBE: Final = {
    "exec": {"command": [str]},
    "periodSeconds": int,
    "timeoutSeconds": int,
    "failureThreshold": int,
    "initialDelaySeconds": int,
}
_CONTAINER: Final = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "env": _ENV,
    "envFrom": [{"configMapRef": {"name": str}, "secretRef": {"name": str}}],
    "ports": [{"name": str, "containerPort": int, "protocol": str}],
    "startupProbe": _PROBE,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "resources": {"requests": _TEXTS, "limits": _TEXTS},
    "securityContext": {
        "allowPrivilegeEscalation": bool,
        "readOnlyRootFilesystem": bool,
        "capabilities": {"drop": [str]},
    },
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool, "subPath": str}],
}
_VOLUME: Final = {
    "name": str,
    "secret": {"secretName": str, "defaultMode": int, "optional": bool},
    "configMap": {"name": str, "defaultMode": int},
    "emptyDir": {"sizeLimit": str, "medium": str},
    "persistentVolumeClaim": {"claimName": str},
}
_POD: Final = {
    "serviceAccountName": str,
    "automountServiceAccountToken": bool,
    "enableServiceLinks": bool,
    "terminationGracePeriodSeconds": int,
    "restartPolicy": str,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "runAsGroup": int,
        "fsGroup": int,
        "fsGroupChangePolicy": str,
        "seccompProfile": {"type": str},
    },
    "topologySpreadConstraints": [
        {"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": str, "labelSelector": _SELECTOR}
    ],
    "initContainers": [_CONTAINER],
    "containers": [_CONTAINER],
    "volumes": [_VOLUME],
}
_TEMPLATE: Final = {"metadata": {"labels": _TEXTS, "annotations": _TEXTS}, "spec": _POD}
_PEER: Final = [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}]
_POLICY_PORTS: Final = [{"port": int, "protocol": str}]
_ISSUER: Final = {"name": str, "kind": str, "group": str}
_KEY_FORM: Final = {"algorithm": str, "size": int, "rotationPolicy": str}

_KINDS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("v1", "Namespace"): {},
    ("v1", "ConfigMap"): {"data": _TEXTS},
    ("v1", "ServiceAccount"): {"automountServiceAccountToken": bool},
    ("v1", "Service"): {
        "spec": {
            "clusterIP": str,
            "selector": _TEXTS,
            "ports": [{"name": str, "port": int, "targetPort": str, "protocol": str, "appProtocol": str}],
        }
    },
    ("v1", "PersistentVolumeClaim"): {
        "spec": {"accessModes": [str], "storageClassName": str, "resources": {"requests": _TEXTS}}
    },
    ("apps/v1", "Deployment"): {
        "spec": {
            "replicas": int,
            "selector": _SELECTOR,
            "strategy": {"type": str, "rollingUpdate": {"maxUnavailable": int, "maxSurge": int}},
            "template": _TEMPLATE,
        }
    },
    ("batch/v1", "Job"): {"spec": {"backoffLimit": int, "ttlSecondsAfterFinished": int, "template": _TEMPLATE}},
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": int, "selector": _SELECTOR}},
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        "spec": {
            "podSelector": _SELECTOR,
            "policyTypes": [str],
            "ingress": [{"from": _PEER, "ports": _POLICY_PORTS}],
            "egress": [{"to": _PEER, "ports": _POLICY_PORTS}],
        }
    },
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {
        "spec": {
            "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str},
            "minReplicas": int,
            "maxReplicas": int,
            "metrics": [{"type": str, "resource": {"name": str, "target": {"type": str, "averageUtilization": int}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": int}},
        }
    },
    ("keda.sh/v1alpha1", "ScaledObject"): {
        "spec": {
            "scaleTargetRef": {"name": str},
            "minReplicaCount": int,
            "maxReplicaCount": int,
            "cooldownPeriod": int,
            "triggers": [{"type": str, "metadata": _TEXTS}],
        }
    },
    ("cert-manager.io/v1", "Issuer"): {"spec": {"selfSigned": {}, "ca": {"secretName": str}}},
    ("cert-manager.io/v1", "Certificate"): {
        "spec": {
            "isCA": bool,
            "commonName": str,
            "secretName": str,
            "uris": [str],
            "dnsNames": [str],
            "duration": str,
            "renewBefore": str,
            "privateKey": _KEY_FORM,
            "usages": [str],
            "issuerRef": _ISSUER,
        }
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        "spec": {
            "groups": [
                {
                    "name": str,
                    "rules": [{"alert": str, "expr": str, "for": str, "labels": _TEXTS, "annotations": _TEXTS}],
                }
            ]
        }
    },
}


def problems(manifest: dict[str, Any]) -> list[str]:
    """Return what of an object the API does not know, each by its path."""
    kind = manifest.get("apiVersion", ""), manifest.get("kind", "")
    if kind not in _KINDS:
        return [f"{kind} is no kind that is used here"]
    fields = {"apiVersion": str, "kind": str, "metadata": _METADATA, **_KINDS[kind]}
    return [*_problems(manifest, fields, kind[1])]


def _problems(value: Any, expected: Any, path: str) -> Iterator[str]:
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        for name, inner in value.items():
            known = expected.get(name, expected.get("*"))
            if known is None:
                yield f"{path}.{name} is no field"
            else:
                yield from _problems(inner, known, f"{path}.{name}")
    elif isinstance(expected, list):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for at, inner in enumerate(value):
            yield from _problems(inner, expected[0], f"{path}[{at}]")
    elif not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        yield f"{path} is no {expected.__name__}"
