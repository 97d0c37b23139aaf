"""`rapport audit`: who did what and why, and that nothing of it was changed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
from rapport_chassis.audit import AuditEntry, AuditFault, AuditHead, AuditTrail
from rapport_testing.files import replace_file

from rapport_local.aligned import columns
from rapport_local.databases import database_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing
from rapport_local.services import SERVICES, LocalService

_HEADINGS = ("time (UTC)", "service", "who", "action", "target", "outcome", "trace", "reason")


@click.command()
@environment_option
@click.option("--verify", "verifying", is_flag=True, help="Follow the chains of hashes from end to end.")
@click.option("--limit", default=30, show_default=True, help="How many entries are shown.")
def audit(environment: Environment, verifying: bool, limit: int) -> None:
    """Show the latest entries of every service's audit trail.

    --verify recomputes the chains instead. The end of each is kept, so that the next time a trail that was cut off or
    written anew is found too. Exit code 1 if a chain is broken.
    """
    existing(environment)
    if verifying:
        asyncio.run(_verify(environment))
    else:
        for line in columns(_HEADINGS, asyncio.run(_entries(environment, limit))):
            click.echo(line)


async def _entries(environment: Environment, limit: int) -> list[tuple[str, ...]]:
    found: list[tuple[str, AuditEntry]] = []
    for service in SERVICES:
        async with database_of(environment, service) as connection:
            found += [(service.name, entry) for entry in await AuditTrail().read(connection, limit=limit)]
    found.sort(key=lambda each: each[1].content.recorded_at)
    return [
        (
            f"{entry.content.recorded_at:%Y-%m-%d %H:%M:%S}",
            service_name,
            entry.content.actor or entry.content.caller.rsplit("/", maxsplit=1)[-1],
            entry.content.action.rsplit("/", maxsplit=1)[-1],
            entry.content.target,
            entry.content.outcome,
            entry.content.trace_id[:8],
            entry.content.reason,
        )
        for service_name, entry in found[-limit:]
    ]


async def _verify(environment: Environment) -> None:
    broken = 0
    for service in SERVICES:
        faults, length = await _verify_one(environment, service)
        for fault in faults:
            click.secho(f"{service.name}: entry {fault.position}: {fault.what}", fg="red")
        if not faults:
            click.echo(f"{service.name}: {length} {'entry' if length == 1 else 'entries'}, in place and unchanged")
        broken += bool(faults)
    if broken:
        raise Failure("an audit trail was tampered with")


async def _verify_one(environment: Environment, service: LocalService) -> tuple[list[AuditFault], int]:
    """Verify against the end that was kept last time, and keep the new one."""
    kept = _heads_file(environment, service)
    trail = AuditTrail()
    async with database_of(environment, service) as connection:
        newest = await trail.read(connection, limit=1)
        faults = await trail.verify(connection, _kept_head(kept))
    if newest and not faults:
        head = {"position": newest[0].position, "hash": newest[0].hash.hex()}
        replace_file(kept, json.dumps(head).encode(), mode=0o600)
    return faults, newest[0].position if newest else 0


def _heads_file(environment: Environment, service: LocalService) -> Path:
    return environment.folder / "audit" / f"{service.name}.json"


def _kept_head(path: Path) -> AuditHead | None:
    try:
        head = json.loads(path.read_bytes())
        return AuditHead(head["position"], bytes.fromhex(head["hash"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is damaged: the trail cannot be compared with what it was", hint=f"rm {path}") from error
