"""`rapport privacy activities`: the record of processing activities (GDPR Article 30), as the services declare it."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable
from typing import Final

import click
from rapport.common.v1 import participant_pb2, participant_pb2_grpc
from rapport_chassis.errors import RapportError

from rapport_local.aligned import columns
from rapport_local.calling import stub_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running
from rapport_local.services import SERVICES

_TITLES: Final = ("service", "store", "category", "origin", "source", "purposes", "recipients", "kept for")
_DAY_S: Final = 86_400


@click.command()
@environment_option
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, to be kept with each release.")
def activities(environment: Environment, as_csv: bool) -> None:
    """Show what is kept about people: of which kind, why, from where, for whom, and how long."""
    status = running(environment)

    async def read() -> list[participant_pb2.ListStoresResponse]:
        found = []
        for service in SERVICES:
            if service.participant and status.process(service.name) is not None:
                made = participant_pb2_grpc.ParticipantServiceStub
                async with stub_of(environment, status, service.name, made) as stub:
                    found.append(await stub.ListStores(participant_pb2.ListStoresRequest()))
        return found

    try:
        rows = list(activities_of(asyncio.run(read())))
    except RapportError as error:
        raise Failure(f"{error.reason.name}: {error.message}") from error
    if not as_csv:
        for line in columns(_TITLES, rows):
            click.echo(line)
        return
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([_TITLES, *rows])
    click.echo(written.getvalue(), nl=False)


def activities_of(declared: Iterable[participant_pb2.ListStoresResponse]) -> Iterable[tuple[str, ...]]:
    """Yield a row for each store that a service declares."""
    for service in declared:
        for store in service.stores:
            origin = participant_pb2.DataOrigin.Name(store.origin).removeprefix("DATA_ORIGIN_").lower()
            days = f"{store.kept_for.seconds // _DAY_S} days" if store.HasField("kept_for") else "while a customer"
            yield (
                service.participant,
                store.store,
                store.category,
                origin,
                store.source,
                " ".join(store.purposes),
                " ".join(store.recipients),
                days,
            )
