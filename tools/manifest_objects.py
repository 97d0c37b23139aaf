"""Everything of a service but its workloads: network, scaling, disruption, certificates, files."""

from __future__ import annotations

from typing import Any, Final

from manifest_table import GRPC_PORT, HTTP_PORT, NAMESPACE, NATS_MONITORING, TRUST_DOMAIN, Deployed
from manifest_workloads import Manifest, labels

_OUTSIDE: Final = (25, 443, 465, 587)
_PART: Final = {"app.kubernetes.io/part-of": "rapport"}


def network(service: Deployed) -> list[Manifest]:
    """Return the headless service that clients balance over, and who may talk with it."""
    api = labels(service, "api")
    ports = [("grpc", GRPC_PORT), *([("https", HTTP_PORT)] if service.local.http else [])]
    return [
        _object("v1", "ServiceAccount", service.name, labels(service), automountServiceAccountToken=False),
        _object(
            "v1",
            "Service",
            service.name,
            labels(service, "api"),
            spec={
                "clusterIP": "None",  # clients see every address and balance calls, not connections
                "selector": api,
                "ports": [{"name": name, "port": port, "targetPort": name} for name, port in ports],
            },
        ),
        _object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            service.name,
            labels(service),
            spec={
                "podSelector": {"matchLabels": labels(service)},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from": [{"podSelector": {"matchLabels": _PART}}, _namespace("rapport.clients", "true")],
                        "ports": [_port(port) for _, port in ports],
                    }
                ],
                "egress": [
                    {
                        "to": [_namespace("kubernetes.io/metadata.name", "kube-system")],
                        "ports": [_port(53, "UDP"), _port(53)],
                    },
                    {"to": [{"podSelector": {"matchLabels": _PART}}], "ports": [_port(GRPC_PORT)]},
                    {"to": [_namespace("rapport.servers", "postgres")], "ports": [_port(5432)]},
                    {"to": [_namespace("rapport.servers", "nats")], "ports": [_port(4222)]},
                    {"to": [_namespace("rapport.servers", "collector")], "ports": [_port(4317)]},
                    # Mail servers and providers are anywhere; which ones is a setting.
                    *([{"ports": [_port(port) for port in _OUTSIDE]}] if service.local.mails else []),
                ],
            },
        ),
    ]


def budgets(service: Deployed) -> list[Manifest]:
    """Return how many processes of each role may be taken away at once."""
    return [
        _object(
            "policy/v1",
            "PodDisruptionBudget",
            f"{service.name}-{role}",
            labels(service, role),
            spec={"maxUnavailable": 1, "selector": {"matchLabels": labels(service, role)}},
        )
        for role in service.roles
    ]


def certificates(service: Deployed) -> list[Manifest]:
    """Return the certificates of a service: its URI is the caller's name and the user at NATS."""
    hosts = [service.name, f"{service.name}.{NAMESPACE}", f"{service.name}.{NAMESPACE}.svc"]
    return [
        certificate(holder, labels(service), hosts if holder == service.name else [])
        for holder in service.local.certificates
    ]


def certificate(holder: str, marked: dict[str, str], hosts: list[str]) -> Manifest:
    """Return the certificate of a holder, issued by cert-manager and renewed while processes run."""
    spec = {
        "secretName": f"{holder}-tls",
        "uris": [f"spiffe://{TRUST_DOMAIN}/{holder}"],
        **({"dnsNames": hosts} if hosts else {}),
        "duration": "720h",
        "renewBefore": "240h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth", "client auth"],
        "issuerRef": {"name": "rapport", "kind": "Issuer"},
    }
    return _object("cert-manager.io/v1", "Certificate", holder, marked, spec=spec)


def files(service: Deployed) -> list[Manifest]:
    """Return the claim for the folders that all processes of a service share: keys, models."""
    if not service.folders():
        return []
    size = {"requests": {"storage": "5Gi"}}
    spec = {"accessModes": ["ReadWriteMany"], "resources": size}
    return [_object("v1", "PersistentVolumeClaim", f"{service.name}-files", labels(service), spec=spec)]


def scaling(service: Deployed) -> list[Manifest]:
    """Return what starts further processes: of `api` by CPU, of `events` by what waits in the streams."""
    found = [
        _object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            f"{service.name}-api",
            labels(service, "api"),
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{service.name}-api"},
                "minReplicas": 2,
                "maxReplicas": service.size.most,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                    }
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
            },
        )
    ]
    if service.consumers:
        found.append(
            _object(
                "keda.sh/v1alpha1",
                "ScaledObject",
                f"{service.name}-events",
                labels(service, "events"),
                spec={
                    "scaleTargetRef": {"name": f"{service.name}-events"},
                    "minReplicaCount": 2,
                    "maxReplicaCount": 8,  # the partitions of a stream are 16: beyond that nothing is gained
                    "cooldownPeriod": 300,
                    "triggers": [
                        {
                            "type": "nats-jetstream",
                            "metadata": {
                                "natsServerMonitoringEndpoint": NATS_MONITORING,
                                "account": "$G",
                                "stream": f"RAPPORT_{stream.upper()}",
                                "consumer": consumer,
                                "lagThreshold": str(service.size.lag),
                            },
                        }
                        for consumer, stream in service.consumers
                    ],
                },
            )
        )
    return found


def _object(version: str, kind: str, name: str, marked: dict[str, str], **content: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": marked}, **content}


def _namespace(label: str, value: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {label: value}}}


def _port(port: int, protocol: str = "TCP") -> Manifest:
    return {"port": port, "protocol": protocol}
