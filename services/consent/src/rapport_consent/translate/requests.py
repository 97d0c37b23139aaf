"""Privacy requests: protobuf <-> domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from google.type import date_pb2
from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import privacy_pb2 as requests_pb2
from rapport.consent.v1 import privacy_request_pb2 as pb
from rapport_chassis.audit import AuditEntry
from rapport_chassis.times import stamp

from rapport_consent.domain.holds import Hold
from rapport_consent.domain.obstacles import Obstacle
from rapport_consent.domain.request_clocks import Due
from rapport_consent.domain.request_words import Channel, RequestState, RightState, Role
from rapport_consent.domain.requests import Asked, Request, SubjectRecord
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask
from rapport_consent.domain.vault import Contact, Statement, Vault
from rapport_consent.translate.tasks import hold_message

RIGHTS: Final = {
    pb.PRIVACY_RIGHT_ACCESS: Right.ACCESS,
    pb.PRIVACY_RIGHT_RECTIFICATION: Right.RECTIFICATION,
    pb.PRIVACY_RIGHT_ERASURE: Right.ERASURE,
    pb.PRIVACY_RIGHT_RESTRICTION: Right.RESTRICTION,
    pb.PRIVACY_RIGHT_PORTABILITY: Right.PORTABILITY,
    pb.PRIVACY_RIGHT_OBJECTION: Right.OBJECTION,
    pb.PRIVACY_RIGHT_CONTEST: Right.CONTEST,
}
_RIGHT_NUMBERS: Final = {right: number for number, right in RIGHTS.items()}


def state_of(state: pb.PrivacyRequestState.ValueType) -> RequestState:
    """Return a state by its number."""
    return RequestState(pb.PrivacyRequestState.Name(state).removeprefix("PRIVACY_REQUEST_STATE_"))


def request_of(
    message: requests_pb2.CreateRequestRequest,
    *,
    request_id: str,
    received_at: datetime,
    rule_pack: str,
    author: str,
    now: datetime,
) -> Request:
    """Return a request as it is asked for."""
    return Request(
        id=request_id,
        rights=tuple(
            Asked(RIGHTS[each.right], tuple(each.purpose_ids), each.ground, each.decision_id) for each in message.rights
        ),
        received_at=received_at,
        channel=Channel(pb.PrivacyChannel.Name(message.channel).removeprefix("PRIVACY_CHANNEL_")),
        role=Role(pb.RequesterRole.Name(message.requester_role).removeprefix("REQUESTER_ROLE_")),
        market=message.market,
        market_reason=message.market_reason,
        locale=message.locale,
        rule_pack=rule_pack,
        created_by=author,
        created_at=now,
        brand_id=message.brand_id,
        profile_id=message.subject.profile_id,
        pending=("RECEIPT", "IDENTITY_QUERY"),
    )


def vault_of(message: requests_pb2.CreateRequestRequest) -> Vault:
    """Return what names the requester, or is in their words."""
    contact = message.contact
    return Vault(
        contact=Contact(contact.email, contact.phone, contact.postal, contact.name),
        hint_email=message.subject.email,
        hint_phone=message.subject.phone,
        statements=tuple(
            Statement(RIGHTS[each.right].value, each.statement) for each in message.rights if each.statement
        ),
    )


def contact_message(contact: Contact) -> pb.RequesterContact:
    """Return an address."""
    return pb.RequesterContact(email=contact.email, phone=contact.phone, postal=contact.postal, name=contact.name)


def deadline_message(due: Due, today: date, rule_pack: str) -> pb.RequestDeadline:
    """Return a deadline with how it was reached."""
    return pb.RequestDeadline(
        right=_RIGHT_NUMBERS[due.right] if due.right else pb.PRIVACY_RIGHT_UNSPECIFIED,
        due_on=_day(due.deadline.due_on) if due.deadline.due_on else None,
        days_left=due.left(today),
        steps=[
            pb.DeadlineStep(
                code=step.code.value,
                day=_day(step.day),
                count=step.count,
                unit=step.unit.value if step.unit else "",
                cause=step.cause,
            )
            for step in due.deadline.steps
        ],
        calendar=due.deadline.calendar,
        rule_pack=rule_pack,
        extended=due.extended,
    )


def request_message(
    request: Request,
    *,
    dues: Sequence[Due],
    today: date,
    next_action: str,
    obstacles: Sequence[Obstacle] = (),
    tasks: Sequence[AskedTask] = (),
    packages: bool = False,
    certificate: bool = False,
) -> pb.PrivacyRequest:
    """Return a request as operators see it."""
    instructions = {each.name: each.instruction for each in request.participants}
    return pb.PrivacyRequest(
        privacy_request_id=request.id,
        state=pb.PrivacyRequestState.Value(f"PRIVACY_REQUEST_STATE_{request.state.value}"),
        rights=[_decision(each) for each in request.rights],
        received_at=stamp(request.received_at),
        channel=pb.PrivacyChannel.Value(f"PRIVACY_CHANNEL_{request.channel.value}"),
        requester_role=pb.RequesterRole.Value(f"REQUESTER_ROLE_{request.role.value}"),
        brand_id=request.brand_id,
        market=request.market,
        market_reason=request.market_reason,
        locale=request.locale,
        assignee=request.assignee,
        notes=[
            pb.RequestNote(text=note.text, author=note.author, written_at=stamp(note.written_at))
            for note in request.notes
        ],
        verifications=[
            pb.Verification(
                method=pb.VerificationMethod.Value(f"VERIFICATION_METHOD_{each.method.value}"),
                assurance=pb.ASSURANCE_LEVEL_SUBSTANTIAL,
                document=pb.SeenDocument(kind=each.document_kind, seen_on=_day(each.seen_on)) if each.seen_on else None,
                verified_at=stamp(each.verified_at),
                verified_by=each.verified_by,
            )
            for each in request.verifications
        ],
        profile_id=request.profile_id,
        closure_ids=request.closure_ids,
        records=[_record(each) for each in request.records],
        deadlines=[deadline_message(due, today, request.rule_pack) for due in dues],
        next_action=next_action,
        obstacles=[pb.Obstacle(code=each.code, of=each.of) for each in obstacles],
        stage=request.stage,
        tasks=[_task(each, instructions) for each in tasks],
        letters=[
            pb.SentLetter(
                kind=each.kind,
                locale=each.locale,
                sha256=bytes.fromhex(each.sha256),
                notification_id=each.notification_id,
                sent_at=stamp(each.sent_at),
            )
            for each in request.letters
        ],
        duplicate_of=request.duplicate_of,
        created_by=request.created_by,
        created_at=stamp(request.created_at),
        closed_at=stamp(request.closed_at) if request.closed_at else None,
        has_package=packages,
        has_certificate=certificate,
    )


def _decision(asked: Asked) -> pb.RightDecision:
    return pb.RightDecision(
        asked=pb.RightAsked(
            right=_RIGHT_NUMBERS[asked.right],
            purpose_ids=asked.purpose_ids,
            ground=asked.ground,
            decision_id=asked.decision_id,
        ),
        state=_RIGHT_STATES[asked.state],
        refusal_ground=asked.refusal_ground,
        refusal_text=asked.refusal_text,
        refusal_tells=asked.refusal_tells,
        outcome=asked.outcome.value if asked.outcome else "",
        decided_by=asked.decided_by,
        effect=asked.effect,
        review_id=asked.review_id,
        reviewed_by=asked.reviewed_by,
    )


_RIGHT_STATES: Final[Mapping[RightState, pb.PrivacyRightState.ValueType]] = {
    RightState.ASKED: pb.PRIVACY_RIGHT_STATE_ASKED,
    RightState.REFUSAL_PROPOSED: pb.PRIVACY_RIGHT_STATE_REFUSAL_PROPOSED,
    RightState.REFUSED: pb.PRIVACY_RIGHT_STATE_REFUSED,
    RightState.APPROVED: pb.PRIVACY_RIGHT_STATE_APPROVED,
    RightState.FULFILLED: pb.PRIVACY_RIGHT_STATE_FULFILLED,
}


def _record(record: SubjectRecord) -> pb.SubjectRecord:
    choice = record.choice.value
    return pb.SubjectRecord(
        record_ref=record.ref,
        source=record.source,
        profile_id=record.profile_id,
        link_bits=record.link_bits,
        doubtful=record.doubtful,
        choice=pb.SubjectChoice.Value("SUBJECT_CHOICE_" + ("UNSPECIFIED" if choice == "UNDECIDED" else choice)),
        chosen_by=record.chosen_by,
    )


def _task(task: AskedTask, instructions: Mapping[str, str]) -> pb.ParticipantTask:
    return pb.ParticipantTask(
        task_id=task.task_id,
        participant=task.participant,
        participant_kind=pb.ParticipantKind.Value(f"PARTICIPANT_KIND_{task.participant_kind.value}"),
        kind=privacy_pb2.PrivacyTaskKind.ValueType(int(task.kind)),
        asked_at=stamp(task.asked_at),
        due_at=stamp(task.due_at) if task.due_at else None,
        attempts=task.attempt + 1,
        answer=privacy_pb2.PrivacyTaskCompleted.FromString(task.answer.signed) if task.answer else None,
        instruction=instructions.get(task.participant, ""),
        confirmed_by=task.confirmed_by,
    )


def placed_hold(hold: Hold, awaited: Sequence[str] = ()) -> pb.PlacedHold:
    """Return a hold as operators see it."""
    return pb.PlacedHold(
        hold_id=hold.id,
        profile_id=hold.profile_id,
        records=hold_message(hold).records,
        matter_id=hold.matter_id,
        ground=hold.ground,
        review_at=stamp(hold.review_at),
        placed_at=stamp(hold.placed_at),
        placed_by=hold.placed_by,
        released_at=stamp(hold.released_at) if hold.released_at else None,
        released_by=hold.released_by,
        awaited=awaited,
    )


def audit_message(entry: AuditEntry) -> requests_pb2.AuditEvent:
    """Return an entry of the audit trail."""
    said = entry.content
    return requests_pb2.AuditEvent(
        position=entry.position,
        recorded_at=stamp(said.recorded_at),
        actor=said.actor,
        caller=said.caller,
        action=said.action,
        target=said.target,
        reason=said.reason,
        outcome=said.outcome,
        hash=entry.hash,
    )


def day_of(message: date_pb2.Date) -> date:
    """Return a day.

    Raises:
        ValueError: It is none.
    """
    return date(message.year, message.month, message.day)


def _day(day: date | None) -> date_pb2.Date | None:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day) if day else None
