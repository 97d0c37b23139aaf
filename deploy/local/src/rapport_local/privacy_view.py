"""Privacy requests as an officer reads them: what is due, what participants answered, what is stuck and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, date
from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import privacy_request_pb2 as pb

from rapport_local.aligned import columns

REGISTER: Final = ("request", "state", "rights", "due", "left", "next", "market", "assignee", "held up by")
_TASKS: Final = ("participant", "asked", "attempt", "answer", "found", "acted", "kept", "due (UTC)", "task")
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
_SOON: Final = 7


def register(requests: Iterable[pb.PrivacyRequest]) -> list[str]:
    """Return the register as a table, what is due first at the top."""
    return list(columns(REGISTER, [_row(each) for each in requests]))


def register_csv(requests: Iterable[pb.PrivacyRequest]) -> str:
    """Return the register as CSV; no cell is read as a formula."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(REGISTER)
    for each in requests:
        writer.writerow([f"'{cell}" if cell.startswith(_DANGEROUS) else cell for cell in _row(each)])
    return target.getvalue()


def whole(request: pb.PrivacyRequest) -> Iterator[str]:
    """Yield a request line by line."""
    yield click.style(request.privacy_request_id, bold=True) + f"  {state(request)}  {request.stage}".rstrip()
    channel = _name(pb.PrivacyChannel.Name(request.channel))
    yield f"  received {when(request.received_at)} by {channel}, {request.market}"
    if request.profile_id:
        ids = f", {len(request.closure_ids)} ids in all" if request.closure_ids else ""
        yield f"  about {request.profile_id}{ids}"
    if request.duplicate_of:
        yield click.style(f"  repeats {request.duplicate_of}", fg="yellow")
    for decision in request.rights:
        said = [_name(pb.PrivacyRightState.Name(decision.state)), decision.outcome, decision.refusal_ground]
        yield f"  {_right(decision.asked.right)}: {', '.join(filter(None, said))}"
    for each in request.verifications:
        yield f"  shown by {_name(pb.VerificationMethod.Name(each.method))} at {when(each.verified_at)}"
    for due in request.deadlines:
        yield f"  {_deadline(due)}"
        for step in due.steps:
            count = f" {step.count} {step.unit}" if step.count else ""
            yield click.style(f"      {_day(step.day)}  {step.code}{count} {step.cause}".rstrip(), dim=True)
    for record in request.records:
        if record.doubtful:
            choice = _name(pb.SubjectChoice.Name(record.choice))
            yield f"  doubtful record {record.record_ref} of {record.source} ({record.link_bits:.1f} bits): {choice}"
    for obstacle in request.obstacles:
        yield click.style(f"  held up: {_obstacle(obstacle)}", fg="yellow")
    for note in request.notes:
        yield f"  note by {note.author}: {note.text}"
    for letter in request.letters:
        how = letter.notification_id or "to be printed"
        yield f"  letter {letter.kind} of {when(letter.sent_at)}: {how}"
    if request.tasks:
        yield ""
        yield from columns(_TASKS, [_task(each) for each in request.tasks])
    yield f"  next: {request.next_action}"


def state(request: pb.PrivacyRequest) -> str:
    """Return where a request stands."""
    return _name(pb.PrivacyRequestState.Name(request.state))


def when(stamp: Timestamp) -> str:
    """Return a time to the minute."""
    return f"{stamp.ToDatetime(UTC):%Y-%m-%d %H:%M}" if stamp.seconds else ""


def _row(request: pb.PrivacyRequest) -> tuple[str, ...]:
    due = next((each for each in request.deadlines if each.right), None)
    return (
        request.privacy_request_id,
        state(request),
        "+".join(_right(each.asked.right) for each in request.rights),
        _day(due.due_on) if due else "",
        _left(due) if due else "",
        request.next_action,
        request.market,
        request.assignee,
        "; ".join(map(_obstacle, request.obstacles)),
    )


def _left(due: pb.RequestDeadline) -> str:
    if not due.HasField("days_left"):
        return "stands still"
    if due.days_left < 0:
        return f"{-due.days_left} days late"
    return f"{due.days_left} days" + ("!" if due.days_left <= _SOON else "")


def _deadline(due: pb.RequestDeadline) -> str:
    what = _right(due.right) if due.right else "confirmation"
    extended = ", extended" if due.extended else ""
    return f"{what} due {_day(due.due_on) or 'when the clock goes on'} ({_left(due)}{extended}; {due.rule_pack})"


def _task(task: pb.ParticipantTask) -> tuple[str, ...]:
    asked = _name(common_pb2.PrivacyTaskKind.Name(task.kind))
    if not task.HasField("answer"):
        answer, found, acted, kept = task.instruction or "awaited", "", "", ""
    else:
        answer = _name(common_pb2.PrivacyTaskOutcome.Name(task.answer.outcome))
        found = str(sum(each.found for each in task.answer.stores))
        acted = str(sum(each.acted for each in task.answer.stores))
        kept = ", ".join(
            f"{each.count} {each.store} {each.ground} {when(each.until)}".rstrip() for each in task.answer.exceptions
        )
    return (task.participant, asked, str(task.attempts), answer, found, acted, kept, when(task.due_at), task.task_id)


def _obstacle(obstacle: pb.Obstacle) -> str:
    return f"{obstacle.code} {' '.join(obstacle.of)}".rstrip()


def _right(right: pb.PrivacyRight.ValueType) -> str:
    return _name(pb.PrivacyRight.Name(right))


def _name(value: str) -> str:
    for prefix in (
        "PRIVACY_REQUEST_STATE_",
        "PRIVACY_RIGHT_STATE_",
        "PRIVACY_RIGHT_",
        "PRIVACY_CHANNEL_",
        "PRIVACY_TASK_KIND_",
        "PRIVACY_TASK_OUTCOME_",
        "VERIFICATION_METHOD_",
        "SUBJECT_CHOICE_",
    ):
        value = value.removeprefix(prefix)
    return value.lower().replace("_", " ")


def _day(day: Date) -> str:
    return date(day.year, day.month, day.day).isoformat() if day.year else ""
