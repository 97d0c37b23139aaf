"""Our own adapter under the kit, and adapters that are wrong in known ways, which the kit must find out."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rapport_notification.conformance.faults import certify, in_turn
from rapport_notification.conformance.kills import kill_again_and_again
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_notification.sending.fields import Address
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings
from rapport_testing.prove import Scale

ENVELOPE = Envelope(Address("b@brand.example"), Address("a@example.org"))


def pool_to(sink: SmtpSink) -> SmtpPool:
    host, port = sink.address
    # One message a connection: a transaction that broke on one that was kept would be begun again, on the next fault.
    return SmtpPool(SmtpSettings(host, port, tls="never", connections=1, messages=1, timeout_s=0.5))


def mail(message_id: str) -> bytes:
    return f"Message-ID: <{message_id}>\r\n\r\nhello\r\n".encode()


async def test_our_adapter_for_mail_servers_is_certified() -> None:
    async with SmtpSink(in_turn) as sink:
        pool = pool_to(sink)
        findings = await certify(sink, lambda message_id, may: pool.send(ENVELOPE, mail(message_id), may))
        await pool.close()
        assert findings == []
        assert sink.taken.tried >= len(Fault)


def lies(said: Callable[[Outcome], Outcome], asks: bool = True):
    async def run(sink: SmtpSink) -> set[str]:
        pool = pool_to(sink)

        async def send(message_id: str, may: Callable[[], bool]) -> Outcome:
            return said(await pool.send(ENVELOPE, mail(message_id), may if asks else lambda: True))

        findings = await certify(sink, send)
        await pool.close()
        return {each.what for each in findings}

    return run


@pytest.mark.parametrize(
    ("adapter", "found"),
    [
        (lies(lambda outcome: Outcome(Handed.SENT)), "it says sent of what did not arrive"),
        (lies(lambda outcome: Outcome(Handed.DEFERRED)), "it says not sent of what arrived"),
        (lies(lambda outcome: Outcome(Handed.UNKNOWN)), "it could have told, and did not"),
        (lies(lambda outcome: outcome, asks=False), "it did not ask before it sent"),
    ],
    ids=["optimist", "pessimist", "agnostic", "deaf"],
)
async def test_an_adapter_that_is_wrong_is_found_out(adapter, found: str) -> None:
    async with SmtpSink(in_turn) as sink:
        assert found in await adapter(sink)


@pytest.mark.parametrize("askable", [True, False], ids=["a peer that can be asked", "a blind peer"])
async def test_no_kill_loses_a_message_or_sends_it_twice(
    askable: bool, tmp_path: Path, scale: Scale, prove, progress
) -> None:
    messages, kills = scale.pick(small=(300, 3), full=(20_000, 100))
    bar = progress(kills, "kills")
    toll = await kill_again_and_again(
        tmp_path / "journal",
        messages=messages,
        connections=8,
        kills=kills,
        askable=askable,
        draw=random.Random(5),
        progress=bar.advance,
    )
    assert (toll.lost, toll.twice, toll.open) == (0, 0, 0)
    assert toll.kills >= kills - 1
    assert toll.ambiguous <= (0 if askable else toll.kills * 8)
    name = "askable" if askable else "blind"
    prove(
        "notification", **{f"kills_{name}": toll.kills, f"ambiguous_{name}": toll.ambiguous, f"sent_{name}": messages}
    )
