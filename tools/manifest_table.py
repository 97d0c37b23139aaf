"""What the manifests of all services are made from: the table of `rapport_local.services`, and what a cluster adds.

A service that the local environment runs is deployed as well; an entry of `SIZES` says where it differs from the usual.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml
from rapport_chassis.events.topology import DECLARED
from rapport_local import access
from rapport_local.environment import HOST, Environment
from rapport_local.service_settings import Connections, secrets_folders, variables
from rapport_local.services import SERVICES, LocalService

ROOT: Final = Path(__file__).resolve().parents[1]
DEPLOY: Final = ROOT / "deploy"
NAMESPACE: Final = "rapport"
TRUST_DOMAIN: Final = str(yaml.safe_load((DECLARED / "users.yaml").read_text(encoding="utf-8"))["trust_domain"])
GRPC_PORT: Final = 50051
HTTP_PORT: Final = 8443
NATS_URL: Final = "tls://nats.nats.svc:4222"
NATS_MONITORING: Final = "nats-headless.nats.svc:8222"
COLLECTOR_URL: Final = "http://collector.observability.svc:4317"
TLS: Final = "/etc/rapport/tls"
PROVISION_TLS: Final = "/etc/rapport/provision"
ACCESS: Final = "/etc/rapport/access"
SECRETS: Final = "/run/secrets/rapport"
KEYS: Final = "/run/secrets/keys"
FILES: Final = "/var/lib/rapport"
PYTHON: Final = "/opt/rapport/bin/python"
UID: Final = 10001
_HERE: Final = Path("/environment")
_OF_ONE_MACHINE: Final = ("TELEMETRY__FOLDER", "NATS__STREAM_MAX_BYTES")
WRITTEN: Final = "Written by tools/manifests.py from tools/manifest_table.py: change it there."


@dataclass(frozen=True)
class Size:
    """What a service needs of machines.

    Attributes:
        memory: Memory of a process, requested and at most.
        cpu: CPU requested by a process; there is no limit, which would only slow it down.
        starting_s: How long a process may take until it is ready for the first time.
        extra: The extra of its package that is installed, such as "[train]".
        system_packages: Packages of the system that the image needs.
        lag: Events waiting for one process at which another one is started: what one handles in half a minute.
        most: Most processes of the role `api`.
    """

    memory: str = "512Mi"
    cpu: str = "250m"
    starting_s: int = 60
    extra: str = ""
    system_packages: tuple[str, ...] = ()
    lag: int = 5000
    most: int = 10


SIZES: Final[Mapping[str, Size]] = {
    "consent": Size(memory="1Gi", starting_s=120),
    "identity": Size(memory="3Gi", starting_s=300, extra="[train]", most=4),
    "churn": Size(memory="2Gi", starting_s=120, extra="[train]", system_packages=("libgomp1",), lag=15000),
}


@dataclass(frozen=True)
class Deployed:
    """A service as a cluster runs it.

    Attributes:
        local: What the local environment knows of it.
        size: What it needs of machines.
        consumers: Its durable consumers and the streams they read.
    """

    local: LocalService
    size: Size = field(default_factory=Size)
    consumers: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.local.name

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return self.local.module

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it is split into: no consumers, no `events`."""
        return ("api", "events", "relay") if self.consumers else ("api", "relay")

    @property
    def image(self) -> str:
        """Its image, which overlays give a registry and a digest."""
        return f"rapport-{self.name}"

    def settings(self) -> dict[str, str]:
        """Return its environment variables in a cluster; overlays add to them, secrets are files.

        They are those of the local environment, with paths and addresses of a cluster in place of a folder's.
        """
        here = Environment.at(_HERE)
        ports = {service.name: at for at, service in enumerate(SERVICES, 1)}
        given = variables(replace(self.local, settings={}, mails=False), here, Connections(NATS_URL, ports))
        places = {
            **{f"{here.certificates}/{holder}": folder for holder, folder in self.certificate_folders().items()},
            str(here.policy_file.parent / "policy"): f"{ACCESS}/policy",
            str(here.policy_file.parent / "issuers"): f"{ACCESS}/issuers",
            str(here.service_folder(self.name)): FILES,
            str(secrets_folders(self.local, here)[0]): SECRETS,
            str(here.secrets / self.name): KEYS,
            **{f"{HOST}:{port}": f"dns:///{name}:{GRPC_PORT}" for name, port in ports.items()},
        }
        moved = {
            name.removeprefix(self.local.prefix): _moved(value, places)
            for name, value in given.items()
            if not name.endswith(_OF_ONE_MACHINE)
        }
        own = moved | {
            "ENVIRONMENT": "production",
            "GRPC__HOST": "0.0.0.0",  # noqa: S104 - the address of its pod
            "GRPC__PORT": str(GRPC_PORT),
            "GRPC__REFLECTION": "false",
            "GRPC__DRAIN_S": "10",
        }
        if self.local.http:
            own |= {"HTTP__HOST": "0.0.0.0", "HTTP__PORT": str(HTTP_PORT), **_tls("HTTP__TLS", TLS)}  # noqa: S104
        return {self.local.prefix + name: value for name, value in own.items()}

    def trying_out(self) -> dict[str, str]:
        """Return what the local environment sets as an example; files of its own and mail servers apart."""
        given = self.local.settings.items()
        return {name: value for name, value in given if not name.startswith("EMAIL__") and not value.startswith("/")}

    def certificate_folders(self) -> dict[str, str]:
        """Return where the certificates of its holders are mounted: its own, and its eraser's where it has one."""
        own, *others = self.local.certificates
        return {**{holder: f"/etc/rapport/{holder.removeprefix(f'{own}-')}" for holder in others}, own: TLS}

    def key_files(self) -> list[str]:
        """Return the names of the files of keys that it reads and never writes."""
        return sorted(value.removeprefix(f"{KEYS}/") for value in self.settings().values() if value.startswith(KEYS))

    def folders(self) -> list[str]:
        """Return the folders that its processes share and expect to be there."""
        found = {value for value in self.settings().values() if value.startswith(f"{FILES}/")}
        return sorted(found)

    def secret_files(self, *, migrating: bool = False) -> list[str]:
        """Return the names of the files in its folder of secrets."""
        kinds = ("dsn", "owner_dsn") if migrating else ("dsn",)
        return [database.secret(kind) for database in self.local.databases for kind in kinds]


def deployed() -> list[Deployed]:
    """Return all services, in the order of the table."""
    declared = yaml.safe_load((DECLARED / "consumers.yaml").read_text(encoding="utf-8"))["consumers"]
    return [
        Deployed(
            service,
            SIZES.get(service.name, Size()),
            tuple((each["name"], each["stream"]) for each in declared if each["service"] == service.name),
        )
        for service in SERVICES
    ]


def policy() -> dict[str, Any]:
    """Return who may do what, as in the local environment, but for its command: it is no part of a cluster."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment.at(Path(folder))
        access.write_policy(environment)
        allowed = access.read_policy(environment).model_dump()
    del allowed["certificates"][access.caller(access.CLI)]
    return allowed


def _moved(value: str, places: Mapping[str, str]) -> str:
    """Return a value with the first place that it begins with replaced."""
    for here, there in places.items():
        if value == here or value.startswith((f"{here}/", f"{here}.")):
            return there + value.removeprefix(here)
    return value


def _tls(group: str, folder: str) -> dict[str, str]:
    return {
        f"{group}__CERTIFICATE": f"{folder}/tls.crt",
        f"{group}__KEY": f"{folder}/tls.key",
        f"{group}__AUTHORITIES": f"{folder}/ca.crt",
    }
