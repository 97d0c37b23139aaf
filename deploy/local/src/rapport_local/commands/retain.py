"""`rapport retain`: who of the customers taken in may leave, what they are offered, who is written to; and a page."""

from __future__ import annotations

import asyncio
import webbrowser
from datetime import UTC, datetime
from pathlib import Path

import click
from rapport.churn.v1 import model_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.files import replace_file
from rich.console import Console

from rapport_local import access
from rapport_local.calling import explain
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.ingest.mapping import Retention, read_mapping
from rapport_local.ingest.tables import Files
from rapport_local.options import environment_option, running
from rapport_local.reports.retention import retention_page
from rapport_local.retention.desk import open_desk
from rapport_local.retention.learning import learned, serving
from rapport_local.retention.offering import Sold, best_sellers, priced, written
from rapport_local.retention.outcome import Outcome, outcome
from rapport_local.status import EnvironmentStatus

_SEED = 1


@click.command()
@environment_option
@click.argument("mapping_file", metavar="MAPPING", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the files, if not MAPPING's.")
@click.option("--despite-gates", is_flag=True, help="Let the model serve though it did not pass every gate.")
@click.option("--within", "within_s", default=300.0, show_default=True, help="Seconds to wait for what follows.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the page.")
@click.option("--open", "opening", is_flag=True, help="Open it in a browser.")
def retain(
    environment: Environment,
    mapping_file: Path,
    data: Path | None,
    despite_gates: bool,
    within_s: float,
    out: Path | None,
    opening: bool,
) -> None:
    """Learn who leaves from what MAPPING took in, score everybody, offer, price, write; and report all of it.

    Run `rapport ingest MAPPING` first, and log in: rapport login NAME --role administrator. What is done, MAPPING says
    under `retention`; whether it may be done to a customer, the consent gate says each time.
    """
    mapping, files = read_mapping(mapping_file), Files(data or mapping_file.parent)
    if mapping.retention is None:
        raise Failure("the mapping does not say what is done for customers who may leave", hint="see `retention`")
    status = running(environment)
    sold = best_sellers(mapping, files, mapping.retention.products)
    try:
        model, became = asyncio.run(_retain(environment, status, mapping.retention, sold, within_s, despite_gates))
    except RemoteError as error:
        raise explain(error, client=access.CLI) from error
    path = out or environment.folder / "reports" / f"retention-{mapping.name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, retention_page(mapping.name, model, became, datetime.now(UTC)).encode())
    for name, count in (
        ("scored", len(became.ranked)),
        ("at risk", len(became.at_risk)),
        *((f"offer {what}", count) for what, count in became.offers.items()),
        *((" ".join(filter(None, ("mail", *key))), count) for key, count in became.messages.items()),
    ):
        click.echo(f"{count:>8,}  {name}")
    click.echo(path)
    if opening:
        webbrowser.open(path.absolute().as_uri())


async def _retain(
    environment: Environment,
    status: EnvironmentStatus,
    plan: Retention,
    sold: list[Sold],
    within_s: float,
    despite_gates: bool,
) -> tuple[model_pb2.Model, Outcome]:
    console = Console(stderr=True)
    async with open_desk(environment, status) as desk:
        await priced(desk, plan, sold)
        await written(desk, plan)
        console.print(f"{len(sold)} products have a price; offers and mails are in force")
        model = await learned(desk, _SEED)
        console.print(f"{model.model_id} was trained on {model.trained_rows:,} looks back")
    async with open_desk(environment, status) as desk:  # a training may outlast what shows who is logged in
        await serving(desk, model, despite_gates=despite_gates)
        console.print("it serves; everybody is scored, and what follows from that is waited for")
    async with open_desk(environment, status) as desk:
        return model, await outcome(desk, plan.market, [each.product_id for each in sold], within_s=within_s)
