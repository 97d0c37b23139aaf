"""`rapport privacy hold`: records kept for a matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import click
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import privacy_pb2

from rapport_local import privacy_view
from rapport_local.aligned import columns
from rapport_local.environment import Environment
from rapport_local.options import environment_option
from rapport_local.privacy_calls import as_officer

_HOLDS: Final = ("hold", "about", "matter", "ground", "review", "placed by", "released", "awaited")
_PAGE: Final = 500


@click.group()
def hold() -> None:
    """Keep records for a matter: no erasure deletes them while the hold stands."""


@hold.command("list")
@environment_option
@click.option("--all", "released", is_flag=True, help="Released ones too.")
def list_holds(environment: Environment, released: bool) -> None:
    """List holds, the newest first."""
    request = privacy_pb2.ListHoldsRequest(page_size=_PAGE, released=released)
    found = as_officer(environment, lambda stub: stub.ListHolds(request)).holds
    rows = [
        (
            each.hold_id,
            each.profile_id,
            each.matter_id,
            each.ground,
            privacy_view.when(each.review_at)[:10],
            each.placed_by,
            privacy_view.when(each.released_at),
            " ".join(each.awaited),
        )
        for each in found
    ]
    for line in columns(_HOLDS, rows) if rows else ["There are no holds."]:
        click.echo(line)


@hold.command("place")
@environment_option
@click.argument("profile_id")
@click.option("--matter", required=True, help="The matter it is for.")
@click.option("--ground", default="LEGAL_CLAIM", show_default=True, help="Ground, as a code.")
@click.option("--store", "stores", multiple=True, metavar="SERVICE.STORE", help="What is held; everything if not said.")
@click.option("--review-days", default=180, show_default=True, help="In how many days it is looked at again.")
@click.option("--reason", required=True, help="Why, for the audit trail.")
def place_hold(
    environment: Environment,
    profile_id: str,
    matter: str,
    ground: str,
    stores: tuple[str, ...],
    review_days: int,
    reason: str,
) -> None:
    """Hold records of PROFILE_ID."""
    review_at = Timestamp()
    review_at.FromDatetime(datetime.now(UTC) + timedelta(days=review_days))
    request = privacy_pb2.PlaceHoldRequest(
        request_id=str(uuid4()),
        profile_id=profile_id,
        records=[
            common_pb2.HeldRecords(participant=service, store=store)
            for service, _, store in (each.partition(".") for each in stores)
        ],
        matter_id=matter,
        ground=ground,
        review_at=review_at,
        reason=reason,
    )
    click.echo(as_officer(environment, lambda stub: stub.PlaceHold(request)).hold_id)


@hold.command("release")
@environment_option
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why, for the audit trail.")
def release_hold(environment: Environment, hold_id: str, reason: str) -> None:
    """Release HOLD_ID; erasures that wait for it go on."""
    request = privacy_pb2.ReleaseHoldRequest(request_id=str(uuid4()), hold_id=hold_id, reason=reason)
    as_officer(environment, lambda stub: stub.ReleaseHold(request))
    click.echo(f"{hold_id} released.")
