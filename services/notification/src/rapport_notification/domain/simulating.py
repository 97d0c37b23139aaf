"""Tries a trigger on events of the past, before it is activated: what it would have sent."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rapport_notification.domain.occurrences import Occurred
from rapport_notification.domain.triggers import Planned, Trigger, respond
from rapport_notification.domain.vocabulary import DAY_US, SECOND_US


@dataclass(frozen=True, slots=True)
class Past:
    """An event of the past, for a simulation.

    Attributes:
        occurred: What it says.
        recipients: To whom the trigger would speak: one person, or the watchers then.
    """

    occurred: Occurred
    recipients: Collection[str]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a trigger would have sent.

    Attributes:
        planned: Messages it asked for.
        sent: Of them neither superseded, cancelled, nor too soon after another.
        superseded: A newer one took their place before they were due.
        cancelled: A counter-event came before they were due.
        too_soon: Within `once_per_s` of another to the same person.
        refused: Events without a message, by reason.
        recipients: Persons who would have got one.
        busiest_day: Messages on the busiest day.
    """

    planned: int
    sent: int
    superseded: int
    cancelled: int
    too_soon: int
    refused: Mapping[str, int]
    recipients: int
    busiest_day: int


def simulate(trigger: Trigger, history: Sequence[Past]) -> Simulation:
    """Return what a trigger would have sent on past events, before quiet hours, caps and consent."""
    refused: Counter[str] = Counter()
    asked: list[tuple[str, Planned]] = []
    for each in history:
        found = respond(trigger, each.occurred)
        if isinstance(found, str):
            if each.occurred.event == trigger.event:
                refused[found] += 1
        else:
            asked += [(recipient, found) for recipient in each.recipients]
    asked.sort(key=lambda pair: pair[1].due_us)
    newest: dict[tuple[str, str], list[Planned]] = {}
    for recipient, message in asked:
        newest.setdefault((recipient, message.supersede_key), []).append(message)

    def has_newer(recipient: str, message: Planned) -> bool:
        others = newest[recipient, message.supersede_key] if message.supersede_key else ()
        return any(message.about_us < other.about_us < message.due_us for other in others)

    gone = [(who, message) for who, message in asked if not has_newer(who, message)]
    counters = _Counters(history)
    kept = [(who, message) for who, message in gone if not counters.meet(who, message)]
    sent = _spaced(kept, trigger.once_per_s)
    days = Counter(message.due_us // DAY_US for _, message in sent)
    return Simulation(
        len(asked),
        len(sent),
        len(asked) - len(gone),
        len(gone) - len(kept),
        len(kept) - len(sent),
        dict(refused),
        len({who for who, _ in sent}),
        max(days.values(), default=0),
    )


class _Counters:
    """Events that make messages pointless, by name and in order."""

    def __init__(self, history: Iterable[Past]) -> None:
        self._by_name: dict[str, list[tuple[int, Past]]] = {}
        for each in history:
            self._by_name.setdefault(each.occurred.event, []).append((each.occurred.occurred_us, each))
        for found in self._by_name.values():
            found.sort(key=_when)

    def meet(self, recipient: str, message: Planned) -> bool:
        """Say whether one came between what a message is about and when it is due."""
        for event in message.cancelled_by:
            found = self._by_name.get(event.name, [])
            first = bisect_left(found, message.about_us, key=_when)
            for _, each in found[first : bisect_left(found, message.due_us, key=_when)]:
                if recipient in each.recipients and event.is_met(event.name, each.occurred.fields):
                    return True
        return False


def _when(entry: tuple[int, Past]) -> int:
    return entry[0]


def _spaced(messages: Iterable[tuple[str, Planned]], once_per_s: int | None) -> list[tuple[str, Planned]]:
    last: dict[str, int] = {}
    found = []
    for who, message in messages:
        before = last.get(who)
        if once_per_s is not None and before is not None and message.due_us - before < once_per_s * SECOND_US:
            continue
        last[who] = message.due_us
        found.append((who, message))
    return found
