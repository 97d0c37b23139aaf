"""Compose in layers: infrastructure, services, observability; each file adds to those before it."""

from __future__ import annotations

import json
from typing import Any, Final

from manifest_table import ACCESS, FILES, GRPC_PORT, KEYS, PROVISION_TLS, PYTHON, SECRETS, TLS, UID, Deployed

POSTGRES_IMAGE: Final = "postgres:18"
MAIL_IMAGE: Final = "axllent/mailpit:v1.27"
NATS_IMAGE: Final = "nats:2.12-alpine"
COLLECTOR_IMAGE: Final = "otel/opentelemetry-collector-contrib:0.140.0"
PROMETHEUS_IMAGE: Final = "prom/prometheus:v3.7.3"
TEMPO_IMAGE: Final = "grafana/tempo:2.9.0"
GRAFANA_IMAGE: Final = "grafana/grafana:12.3.0"
_STATE: Final = "./state"
Compose = dict[str, Any]


def infrastructure() -> Compose:
    """Return PostgreSQL and NATS, with the certificates, passwords and users that `prepare.py` makes."""
    return {
        "name": "rapport",
        "services": {
            "postgres": {
                "image": POSTGRES_IMAGE,
                "environment": {"POSTGRES_PASSWORD_FILE": "/run/admin/password"},
                "volumes": ["postgres:/var/lib/postgresql", f"{_STATE}/admin:/run/admin:ro"],
                "command": ["-c", "max_connections=300"],
                "healthcheck": {"test": ["CMD", "pg_isready", "-U", "postgres"], "interval": "2s", "retries": 30},
            },
            # Takes every mail and shows it at http://127.0.0.1:8025; none leaves this machine.
            "mail": {"image": MAIL_IMAGE, "ports": ["127.0.0.1:8025:8025"]},
            "nats": {
                "image": NATS_IMAGE,
                "command": ["--config", "/etc/nats/nats.conf"],
                "volumes": [
                    f"{_STATE}/nats/nats.conf:/etc/nats/nats.conf:ro",
                    f"{_STATE}/certificates/nats:{TLS}:ro",
                    "nats:/data",
                ],
                "healthcheck": {
                    "test": ["CMD", "wget", "--quiet", "--spider", "http://127.0.0.1:8222/healthz"],
                    "interval": "2s",
                    "retries": 30,
                },
            },
        },
        "volumes": {"postgres": {}, "nats": {}},
    }


def services(found: list[Deployed]) -> Compose:
    """Return every service, with the steps that make its databases, migrate them and provision its streams."""
    made: dict[str, Compose] = {}
    volumes: dict[str, Compose] = {}
    for service in found:
        made |= _service(service)
        if service.folders():
            volumes[f"{service.name}-files"] = {}
    return {"services": made, "volumes": volumes}


def observability() -> Compose:
    """Return the collector, and what keeps and shows what it collects."""
    return {
        "services": {
            "collector": {
                "image": COLLECTOR_IMAGE,
                "command": ["--config", "/etc/collector.yaml"],
                "volumes": ["../observability/collector.yaml:/etc/collector.yaml:ro"],
                "environment": {
                    "TRACES_ENDPOINT": "tempo:4317",
                    "METRICS_ENDPOINT": "http://prometheus:9090/api/v1/otlp",
                },
            },
            "prometheus": {
                "image": PROMETHEUS_IMAGE,
                "volumes": [
                    "../observability/prometheus.yaml:/etc/prometheus/prometheus.yml:ro",
                    "../observability/rules.yaml:/etc/prometheus/rules.yaml:ro",
                ],
            },
            "tempo": {
                "image": TEMPO_IMAGE,
                "command": ["-config.file=/etc/tempo.yaml"],
                "volumes": ["../observability/tempo.yaml:/etc/tempo.yaml:ro"],
            },
            "grafana": {
                "image": GRAFANA_IMAGE,
                "ports": ["127.0.0.1:3000:3000"],
                "environment": {"GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer"},
                "volumes": [
                    "../observability/grafana:/etc/grafana/provisioning:ro",
                    "../observability/dashboards:/var/lib/grafana/dashboards:ro",
                ],
            },
        }
    }


def _mail(service: Deployed) -> dict[str, str]:
    own = {name: value for name, value in service.local.settings.items() if name.startswith("EMAIL__")}
    servers = [{"name": "mail", "host": "mail", "port": 1025, "tls": "never"}]
    return {
        service.local.prefix + name: value for name, value in {**own, "EMAIL__SERVERS": json.dumps(servers)}.items()
    }


def _service(service: Deployed) -> dict[str, Compose]:
    name, local = service.name, service.local
    image = {
        "image": service.image,
        "build": {"context": "../..", "dockerfile": f"deploy/images/{name}.Dockerfile"},
    }
    certificates = [
        f"{_STATE}/certificates/{holder}:{folder}:ro" for holder, folder in service.certificate_folders().items()
    ]
    settings = service.settings() | {
        f"{local.prefix}ENVIRONMENT": "local",
        f"{local.prefix}NATS__URL": "tls://nats:4222",
        f"{local.prefix}GRPC__REFLECTION": "true",
        **{local.prefix + key: value for key, value in service.trying_out().items()},
        **(_mail(service) if local.mails else {}),
    }
    hardened = {"user": f"{UID}:{UID}", "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"]}  # noqa: S108
    volumes = [*certificates, f"{_STATE}/access:{ACCESS}:ro"]
    if service.key_files():
        volumes.append(f"{_STATE}/keys/{name}:{KEYS}:ro")
    if service.folders():
        volumes.append(f"{name}-files:{FILES}")
    made: dict[str, Compose] = {}
    done: Compose = {"postgres": {"condition": "service_healthy"}}
    for database in local.databases:
        step = f"{database.name.replace('_', '-')}-database"
        made[step] = {
            **image,
            **hardened,
            "entrypoint": [PYTHON, "-m", "rapport_chassis.database", database.name],
            "command": ["--admin-dsn-file", "/run/admin/dsn", "--passwords", "/run/passwords"],
            "volumes": [f"{_STATE}/admin:/run/admin:ro", f"{_STATE}/passwords/{database.name}:/run/passwords:ro"],
            "depends_on": {"postgres": {"condition": "service_healthy"}},
        }
        done |= {step: {"condition": "service_completed_successfully"}}
    made[f"{name}-migrate"] = {
        **image,
        **hardened,
        "command": ["migrate"],
        "environment": settings,
        "volumes": [*volumes, f"{_STATE}/secrets/{name}/migrate:{SECRETS}:ro"],
        "depends_on": done,
    }
    made[f"{name}-provision"] = {
        **image,
        **hardened,
        "command": ["provision"],
        "environment": settings
        | {
            f"{local.prefix}NATS__TLS__{part}": f"{PROVISION_TLS}/{file}"
            for part, file in (("CERTIFICATE", "tls.crt"), ("KEY", "tls.key"), ("AUTHORITIES", "ca.crt"))
        },
        "volumes": [
            *volumes,
            f"{_STATE}/secrets/{name}/run:{SECRETS}:ro",
            f"{_STATE}/certificates/provision:{PROVISION_TLS}:ro",
        ],
        "depends_on": {"nats": {"condition": "service_healthy"}},
    }
    made[name] = {
        **image,
        **hardened,
        "command": ["serve"],
        "environment": settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": "${OTEL_EXPORTER_OTLP_ENDPOINT:-}"},
        "volumes": [*volumes, f"{_STATE}/secrets/{name}/run:{SECRETS}:ro"],
        "ports": [f"127.0.0.1::{GRPC_PORT}"],
        "stop_grace_period": "45s",
        "healthcheck": {
            "test": ["CMD", PYTHON, "-m", "rapport_chassis.rpc.probe", "api", "--server-name", name],
            "interval": "10s",
            "timeout": "5s",
            "retries": 12,
        },
        "depends_on": {
            f"{name}-migrate": {"condition": "service_completed_successfully"},
            f"{name}-provision": {"condition": "service_completed_successfully"},
        },
    }
    return made
