import json

import pytest
from rapport_chassis.outbound import Endpoint
from rapport_notification.domain.vocabulary import DAY_US
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.sms import SmsMessage, SmsProvider
from rapport_notification.sending.sms_http import SmsHttpProvider, SmsHttpSettings

MESSAGE = SmsMessage("+4915112345678", "Brand", "Grüße", "ntf_1.1")
ENDPOINT = Endpoint.parse("https://sms.provider.example/messages")


class Service(Poster):
    def __init__(self, outcome: Outcome) -> None:
        self.posted: list = []
        self._outcome = outcome

    async def post(self, endpoint, headers, body, may_send) -> Outcome:
        self.posted.append((endpoint, headers, body))
        return self._outcome


def provider(outcome: Outcome, key_for_us: int = DAY_US) -> tuple[SmsProvider, Service]:
    service = Service(outcome)
    return SmsHttpProvider(SmsHttpSettings(ENDPOINT, "secret", key_for_us), service), service


async def test_a_message_goes_with_its_key_and_secrets_are_not_shown() -> None:
    sending, service = provider(Outcome(Handed.SENT, 202))
    assert (await sending.send(MESSAGE, lambda: True)).handed is Handed.SENT
    [(endpoint, headers, body)] = service.posted
    assert endpoint is ENDPOINT
    assert headers["idempotency-key"] == "ntf_1.1"
    assert json.loads(body) == {"to": "+4915112345678", "from": "Brand", "text": "Grüße", "reference": "ntf_1.1"}
    assert sending.capability.key_for_us == DAY_US
    assert await sending.seen("ntf_1.1") is None
    assert "secret" not in repr(SmsHttpSettings(ENDPOINT, "secret"))


@pytest.mark.parametrize(
    ("code", "key_for_us", "handed"),
    [
        (409, DAY_US, Handed.SENT),
        (409, 0, Handed.DEFERRED),
        (422, DAY_US, Handed.REFUSED),
        (401, DAY_US, Handed.DEFERRED),
        (503, DAY_US, Handed.DEFERRED),
    ],
)
async def test_answers_are_understood(code: int, key_for_us: int, handed: Handed) -> None:
    sending, _ = provider(Outcome(Handed.DEFERRED, code), key_for_us)
    assert (await sending.send(MESSAGE, lambda: True)).handed is handed
