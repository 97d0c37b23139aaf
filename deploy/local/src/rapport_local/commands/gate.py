"""`rapport gate`: what the consent gate decides, who holds one, and how far each has come."""

from __future__ import annotations

import asyncio
import json
from shlex import quote

import click
from google.protobuf import json_format
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_privacy.telemetry import NEVER_FRESH_S

from rapport_local import access
from rapport_local.aligned import columns
from rapport_local.calling import explain
from rapport_local.environment import Environment
from rapport_local.gates import GateState, answer, consent_stub, explained, gate_variables, read_gates
from rapport_local.options import environment_option, running
from rapport_local.status import EnvironmentStatus

_HEADINGS = ("gate", "pid", "position", "lag", "staleness", "measured")


@click.group()
def gate() -> None:
    """Ask the consent gate, and look after those who hold one."""


@gate.command()
@environment_option
@click.argument("profile_id", metavar="ID")
@click.argument("purpose")
@click.option("--brand", default="", help="Brand in whose name it happens; needed for a purpose with brands.")
@click.option("--market", default="", help="Where it happens, such as DE.")
@click.option("--category", default="", help="Category of data it uses.")
@click.option("--ledger", is_flag=True, help="Ask the ledger itself instead of the service's gate.")
@click.option("--as", "client", default=access.CLI, show_default=True, help="Client whose certificate is shown.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def check(
    environment: Environment,
    profile_id: str,
    purpose: str,
    brand: str,
    market: str,
    category: str,
    ledger: bool,
    client: str,
    as_json: bool,
) -> None:
    """Say whether PURPOSE may be served for person ID now, why, and what that rests on."""
    entry = consent_pb2.CheckEntry(
        profile_id=profile_id, purpose_id=purpose, brand_id=brand, market=market, data_category=category
    )
    consistency = consent_pb2.CONSISTENCY_AUTHORITY if ledger else consent_pb2.CONSISTENCY_BOUNDED
    request = consent_pb2.CheckConsentRequest(entry=entry, consistency=consistency)
    try:
        decision = asyncio.run(_check(environment, running(environment), client, request))
    except RemoteError as error:
        raise explain(error, client=client) from error
    if as_json:
        click.echo(json_format.MessageToJson(decision, preserving_proto_field_name=True))
        return
    permitted = decision.answer == consent_pb2.ANSWER_PERMIT
    click.secho(answer(decision), fg="green" if permitted else "red", bold=True)
    for name, value in explained(decision, profile_id):
        click.echo(f"  {name:<11} {value}")


@gate.command()
@environment_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def lag(environment: Environment, as_json: bool) -> None:
    """Show every process that holds a gate: how far its replica has come, and for how long it was not fresh."""
    try:
        head = asyncio.run(_head(environment, running(environment)))
    except RemoteError as error:
        raise explain(error, client=access.CLI) from error
    gates = read_gates(environment)
    if as_json:
        document = {
            "head": {"epoch": head.epoch, "position": head.position},
            "gates": [each.model_dump() for each in gates],
        }
        click.echo(json.dumps(document, indent=2))
        return
    for line in columns(_HEADINGS, [*map(_row, gates), ("the ledger", "", f"{head.position:,}", "", "", "now")]):
        click.echo(line)


@gate.command()
@environment_option
@click.argument("holder")
def env(environment: Environment, holder: str) -> None:
    """Print the variables with which a process of client HOLDER opens a gate: eval "$(rapport gate env HOLDER)"."""
    for name, value in gate_variables(environment, running(environment), holder).items():
        click.echo(f"export {name}={quote(value)}")


async def _check(
    environment: Environment, status: EnvironmentStatus, client: str, request: consent_pb2.CheckConsentRequest
) -> consent_pb2.Decision:
    async with consent_stub(environment, status, client) as stub:
        return await stub.CheckConsent(request)


async def _head(environment: Environment, status: EnvironmentStatus) -> freshness_pb2.LedgerPosition:
    async with consent_stub(environment, status) as stub:
        return (await stub.GetLedgerHead(consent_pb2.GetLedgerHeadRequest())).head


def _row(gate: GateState) -> tuple[str, ...]:
    staleness = "never fresh" if gate.staleness_s >= NEVER_FRESH_S else f"{gate.staleness_s:.2f} s"
    return (
        gate.holder,
        str(gate.pid),
        f"{gate.position:,}",
        f"{gate.lag:,}",
        staleness,
        f"{gate.measured_s_ago:.0f} s ago",
    )
