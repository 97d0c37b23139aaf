"""Certifies an adapter for a provider: at every point where a call can break, what it says must be true.

An adapter that says "sent" of what did not arrive loses messages; one that says "not sent" of what did sends twice.
"I cannot tell" is true everywhere, and a fault only where the adapter could have told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_notification.sending.outcome import Handed, Outcome

Send = Callable[[str, Callable[[], bool]], Awaitable[Outcome]]
"""Hands the message of an id over; the second argument is asked right before the first byte."""

UNTELLABLE: Final = frozenset({Fault.DROP_IN_BODY, Fault.DROP_AFTER_BODY, Fault.STALL_AFTER_BODY, Fault.DROP_UNTAKEN})
"""Where nobody could tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an adapter did wrong.

    Attributes:
        fault: Where the call broke.
        said: What it said.
        arrived: What was true.
        what: In words.
    """

    fault: Fault
    said: Handed
    arrived: bool
    what: str


async def certify(sink: SmtpSink, send: Send) -> list[Finding]:
    """Try every fault and return what was wrong; an adapter without findings is certified.

    Args:
        sink: Made with `fault=faults()`: the transactions break in turn.
        send: The adapter, speaking to the sink.
    """
    findings = []
    for number, fault in enumerate(Fault):
        message_id = f"ntf_fault{number}.1@conformance.example"
        asked = 0

        def may_send() -> bool:
            nonlocal asked
            asked += 1
            return True

        outcome = await send(message_id, may_send)
        arrived = sink.taken.ids[message_id]
        what = _judge(fault, outcome, arrived, asked)
        if what:
            findings.append(Finding(fault, outcome.handed, bool(arrived), what))
    before = sum(sink.taken.ids.values())
    outcome = await send("ntf_forbidden.1@conformance.example", lambda: False)
    if outcome.handed is not Handed.WITHDRAWN or sum(sink.taken.ids.values()) != before:
        findings.append(Finding(Fault.NONE, outcome.handed, False, "it sent what was forbidden in the last moment"))
    return findings


def in_turn(number: int) -> Fault:
    """Return the fault of a transaction: each in turn, then none."""
    faults = list(Fault)
    return faults[number] if number < len(faults) else Fault.NONE


def _judge(fault: Fault, outcome: Outcome, arrived: int, asked: int) -> str:
    if arrived > 1:
        return "it sent one message twice"
    if arrived and not asked:
        return "it did not ask before it sent"
    if outcome.handed is Handed.SENT and not arrived:
        return "it says sent of what did not arrive"
    if outcome.certain and outcome.handed is not Handed.SENT and arrived:
        return "it says not sent of what arrived"
    if outcome.handed is Handed.UNKNOWN and fault not in UNTELLABLE:
        return "it could have told, and did not"
    if fault is Fault.NONE and outcome.handed is not Handed.SENT:
        return "it does not send when nothing is wrong"
    return ""
