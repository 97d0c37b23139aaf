"""What can be wrong with an environment that runs: asked from its databases, its streams and its logs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
from rapport_chassis.database.migrate import pending
from rapport_chassis.errors import RapportError
from rapport_chassis.events.dead_letters import DeadLetters
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.outbox import oldest_unpublished_s
from rapport_chassis.events.pausing import paused
from rapport_chassis.events.provision import drift

from rapport_local.broker import connected, topology
from rapport_local.databases import database_of, database_settings
from rapport_local.doctor import Finding
from rapport_local.environment import STREAM_PREFIX, Environment
from rapport_local.failure import Failure
from rapport_local.services import SERVICES, LocalService
from rapport_local.status import live_status

_OUTBOX_WARNING_S: Final = 5.0
_OUTBOX_BAD_S: Final = 30.0


def live_findings(environment: Environment) -> Iterator[Finding]:
    """Look at everything that only a running environment can answer; nothing if none runs."""
    status = live_status(environment)
    nats = status.process("nats") if status is not None else None
    if nats is None or nats.state != "ready":
        return
    for service in SERVICES:
        yield from failing_checks(environment, service)
        yield from migrations(environment, service)
        yield from _asked(partial(database, environment, service))
    yield from _asked(partial(streams, environment, nats.address))


def failing_checks(environment: Environment, service: LocalService) -> Iterator[Finding]:
    """Each role's readiness rests on checks; the service logs every one that turns."""
    for (role, check), reason in checks_that_fail(environment.log_of(service.name)).items():
        yield Finding(
            f"{service.name}: {role} is not ready, since the check of {check!r} fails: {reason}",
            "bad",
            f"rapport logs {service.name}",
        )


def checks_that_fail(log: Path) -> dict[tuple[str, str], str]:
    """Return role and name of the checks that failed last, with the reason; only the last start of the log counts."""
    failing: dict[tuple[str, str], str] = {}
    try:
        lines = log.read_bytes().splitlines()
    except OSError:
        return failing
    for line in lines:
        if b'"check_' not in line and b'"grpc_serving"' not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        key = (entry.get("role", ""), entry.get("check", ""))
        match entry.get("event"):
            case "grpc_serving":
                failing.clear()
            case "check_failed":
                failing[key] = entry.get("reason", "")
            case "check_passed":
                failing.pop(key, None)
    return failing


def migrations(environment: Environment, service: LocalService) -> Iterator[Finding]:
    """A service that is newer than one of its databases fails at the first statement."""
    for each in service.databases:
        try:
            missing = pending(database_settings(environment, service, each), service.migrations(each))
        except Exception as error:
            yield Finding(f"{each.name}: its migrations cannot be asked for: {type(error).__name__}", "bad")
            continue
        if missing:
            yield Finding(f"{each.name}: not migrated yet: {', '.join(missing)}", "bad", "restart with `rapport up`")
        else:
            yield Finding(f"{each.name}: its database is migrated")


async def database(environment: Environment, service: LocalService) -> AsyncIterator[Finding]:
    """Events that wait, and consumers that have given up."""
    async with database_of(environment, service) as connection:
        age_s = await oldest_unpublished_s(connection)
        if age_s > _OUTBOX_WARNING_S:
            yield Finding(
                f"{service.name}: an event has waited {age_s:.0f} s to be published",
                "bad" if age_s > _OUTBOX_BAD_S else "warning",
                f"rapport logs {service.name}: the relay says why",
            )
        else:
            yield Finding(f"{service.name}: its outbox is empty or moving")
        for name in dict.fromkeys(spec.name for spec in topology().consumers if spec.service == service.name):
            pause = await paused(connection, name)
            if pause is not None:
                yield Finding(
                    f"{service.name}: consumer {name} paused itself at {pause.since:%H:%M:%S} UTC after "
                    f"{pause.failures} failures in a row: {pause.reason}",
                    "bad",
                    f"rapport dlq list, then rapport dlq resume {name}",
                )


async def streams(environment: Environment, address: str) -> AsyncIterator[Finding]:
    """Streams and consumers must be as declared; dead letters wait for a person."""
    async with connected(environment, address) as api:
        differences = await drift(api, topology())
        for difference in differences:
            yield Finding(difference.describe(), "bad", "restart with `rapport up`: it provisions what is declared")
        if not differences:
            yield Finding("streams and consumers are as declared")
        counts = Counter(letter.consumer for letter in await DeadLetters(api, prefix=STREAM_PREFIX).list())
        for consumer, count in counts.items():
            said = f"{count} dead letter{'' if count == 1 else 's'} of {consumer}"
            yield Finding(said, "warning", "rapport dlq list, show, replay or discard")


def _asked(look: Callable[[], AsyncIterator[Finding]]) -> list[Finding]:
    """What a look finds; that it cannot look at all is a finding too."""

    async def collect() -> list[Finding]:
        return [finding async for finding in look()]

    try:
        return asyncio.run(collect())
    except Failure as error:
        return [Finding(error.message, "bad", error.hint)]
    except (RapportError, JetStreamError, psycopg.Error) as error:
        return [Finding(f"cannot be asked: {error}", "bad", "`rapport status` shows what runs")]
