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
from rapport.pricing.v1 import (
    authored_pb2,
    catalog_pb2,
    catalog_pb2_grpc,
    experiments_pb2,
    experiments_pb2_grpc,
)
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.files import replace_file

from rapport_local import access
from rapport_local.calling import explain, stub_of
from rapport_local.environment import Environment
from rapport_local.options import environment_option, running
from rapport_local.reports.churn import churn_page
from rapport_local.reports.pricing import pricing_page
from rapport_local.status import EnvironmentStatus

_PROMOTIONS = 20
_EXPERIMENTS = 500


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
    _written(path, churn_page(model, monitored, promotions), opening=opening)


@report.command()
@environment_option
@click.argument("experiment_id", default="")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the page.")
@click.option("--open", "opening", is_flag=True, help="Open it in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
def pricing(environment: Environment, experiment_id: str, out: Path | None, opening: bool, as_json: bool) -> None:
    """Write a page about experiments on prices: arms, lifts with their intervals. All of them if none is named."""
    try:
        reports = asyncio.run(_experiments(environment, running(environment), experiment_id))
    except RemoteError as error:
        raise explain(error, client=access.CLI) from error
    if as_json:
        click.echo(json.dumps([_plain(each) for each in reports], indent=2))
        return
    _written(out or environment.folder / "reports" / "pricing.html", pricing_page(reports), opening=opening)


def _written(path: Path, page: str, *, opening: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page.encode())
    click.echo(path)
    if opening:
        webbrowser.open(path.absolute().as_uri())


async def _experiments(
    environment: Environment, status: EnvironmentStatus, experiment_id: str
) -> list[experiments_pb2.ExperimentReport]:
    names = {experiment_id} - {""}
    if not names:
        async with stub_of(environment, status, "pricing", catalog_pb2_grpc.CatalogServiceStub) as catalog:
            kind = authored_pb2.TERMS_KIND_EXPERIMENT
            listed = await catalog.ListVersions(catalog_pb2.ListVersionsRequest(kind=kind, page_size=_EXPERIMENTS))
            names = {each.name for each in listed.versions}
    async with stub_of(environment, status, "pricing", experiments_pb2_grpc.ExperimentServiceStub) as stub:
        asked = [experiments_pb2.GetExperimentReportRequest(experiment_id=name) for name in sorted(names)]
        return [await stub.GetExperimentReport(each) for each in asked]


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
