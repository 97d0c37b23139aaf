"""`rapport privacy`: what people ask of their data, as officers see to it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import uuid4

import click
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from rapport.consent.v1 import privacy_pb2, privacy_request_pb2

from rapport_local import privacy_view
from rapport_local.commands.privacy_activities import activities
from rapport_local.commands.privacy_answers import answer
from rapport_local.commands.privacy_holds import hold
from rapport_local.commands.privacy_papers import certificate, letter, package
from rapport_local.commands.privacy_restored import restored
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option
from rapport_local.privacy_calls import Stub, as_officer

_RIGHTS: Final = tuple(
    privacy_request_pb2.PrivacyRight.Name(right).removeprefix("PRIVACY_RIGHT_").lower()
    for right in list(privacy_request_pb2.PrivacyRight.values())[1:]
)
_PAGE: Final = 500

reason_option = click.option("--reason", required=True, help="Why, for the audit trail.")


@click.group()
def privacy() -> None:
    """See to requests of people about their data. Log in first: rapport login NAME --role officer."""


privacy.add_command(hold)
privacy.add_command(restored)
privacy.add_command(activities)
privacy.add_command(answer)
privacy.add_command(letter)
privacy.add_command(package)
privacy.add_command(certificate)


@privacy.command("list")
@environment_option
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--assignee", default="", help="Only those somebody works on.")
@click.option("--csv", "as_csv", is_flag=True, help="The register as CSV.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per request.")
def list_(environment: Environment, everything: bool, assignee: str, as_csv: bool, as_json: bool) -> None:
    """List the register, what is due first at the top."""
    states = list(privacy_request_pb2.PrivacyRequestState.values())[1:] if everything else []

    async def read(stub: Stub) -> list[privacy_request_pb2.PrivacyRequest]:
        found: list[privacy_request_pb2.PrivacyRequest] = []
        token = ""
        while True:
            page = await stub.ListRequests(
                privacy_pb2.ListRequestsRequest(page_size=_PAGE, page_token=token, states=states, assignee=assignee)
            )
            found += page.requests
            token = page.next_page_token
            if not token:
                return found

    found = as_officer(environment, read)
    if as_csv:
        click.echo(privacy_view.register_csv(found), nl=False)
    elif as_json:
        for each in found:
            click.echo(json_format.MessageToJson(each, indent=None, preserving_proto_field_name=True))
    elif not found:
        click.echo("There are no requests." if everything else "There are no open requests.")
    else:
        for line in privacy_view.register(found):
            click.echo(line)


@privacy.command()
@environment_option
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(environment: Environment, request_id: str, as_json: bool) -> None:
    """Show REQUEST_ID: deadlines step by step, what participants answered, what holds it up."""
    _show(
        as_officer(
            environment, lambda stub: stub.GetRequest(privacy_pb2.GetRequestRequest(privacy_request_id=request_id))
        ),
        as_json=as_json,
    )


@privacy.command("open")
@environment_option
@click.option("--right", "rights", type=click.Choice(_RIGHTS), multiple=True, required=True, help="What is asked.")
@click.option("--profile", "profile_id", default="", help="Whom it is about, where that is known.")
@click.option("--email", default="", help="An address that the person may be found by, and written to.")
@click.option("--market", required=True, help="The market whose law it is answered by, for example DE.")
@click.option("--channel", default="email", show_default=True, help="How it came.")
@click.option("--locale", default="en", show_default=True, help="Language of the requester.")
@click.option("--received", default="", help="When it came, ISO 8601; now if not said.")
@click.option("--brand", default="", help="The brand it was addressed to.")
@click.option("--ground", default="", help="Ground of a restriction, as a code.")
@click.option("--decision", default="", help="The decision contested.")
def open_(environment: Environment, rights: tuple[str, ...], **said: str) -> None:
    """Take a request in."""
    by = {"profile_id": said["profile_id"]} if said["profile_id"] else {"email": said["email"]}
    request = privacy_pb2.CreateRequestRequest(
        request_id=str(uuid4()),
        rights=[
            privacy_request_pb2.RightAsked(
                right=_right(name),
                ground=said["ground"] if name == "restriction" else "",
                decision_id=said["decision"] if name == "contest" else "",
            )
            for name in rights
        ],
        received_at=_time(said["received"]) if said["received"] else None,
        channel=_enum(privacy_request_pb2.PrivacyChannel, "PRIVACY_CHANNEL_", said["channel"]),
        requester_role=privacy_request_pb2.REQUESTER_ROLE_SUBJECT,
        contact=privacy_request_pb2.RequesterContact(email=said["email"]),
        subject=privacy_pb2.SubjectHint(**by),
        brand_id=said["brand"],
        market=said["market"],
        market_reason="RESIDENCE",
        locale=said["locale"],
    )
    made = as_officer(environment, lambda stub: stub.CreateRequest(request))
    click.echo(made.privacy_request_id)


@privacy.command()
@environment_option
@click.argument("request_id")
@click.option("--code", default="", help="The code the person was sent.")
@click.option("--document", default="", help="What was seen, as a code, for example PASSPORT; no copy is kept.")
@click.option("--letter", default="", help="What came back, as a code, for example SIGNED_REPLY.")
@click.option("--seen", default="", help="When it was seen; today if not said.")
@click.option("--profile", "profile_id", default="", help="Whom it is about, where that is known better.")
def verify(environment: Environment, request_id: str, profile_id: str, **said: str) -> None:
    """Enter how it was shown who asks in REQUEST_ID."""
    day = date.fromisoformat(said["seen"]) if said["seen"] else datetime.now(UTC).date()
    seen_on = Date(year=day.year, month=day.month, day=day.day)
    proof: dict[str, Any] = {}
    if said["code"]:
        proof["code"] = said["code"]
    elif said["document"]:
        proof["document"] = privacy_request_pb2.SeenDocument(kind=said["document"], seen_on=seen_on)
    elif said["letter"]:
        proof["letter"] = privacy_request_pb2.SeenDocument(kind=said["letter"], seen_on=seen_on)
    request = privacy_pb2.VerifyRequesterRequest(
        request_id=str(uuid4()), privacy_request_id=request_id, profile_id=profile_id, **proof
    )
    answer = as_officer(environment, lambda stub: stub.VerifyRequester(request))
    click.echo("shown." if answer.verified else f"not shown; {answer.attempts_left} attempts left with this code.")
    if not answer.verified:
        raise Failure("it was not shown who asks")


@privacy.command()
@environment_option
@click.argument("request_id")
@reason_option
def approve(environment: Environment, request_id: str, reason: str) -> None:
    """Approve what is not refused of REQUEST_ID; by somebody else than who prepared it."""
    request = privacy_pb2.ApproveRequestRequest(request_id=str(uuid4()), privacy_request_id=request_id, reason=reason)
    _show(as_officer(environment, lambda stub: stub.ApproveRequest(request)))


@privacy.command()
@environment_option
@click.argument("request_id")
@click.option("--right", "rights", type=click.Choice(_RIGHTS), multiple=True, help="Which; all if none is named.")
@click.option("--ground", required=True, help="Ground, as a code of the rule pack.")
@click.option("--text", required=True, help="Why, in words to the person.")
@click.option("--tell", "tells", multiple=True, help="What it tells besides, as codes.")
@click.option("--evidence", multiple=True, help="Where the evidence is.")
@reason_option
def refuse(
    environment: Environment,
    request_id: str,
    rights: tuple[str, ...],
    ground: str,
    text: str,
    tells: tuple[str, ...],
    evidence: tuple[str, ...],
    reason: str,
) -> None:
    """Refuse REQUEST_ID, or some of its rights, on a ground of the law."""
    request = privacy_pb2.RefuseRequestRequest(
        request_id=str(uuid4()),
        privacy_request_id=request_id,
        rights=[_right(name) for name in rights],
        ground=ground,
        text=text,
        tells=tells,
        evidence=evidence,
        reason=reason,
    )
    _show(as_officer(environment, lambda stub: stub.RefuseRequest(request)))


@privacy.command()
@environment_option
@click.argument("request_id")
@click.option("--ground", required=True, help="Ground, as a code of the rule pack, for example COMPLEXITY.")
@reason_option
def extend(environment: Environment, request_id: str, ground: str, reason: str) -> None:
    """Extend the time of REQUEST_ID; the person is told."""
    request = privacy_pb2.ExtendRequestRequest(
        request_id=str(uuid4()), privacy_request_id=request_id, ground=ground, reason=reason
    )
    _show(as_officer(environment, lambda stub: stub.ExtendRequest(request)))


def _show(request: privacy_request_pb2.PrivacyRequest, *, as_json: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(json_format.MessageToDict(request, preserving_proto_field_name=True), indent=2))
        return
    for line in privacy_view.whole(request):
        click.echo(line)


def _right(name: str) -> privacy_request_pb2.PrivacyRight.ValueType:
    return privacy_request_pb2.PrivacyRight.Value(f"PRIVACY_RIGHT_{name.upper()}")


def _enum(enum: Any, prefix: str, name: str) -> Any:
    try:
        return enum.Value(prefix + name.upper().replace("-", "_"))
    except ValueError:
        known = ", ".join(each.removeprefix(prefix).lower() for each in enum.keys()[1:])
        raise click.UsageError(f"{name!r} is none of: {known}") from None


def _time(text: str) -> Timestamp:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no time: write 2026-11-22T09:30+01:00") from None
    stamp = Timestamp()
    stamp.FromDatetime(found if found.tzinfo else found.astimezone())
    return stamp
