"""`rapport call`: any method of any service, from a terminal."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click
from rapport_chassis.rpc.status import RemoteError
from rich.console import Console

from rapport_local import access
from rapport_local.aligned import columns
from rapport_local.calling import Caller, answer_json, error_document, explain, methods_of, read_requests
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running
from rapport_local.reflection import OfferedMethod, find_method
from rapport_local.status import EnvironmentStatus


@click.command()
@environment_option
@click.argument("method", required=False)
@click.argument("request_text", metavar="[JSON]", default="{}")
@click.option("--as", "client", default=access.CLI, show_default=True, help="Client whose certificate is shown.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per answer, errors too.")
@click.option("--timeout", "timeout_s", default=30.0, show_default=True, help="Seconds the call may take.")
def call(
    environment: Environment, method: str | None, request_text: str, client: str, as_json: bool, timeout_s: float
) -> None:
    """Call METHOD with a request in JSON, and print the answer as JSON.

    METHOD is a name such as CheckConsent, ConsentService/CheckConsent or all of it; without one, all methods are
    listed. The request is given as JSON, as @FILE, or as - for standard input; a method that takes a stream takes any
    number of objects in a row. A missing request_id is made up. Where a human operator must stand behind the call, the
    one who is logged in does.
    """
    status = running(environment)
    if method is None:
        for line in columns(("method", "permission", ""), _listed(asyncio.run(methods_of(environment, status)))):
            click.echo(line)
        return
    try:
        asyncio.run(_call(environment, status, method, _read(request_text), client, as_json, timeout_s))
    except RemoteError as error:
        if not as_json:
            raise explain(error, client=client) from error
        click.echo(json.dumps(error_document(error)))
        sys.exit(Failure.exit_code)


async def _call(
    environment: Environment,
    status: EnvironmentStatus,
    name: str,
    text: str,
    client: str,
    as_json: bool,
    timeout_s: float,
) -> None:
    method = find_method(name, await methods_of(environment, status))
    requests = read_requests(text, method)
    async for answer in Caller(environment, client, timeout_s).call(method, requests):
        _print(answer_json(answer, method, indent=None if as_json else 2), as_json=as_json)


def _print(text: str, *, as_json: bool) -> None:
    console = Console(soft_wrap=True)
    if console.is_terminal and not as_json:
        console.print_json(text)
    else:
        click.echo(text)


def _read(given: str) -> str:
    try:
        if given == "-":
            return sys.stdin.read()
        if given.startswith("@"):
            return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{given[1:] or 'standard input'} cannot be read: {error}") from error
    return given


def _listed(methods: list[OfferedMethod]) -> list[tuple[str, str, str]]:
    return [
        (method.short_name, method.permission, "with a human operator" if method.human else "") for method in methods
    ]
