"""Certifies an adapter for a provider: at every point where a call can break, what it says must be true.

An adapter that says "sent" of what did not arrive loses messages; one that says "not sent" of what did sends twice.
"I cannot tell" is true everywhere, and a fault only where the adapter could have told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, TypeVar

from rapport_notification.conformance.smtp_sink import Fault
from rapport_notification.sending.outcome import Handed, Outcome

F = TypeVar("F", bound=Enum)
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

    fault: Enum
    said: Handed
    arrived: bool
    what: str


class Taken(Protocol):
    """What a sink has taken.

    Attributes:
        ids: How often each id came.
    """

    ids: Counter[str]


class Sink(Protocol):
    """A peer that counts what it takes: `SmtpSink`, `HttpSink`."""

    @property
    def taken(self) -> Taken:
        """What it has taken."""
        ...


async def certify(
    sink: Sink,
    send: Send,
    *,
    faults: type[Enum] = Fault,
    untellable: Collection[Enum] = UNTELLABLE,
    id_form: str = "ntf_{}.1@conformance.example",
) -> list[Finding]:
    """Try every fault and return what was wrong; an adapter without findings is certified.

    Args:
        sink: Made with `in_turn`: the transactions break in turn.
        send: The adapter, speaking to the sink.
        faults: The faults of the sink; the first is none.
        untellable: Of them those after which nobody can tell.
        id_form: How ids of messages look.
    """
    findings = []
    for number, fault in enumerate(faults):
        message_id = id_form.format(f"fault{number}")
        asked = 0

        def may_send() -> bool:
            nonlocal asked
            asked += 1
            return True

        outcome = await send(message_id, may_send)
        arrived = sink.taken.ids[message_id]
        what = _judge(outcome, arrived, asked, well=number == 0, untellable=fault in untellable)
        if what:
            findings.append(Finding(fault, outcome.handed, bool(arrived), what))
    before = sum(sink.taken.ids.values())
    outcome = await send(id_form.format("forbidden"), lambda: False)
    if outcome.handed is not Handed.WITHDRAWN or sum(sink.taken.ids.values()) != before:
        findings.append(
            Finding(next(iter(faults)), outcome.handed, False, "it sent what was forbidden in the last moment")
        )
    return findings


def in_turn(faults: type[F]) -> Callable[[int], F]:
    """Return what gives the fault of each transaction: each in turn, then the first, which is none."""
    kinds = list(faults)
    return lambda number: kinds[number] if number < len(kinds) else kinds[0]


def _judge(outcome: Outcome, arrived: int, asked: int, *, well: bool, untellable: bool) -> str:
    if arrived > 1:
        return "it sent one message twice"
    if arrived and not asked:
        return "it did not ask before it sent"
    if outcome.handed is Handed.SENT and not arrived:
        return "it says sent of what did not arrive"
    if outcome.certain and outcome.handed is not Handed.SENT and arrived:
        return "it says not sent of what arrived"
    if outcome.handed is Handed.UNKNOWN and not untellable:
        return "it could have told, and did not"
    if well and outcome.handed is not Handed.SENT:
        return "it does not send when nothing is wrong"
    return ""
