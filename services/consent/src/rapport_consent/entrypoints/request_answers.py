"""Events that privacy requests follow: the answers of participants."""

from __future__ import annotations

from typing import Final

from rapport.common.v1 import privacy_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.take_answer import take_answer
from rapport_consent.entrypoints.request_ports import Answers, RequestStore
from rapport_consent.translate.tasks import answer_of

ANSWERED: Final = ("identity", "consent", "churn", "pricing", "notification")
"""The contexts whose streams answers are read from."""

ANSWER_EVENTS: Final = (privacy_pb2.PrivacyTaskCompleted,)
"""What is read."""


def consumer_name(context: str) -> str:
    """Return the durable consumer of one stream; `deploy/nats/consumers.yaml` declares it."""
    return f"consent-answers-{context}"


class ParticipantAnswers:
    """Handles privacy_task_completed of one context.

    Args:
        context: Whose stream it is read from: nobody answers for another.
        store: Opens transactions.
        answers: Checks signatures.
        clock: The time.
    """

    def __init__(self, context: str, store: RequestStore, answers: Answers, clock: Clock) -> None:
        self._context = context
        self._store = store
        self._answers = answers
        self._clock = clock

    async def handle(self, event: Received, connection: Connection) -> None:
        """Take an answer, in the transaction that also enters it as received; one that nobody signed is dropped.

        Raises:
            RapportError: The participant's keys cannot be asked for: the event has to come again.
        """
        message = event.parse(privacy_pb2.PrivacyTaskCompleted)
        if message.participant != self._context or not await self._answers.genuine(message):
            get_logger().error("privacy_answer_not_genuine", participant=self._context, task_id=message.task_id)
            return
        await take_answer(self._store.unit_on(connection), answer_of(message), self._clock.now())
