"""The consent service asked for one decision, by a process whose own gate does not know."""

from typing import Final

from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.rpc.client import Client
from rapport_chassis.times import moment

from rapport_privacy.decision import Decision
from rapport_privacy.permits import Position
from rapport_privacy.state import KeyState
from rapport_privacy.vocabulary import Answer, Reason, Status

_STATUS: Final[dict[int, Status]] = {
    Reason.GRANTED: Status.GRANTED,
    Reason.EXPIRED: Status.GRANTED,
    Reason.EVIDENCE_INSUFFICIENT: Status.GRANTED,
    Reason.REFUSED: Status.REFUSED,
    Reason.WITHDRAWN: Status.WITHDRAWN,
    Reason.OBJECTED: Status.OBJECTED,
    Reason.OPTED_OUT: Status.OPTED_OUT,
}
"""What is in force where an answer names a decision of the person."""


class RemoteAuthority:
    """Asks the ledger itself.

    Args:
        client: Calls the consent service.
        clock: Tells how old an answer is when it arrives.
        deadline_s: An answer that takes longer is none: it would be about an earlier time.
    """

    def __init__(self, client: Client, clock: Clock, *, deadline_s: float) -> None:
        self._stub = client.stub(consent_pb2_grpc.ConsentServiceStub)
        self._clock = clock
        self._deadline_s = deadline_s

    async def check(self, entry: consent_pb2.CheckEntry, at_least: Position | None) -> Decision | None:
        """Return the ledger's own answer, None if there is none in time.

        Raises:
            RapportError: BRAND_REQUIRED.
        """
        request = consent_pb2.CheckConsentRequest(entry=entry, consistency=consent_pb2.CONSISTENCY_AUTHORITY)
        if at_least is not None:
            request.at_least.epoch, request.at_least.position = at_least.epoch, at_least.position
        began_at = self._clock.boottime()
        try:
            message = await self._stub.CheckConsent(request, timeout=self._deadline_s)
        except RapportError as error:
            if error.reason.name == "BRAND_REQUIRED":
                raise
            if error.reason.name == "UNKNOWN_PURPOSE":
                message = consent_pb2.Decision(
                    answer=consent_pb2.ANSWER_DENY_UNKNOWN,
                    reason=consent_pb2.DECISION_REASON_UNKNOWN_PURPOSE,
                    current_profile_id=entry.profile_id,
                )
                message.as_of.FromDatetime(self._clock.now())
            else:
                return None
        took_s = self._clock.boottime() - began_at
        # A process that was paused meanwhile may still be handed the answer.
        return _decision(message, took_s) if took_s <= self._deadline_s else None


def _decision(message: consent_pb2.Decision, took_s: float) -> Decision:
    return Decision(
        message.answer,
        message.reason,
        message.basis,
        message.purpose_version,
        message.current_profile_id,
        _state(message) if message.reference else None,
        message.position.epoch,
        message.position.position,
        moment(message.as_of),
        took_s,
    )


def _state(message: consent_pb2.Decision) -> KeyState:
    """The person's decision, as far as the answer tells; which ids grant it does not."""
    return KeyState(
        status=_STATUS.get(message.reason, Status.UNSPECIFIED),
        evidence=message.evidence,
        expires_at=moment(message.expires_at) if message.HasField("expires_at") else None,
        reference=message.reference,
        notice_id=message.notice_id,
        notice_version=message.notice_version,
        reask_not_before=moment(message.reask_not_before) if message.HasField("reask_not_before") else None,
    )


def is_stale(decision: Decision) -> bool:
    """Whether the gate does not know enough to answer."""
    return decision.answer == Answer.DENY_STALE
