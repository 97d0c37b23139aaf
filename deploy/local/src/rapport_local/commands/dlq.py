"""`rapport dlq`: events that a consumer could not handle, kept as references to where they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from rapport_chassis.errors import RapportError
from rapport_chassis.events.contract import event_class
from rapport_chassis.events.dead_letters import DeadLetter, DeadLetters
from rapport_chassis.events.jetstream import JetStreamError, StoredMessage
from rapport_chassis.events.pausing import resume as resume_consumer

from rapport_local.aligned import columns
from rapport_local.broker import connected, topology
from rapport_local.databases import database_of
from rapport_local.environment import STREAM_PREFIX, Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running
from rapport_local.services import service_named

_HEADINGS = ("number", "time (UTC)", "consumer", "reason", "event", "where", "deliveries")


@click.group()
def dlq() -> None:
    """Look after events that could not be handled.

    A dead letter is a reference: the event itself stays in its stream, and may have been erased since.
    """


@dlq.command("list")
@environment_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per dead letter.")
def list_(environment: Environment, as_json: bool) -> None:
    """List all dead letters, oldest first."""
    letters: list[DeadLetter] = _run(environment, lambda dead: dead.list())
    if as_json:
        for letter in letters:
            click.echo(json.dumps(letter.describe()))
    elif not letters:
        click.echo("There are no dead letters.")
    else:
        for line in columns(_HEADINGS, [_row(letter) for letter in letters]):
            click.echo(line)


@dlq.command()
@environment_option
@click.argument("number", type=int)
def show(environment: Environment, number: int) -> None:
    """Show dead letter NUMBER, and the event it refers to if that is still there."""

    async def read(dead: DeadLetters) -> dict[str, Any]:
        letter = await dead.get(number)
        try:
            event: Any = _event(await dead.original(letter))
        except RapportError as gone:
            event = gone.message
        return {**letter.describe(), "event": event}

    click.echo(json.dumps(_run(environment, read), indent=2))


@dlq.command()
@environment_option
@click.argument("numbers", type=int, nargs=-1, required=True)
def replay(environment: Environment, numbers: tuple[int, ...]) -> None:
    """Address the events once more to the consumers that failed, and to no others."""
    for number in numbers:
        _run(environment, partial(DeadLetters.replay, number=number))
        click.echo(f"{number}: sent again to its consumer")


@dlq.command()
@environment_option
@click.argument("numbers", type=int, nargs=-1, required=True)
def discard(environment: Environment, numbers: tuple[int, ...]) -> None:
    """Forget dead letters for good; the events themselves stay in their streams."""
    for number in numbers:
        _run(environment, partial(DeadLetters.discard, number=number))
        click.echo(f"{number}: discarded")


@dlq.command()
@environment_option
@click.argument("consumer")
def resume(environment: Environment, consumer: str) -> None:
    """Let CONSUMER go on, which paused itself after too many failures in a row."""
    running(environment)
    declared = {spec.name: spec.service for spec in topology().consumers}
    service = service_named(declared.get(consumer, ""))
    if service is None:
        raise Failure(f"no service here has a consumer {consumer!r}", hint=f"there are: {', '.join(declared)}")

    async def go_on() -> bool:
        async with database_of(environment, service) as connection:
            return await resume_consumer(connection, consumer)

    click.echo(f"{consumer} goes on." if asyncio.run(go_on()) else f"{consumer} was not paused.")


def _run(environment: Environment, work: Callable[[DeadLetters], Awaitable[Any]]) -> Any:
    async def connect_and_work() -> Any:
        async with _dead_letters(environment) as dead:
            return await work(dead)

    try:
        return asyncio.run(connect_and_work())
    except RapportError as error:
        raise Failure(f"{error.reason.name}: {error.message}", hint="`rapport dlq list` shows what there is") from error
    except JetStreamError as error:
        raise Failure(f"NATS refused: {error}") from error


@asynccontextmanager
async def _dead_letters(environment: Environment) -> AsyncIterator[DeadLetters]:
    nats = running(environment).process("nats")
    if nats is None:
        raise Failure("NATS does not run yet", hint="`rapport status` shows how far it is")
    async with connected(environment, nats.address) as api:
        yield DeadLetters(api, prefix=STREAM_PREFIX)


def _event(stored: StoredMessage) -> dict[str, Any]:
    """The event in words, where its contract is known here; else only how large it is."""
    schema = stored.headers.get("ce-dataschema", "").removeprefix("proto:")
    found = event_class(schema)
    said: dict[str, Any] = {"schema": schema, "bytes": len(stored.data)}
    if found is not None:
        try:
            said["data"] = json_format.MessageToDict(found.FromString(stored.data))
        except DecodeError:
            said["data"] = "the bytes are not what the header says"
    return said


def _row(letter: DeadLetter) -> tuple[str, ...]:
    return (
        str(letter.number),
        f"{letter.time:%Y-%m-%d %H:%M:%S}",
        letter.consumer,
        letter.reason,
        letter.headers.get("ce-type", "").rsplit(".", maxsplit=1)[-1],
        f"{letter.stream} {letter.sequence}",
        str(letter.deliveries),
    )
