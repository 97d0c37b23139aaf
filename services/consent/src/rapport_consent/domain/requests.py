"""A privacy request: what is asked, by whom, about whom, how far it has come. What may come next: `request_rules`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from rapport_consent.domain.request_words import (
    ASSURANCE_OF,
    OPEN,
    Channel,
    Choice,
    Method,
    Outcome,
    ParticipantKind,
    RequestState,
    RightState,
    Role,
)
from rapport_consent.domain.rule_packs import Assurance, Right


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who holds data, as the registry had it when the request was approved.

    Attributes:
        name: Its name, unique in the registry.
        kind: How it is reached.
        owner: Who does it, where people do.
        instruction: What they are to do.
        days: In how many days it is to be answered.
    """

    name: str
    kind: ParticipantKind = ParticipantKind.EVENT
    owner: str = ""
    instruction: str = ""
    days: int = 7


@dataclass(frozen=True, slots=True)
class Asked:
    """One right of a request.

    Attributes:
        right: The right.
        purpose_ids: Purposes objected to; empty for all direct marketing.
        ground: Ground of a restriction, as a code.
        decision_id: The decision contested.
        state: Where it stands.
        refusal_ground: Ground of a refusal, as a code.
        refusal_text: Why, in words to the person.
        refusal_tells: What the refusal tells besides, as codes.
        evidence: Where the evidence for the refusal is.
        proposed_by: Who proposed a refusal that another actor must confirm.
        decided_by: Who decided.
        outcome: How it ended.
        review_id: The review that who made the contested decision was asked for.
        reviewed_by: Who made the review, where people had to.
        effect: What came of a review, in words to the person.
    """

    right: Right
    purpose_ids: tuple[str, ...] = ()
    ground: str = ""
    decision_id: str = ""
    state: RightState = RightState.ASKED
    refusal_ground: str = ""
    refusal_text: str = ""
    refusal_tells: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    proposed_by: str = ""
    decided_by: str = ""
    outcome: Outcome | None = None
    effect: str = ""
    review_id: str = ""
    reviewed_by: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """One thing by which somebody showed who they are.

    Attributes:
        method: How.
        verified_at: When.
        verified_by: Who says so: subject of an operator, or URI of a service.
        document_kind: What was seen, as a code; no copy is kept.
        seen_on: When it was seen.
    """

    method: Method
    verified_at: datetime
    verified_by: str
    document_kind: str = ""
    seen_on: date | None = None


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """A record of the person.

    Attributes:
        ref: A digest of its key.
        source: Where it came from.
        profile_id: Profile id it was recorded under.
        link_bits: Score of the weakest join that holds it to the others; None where it is certain.
        doubtful: Whether it is held by less than the request needs.
        choice: What becomes of it.
        chosen_by: Who chose.
    """

    ref: str
    source: str
    profile_id: str
    link_bits: float | None = None
    doubtful: bool = False
    choice: Choice = Choice.UNDECIDED
    chosen_by: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A note on a request."""

    text: str
    author: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it was handed over to be sent.

    Attributes:
        kind: Which, as a code.
        locale: In which language.
        sha256: Of exactly what was sent, in hexadecimal.
        notification_id: By which notification; empty for one that goes by post.
        sent_at: When.
    """

    kind: str
    locale: str
    sha256: str
    notification_id: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Extension:
    """The time was extended."""

    ground: str
    told_on: date
    actor: str


@dataclass(frozen=True, slots=True)
class IdentityQuery:
    """The requester was asked who they are."""

    asked_on: date
    answered_on: date | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A privacy request.

    Attributes:
        id: The request.
        rights: What is asked, each right once.
        received_at: When it came: clocks start here.
        channel: How it came.
        role: For whom the requester asks.
        market: The market whose law it is answered by.
        market_reason: Why that market, as a code.
        locale: Language of the requester.
        rule_pack: What the law said on the day it came, by name and version.
        created_by: Who took it in.
        created_at: When it was entered.
        brand_id: The brand it was addressed to.
        state: Where it stands.
        stage: How far its fulfilment has come; empty before.
        profile_id: Whom it is about; empty while that is not known.
        closure_ids: Every id of the person, once identity has frozen them.
        records: The person's records.
        participants: The registry as it was when the request was approved.
        verifications: How it was shown who asks.
        identity_queries: When it was asked who they are.
        extension: Whether its time was extended.
        assignee: Who works on it.
        notes: What was noted.
        letters: What was sent.
        duplicate_of: The request of the same person that this one repeats.
        epoch: The ledger's epoch when it was fenced.
        position: Position of its fences; 0 before.
        closed_at: When it was closed.
        reopened: How often a merge or split reopened the subject.
        searched: Whether identity was asked whom it is about.
        pending: Letters that are to be handed over, as codes.
        approved_at: When it was approved.
        outdated: Tasks that are to be asked anew: they were about other ids, or about another approval.
        stuck: Why the last turn at it failed, as a code; empty if it did not.
    """

    id: str
    rights: tuple[Asked, ...]
    received_at: datetime
    channel: Channel
    role: Role
    market: str
    market_reason: str
    locale: str
    rule_pack: str
    created_by: str
    created_at: datetime
    brand_id: str = ""
    state: RequestState = RequestState.RECEIVED
    stage: str = ""
    profile_id: str = ""
    closure_ids: tuple[str, ...] = ()
    records: tuple[SubjectRecord, ...] = ()
    participants: tuple[Participant, ...] = ()
    verifications: tuple[Verification, ...] = ()
    identity_queries: tuple[IdentityQuery, ...] = ()
    extension: Extension | None = None
    assignee: str = ""
    notes: tuple[Note, ...] = ()
    letters: tuple[Letter, ...] = ()
    duplicate_of: str = ""
    epoch: str = ""
    position: int = 0
    closed_at: datetime | None = None
    reopened: int = 0
    searched: bool = False
    pending: tuple[str, ...] = ()
    stuck: str = ""
    approved_at: datetime | None = None
    outdated: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in OPEN

    @property
    def restless(self) -> bool:
        """Whether something is to be done about it before it is decided: a search, or a letter."""
        return not self.searched or bool(self.pending)

    @property
    def assurance(self) -> Assurance:
        """How sure one is of who asks."""
        methods = {each.method for each in self.verifications}
        if len(methods) > 1:
            return Assurance.HIGH
        return max((ASSURANCE_OF[each] for each in methods), default=Assurance.NONE)

    def asks(self, right: Right) -> bool:
        """Whether a right was approved, or has been fulfilled."""
        return any(
            each.right is right and each.state in (RightState.APPROVED, RightState.FULFILLED) for each in self.rights
        )

    def of(self, right: Right) -> Asked | None:
        """Return what is asked by a right."""
        return next((each for each in self.rights if each.right is right), None)

    @property
    def in_review(self) -> bool:
        """Whether people have yet to decide what only people may."""
        reviewed = (Right.RECTIFICATION, Right.CONTEST)
        return any(each.right in reviewed and each.state is RightState.APPROVED for each in self.rights)

    @property
    def undecided_records(self) -> tuple[SubjectRecord, ...]:
        """Doubtful records about which nobody has chosen, or the requester has not answered."""
        return tuple(each for each in self.records if each.doubtful and each.choice in (Choice.UNDECIDED, Choice.ASKED))

    @property
    def known_ids(self) -> frozenset[str]:
        """Every id under which the person is known so far."""
        return frozenset({*self.subject_ids, *(each.profile_id for each in self.records)} - {""})

    @property
    def subject_ids(self) -> tuple[str, ...]:
        """Every id that tasks are about."""
        return self.closure_ids or ((self.profile_id,) if self.profile_id else ())
