"""`rapport report`: how what the services have learned does, as a page a person reads."""

from __future__ import annotations

import asyncio
import json
import webbrowser
from pathlib import Path

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from rapport.churn.v1 import model_pb2, model_pb2_grpc, monitoring_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.files import replace_file

from rapport_local import access
from rapport_local.calling import explain, stub_of
from rapport_local.environment import Environment
from rapport_local.options import environment_option, running
from rapport_local.reports.churn import churn_page
from rapport_local.status import EnvironmentStatus

_PROMOTIONS = 20


@click.group()
def report() -> None:
    """Show how what the services have learned does."""


@report.command()
@environment_option
@click.option("--model", "model_id", default="", help="Model to look at; the one that serves if none is named.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660), help="Days of scores to look at.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the page.")
@click.option("--open", "opening", is_flag=True, help="Open it in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
def churn(environment: Environment, model_id: str, days: int, out: Path | None, opening: bool, as_json: bool) -> None:
    """Write a page about the model that predicts who leaves: figures, reliability, lift, drift, groups."""
    try:
        model, monitored, promotions = asyncio.run(_ask(environment, running(environment), model_id, days))
    except RemoteError as error:
        raise explain(error, client=access.CLI) from error
    if as_json:
        document = {"model": _plain(model), "report": _plain(monitored), "promotions": [*map(_plain, promotions)]}
        click.echo(json.dumps(document, indent=2))
        return
    path = out or environment.folder / "reports" / f"churn-{model.model_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, churn_page(model, monitored, promotions).encode())
    click.echo(path)
    if opening:
        webbrowser.open(path.absolute().as_uri())


async def _ask(
    environment: Environment, status: EnvironmentStatus, model_id: str, days: int
) -> tuple[model_pb2.Model, monitoring_pb2.MonitoringReport, list[model_pb2.Promotion]]:
    async with stub_of(environment, status, "churn", model_pb2_grpc.ModelServiceStub) as stub:
        model = await stub.GetModel(model_pb2.GetModelRequest(model_id=model_id))
        asked = monitoring_pb2.GetMonitoringReportRequest(model_id=model.model_id, window_days=days)
        listed = await stub.ListPromotions(model_pb2.ListPromotionsRequest(page_size=_PROMOTIONS))
        return model, await stub.GetMonitoringReport(asked), list(listed.promotions)


def _plain(message: Message) -> object:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
