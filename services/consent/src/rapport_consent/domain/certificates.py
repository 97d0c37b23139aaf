"""What is left as proof once a person is erased: who did what, in numbers, and nothing about the person."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rapport_consent.domain.receipts import Controller, Json, time_text
from rapport_consent.domain.tasks import Kept, StoreCount, unexplained

SCHEMA: Final = "rapport-certificate/1"
"""Names the form of the document."""


@dataclass(frozen=True, slots=True)
class ParticipantAnswer:
    """What one participant answered to one task, as it signed it.

    Attributes:
        participant: Who.
        task: What was asked: "ERASE" or "PROBE".
        outcome: How it ended, as a code: "DONE", "PARTIAL", "NOTHING_HELD".
        completed_at: When.
        stores: Store by store.
        kept: What was kept.
        signed: The signed message (`rapport.common.v1.PrivacyTaskCompleted`), serialised as it came; empty for a
            participant that signs nothing (people, webhooks).
        public_key: Raw Ed25519 key that verifies it; empty likewise.
        confirmed_by: Who of the operators confirmed it, for people.
    """

    participant: str
    task: str
    outcome: str
    completed_at: datetime
    stores: tuple[StoreCount, ...]
    kept: tuple[Kept, ...] = ()
    signed: bytes = b""
    public_key: bytes = b""
    confirmed_by: str = ""


@dataclass(frozen=True, slots=True)
class KeysDestroyed:
    """The event of its own that keys were destroyed.

    Attributes:
        at: When.
        count: How many.
        reference: Of the entry that says so.
        participant: Whose key store it was.
    """

    at: datetime
    count: int
    reference: str
    participant: str


@dataclass(frozen=True, slots=True)
class ErasureFacts:
    """What a certificate certifies. No id of the person is among it: only how many there were.

    Attributes:
        certificate_id: Its id.
        request_id: The request.
        rule_pack: The law it was answered by, with the version of its pack.
        received_at: When the request came.
        approved_at: When it was approved.
        completed_at: When everything was done.
        ids: How many ids the closure had.
        answers: What the participants answered to the erasure.
        probe: What they answered when they were asked again afterwards.
        keys: Keys that were destroyed.
        choices: How many records were "INCLUDED", "EXCLUDED", "ASKED", for those that were only likely the person's.
        controller: Who answers for the data.
    """

    certificate_id: str
    request_id: str
    rule_pack: str
    received_at: datetime
    approved_at: datetime
    completed_at: datetime
    ids: int
    answers: tuple[ParticipantAnswer, ...]
    probe: tuple[ParticipantAnswer, ...]
    keys: tuple[KeysDestroyed, ...]
    choices: Mapping[str, int]
    controller: Controller


def certificate_faults(facts: ErasureFacts) -> tuple[str, ...]:
    """Return why the erasure may not be certified, as codes; empty if it may.

    Whoever answered the erasure has to be probed, and the probe may find nothing but what an exception keeps.
    """
    faults = []
    if not facts.answers:
        faults.append("NO_ANSWERS")
    if any(answer.outcome not in ("DONE", "PARTIAL", "NOTHING_HELD") for answer in (*facts.answers, *facts.probe)):
        faults.append("UNFINISHED")
    if {each.participant for each in facts.answers} - {each.participant for each in facts.probe}:
        faults.append("NOT_PROBED")
    if any(unexplained(answer.stores, answer.kept) for answer in facts.probe):
        faults.append("STILL_FOUND")
    return tuple(faults)


def certificate_document(facts: ErasureFacts) -> dict[str, Json]:
    """Return the certificate as it is signed: numbers and times are text, so that it has one canonical form."""
    return {
        "schema": SCHEMA,
        "certificate_id": facts.certificate_id,
        "request_id": facts.request_id,
        "right": "ERASURE",
        "rule_pack": facts.rule_pack,
        "received_at": time_text(facts.received_at),
        "approved_at": time_text(facts.approved_at),
        "completed_at": time_text(facts.completed_at),
        "ids": str(facts.ids),
        "controller": {"party_id": facts.controller.party_id, "name": facts.controller.name},
        "answers": [_answer(each) for each in facts.answers],
        "probe": [_answer(each) for each in facts.probe],
        "keys_destroyed": [
            {
                "at": time_text(each.at),
                "count": str(each.count),
                "participant": each.participant,
                "reference": each.reference,
            }
            for each in facts.keys
        ],
        "choices": {choice: str(count) for choice, count in sorted(facts.choices.items())},
    }


def _answer(answer: ParticipantAnswer) -> dict[str, Json]:
    return {
        "participant": answer.participant,
        "task": answer.task,
        "outcome": answer.outcome,
        "completed_at": time_text(answer.completed_at),
        "stores": [
            {"store": each.store, "found": str(each.found), "erased": str(each.acted)} for each in answer.stores
        ],
        "kept": [
            {
                "store": each.store,
                "count": str(each.count),
                "ground": each.ground,
                "until": time_text(each.until) if each.until else "",
            }
            for each in answer.kept
        ],
        "signed": b64encode(answer.signed).decode(),
        "public_key": b64encode(answer.public_key).decode(),
        "confirmed_by": answer.confirmed_by,
    }
