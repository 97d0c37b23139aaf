"""What can be wrong with an environment: one function per thing looked at, each saying how to mend it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from rapport_local import access
from rapport_local.environment import Environment, is_free
from rapport_local.failure import Failure
from rapport_local.leftovers import left_over
from rapport_local.services import SERVICES
from rapport_local.status import EnvironmentStatus, last_status, live_status

# The streams reserve 1.8 GB, and NATS takes at most three quarters of what is free.
_LEAST_DISK: Final = 5 * 1024**3
_LEAST_DISK_TO_RUN: Final = 3 * 1024**3
_EXPIRES_SOON: Final = timedelta(days=3)


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        what: What was looked at, or what is wrong with it.
        state: `bad` keeps something from working, `warning` will or may.
        mend: What to do about it; empty where all is well.
    """

    what: str
    state: Literal["good", "warning", "bad"] = "good"
    mend: str = ""


Look = Callable[[Environment], Iterator[Finding]]


def folder(environment: Environment) -> Iterator[Finding]:
    """Keys and passwords lie in the folder: nobody else may enter it."""
    status = environment.folder.stat()
    if status.st_uid != os.geteuid():
        yield Finding(f"{environment.folder} belongs to another user", "bad", "choose another --folder")
    if status.st_mode & 0o077:
        yield Finding(f"{environment.folder} is open to other users", "bad", f"chmod 700 {environment.folder}")
    for path in _secret_files(environment):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding(f"{path} can be read by other users", "bad", f"chmod 600 {path}")
    if not os.access(environment.folder, os.W_OK):
        yield Finding(f"{environment.folder} cannot be written", "bad", f"chmod 700 {environment.folder}")


def disk(environment: Environment) -> Iterator[Finding]:
    """A full disk stops PostgreSQL and NATS in mid-step."""
    free = shutil.disk_usage(environment.folder).free
    said = f"{free / 1024**3:.1f} GB are free on the disk"
    if free < _LEAST_DISK_TO_RUN:
        yield Finding(f"only {said}", "bad", "make room, or choose a --folder on another disk")
    elif free < _LEAST_DISK:
        yield Finding(f"only {said}", "warning", "make room, or choose a --folder on another disk")
    else:
        yield Finding(said)


def left_behind(environment: Environment) -> Iterator[Finding]:
    """A run that was killed may have left processes, or a state that is no longer true."""
    if environment.holder() is not None:
        return
    processes = left_over(environment)
    if processes:
        names = ", ".join(f"{name} ({process.pid})" for name, process in processes)
        yield Finding(f"left over from a run that was killed: {names}", "bad", "rapport down")
    status = last_status(environment)
    if not processes and status is not None and status.phase != "stopped":
        yield Finding("the last run was killed; nothing of it is left", "warning", "rapport up")


def ports(environment: Environment) -> Iterator[Finding]:
    """Ports are remembered, so that addresses stay the same; another program may have taken one meanwhile."""
    if environment.holder() is not None:
        return
    for name, port in environment.remembered_ports().items():
        if not is_free(port):
            yield Finding(f"port {port} of {name} was taken by another program", "warning", "rapport up takes another")


def certificates(environment: Environment) -> Iterator[Finding]:
    """Every certificate must be valid, and belong to the key beside it."""
    names = access.holders(environment)
    well = 0
    for name in names:
        problem = _certificate_problem(environment, name)
        if problem is None:
            well += 1
        else:
            yield problem
    yield Finding(f"{well} certificates are valid")


def policy(environment: Environment) -> Iterator[Finding]:
    """A policy file that a person has broken is ignored by running services, and stops new ones."""
    try:
        found = access.read_policy(environment)
    except Failure as error:
        yield Finding(f"{error.message}: {error.details.splitlines()[0]}", "bad", error.hint)
        return
    if access.caller(access.CLI) not in found.certificates:
        yield Finding(f"{environment.policy_file} does not name {access.caller(access.CLI)}", "bad", "rapport up")


def processes(environment: Environment) -> Iterator[Finding]:
    """Every process must run with every role ready."""
    status = live_status(environment)
    if status is None:
        yield Finding("nothing runs", "warning", "rapport up")
        return
    for process in status.processes:
        if process.state == "crashed":
            yield Finding(f"{process.name} has crashed: {process.note}", "bad", f"rapport logs {process.name}")
        elif process.state != "ready":
            yield from _unready(environment, status, process.name)
        elif process.restarts:
            yield Finding(
                f"{process.name} was started again {process.restarts} times", "warning", f"rapport logs {process.name}"
            )
        else:
            yield Finding(f"{process.name} is ready")


LOOKS: Final[tuple[Look, ...]] = (folder, disk, left_behind, ports, certificates, policy, processes)
"""All that needs nothing but the folder."""


def _secret_files(environment: Environment) -> Iterator[Path]:
    yield from (path for path in environment.secrets.rglob("*") if path.is_file())
    yield from environment.certificates.glob("*/*.key")
    for service in SERVICES:
        for pattern in ("*.pem", "*.key"):
            yield from environment.service_folder(service.name).rglob(pattern)
    for path in (environment.login_file, environment.state_file):
        if path.exists():
            yield path


def _certificate_problem(environment: Environment, name: str) -> Finding | None:
    files = access.tls_files(environment, name)
    again = f"remove {files.certificate.parent} and run `rapport up`: it is issued anew"
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        return Finding(f"the certificate of {name} cannot be read: {error}", "bad", again)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        return Finding(f"the key of {name} does not belong to its certificate", "bad", again)
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta():
        return Finding(f"the certificate of {name} has expired", "bad", "restart with `rapport up`: it is renewed")
    if left < _EXPIRES_SOON:
        hours = left.total_seconds() / 3600
        return Finding(f"the certificate of {name} ends in {hours:.0f} hours", "warning", "restart: it is renewed")
    return None


def _unready(environment: Environment, status: EnvironmentStatus, name: str) -> Iterator[Finding]:
    process = status.process(name)
    mend = f"rapport logs {name}"
    for role, health in process.roles.items() if process is not None else ():
        if health != "ready":
            yield Finding(f"{name}: {role} is {health}", "bad", mend)
    if process is None or not process.roles:
        yield Finding(f"{name} does not answer yet", "bad", mend)
