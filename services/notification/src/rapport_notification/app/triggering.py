"""Use case: something happened; messages it asks for are taken on, and those it makes pointless are taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Counter
from rapport_chassis.telemetry.tracing import Tracer

from rapport_notification.app.accepting import Accepting
from rapport_notification.app.ledger import taken_back
from rapport_notification.app.messages import Ask, ChannelWish
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.app.traces import links_to
from rapport_notification.app.trigger_units import TriggerUnit
from rapport_notification.domain.contents import Kind
from rapport_notification.domain.entries import State
from rapport_notification.domain.holds import superseded
from rapport_notification.domain.occurrences import Occurred, Product
from rapport_notification.domain.triggers import Audience, Fields, Planned, Trigger, respond
from rapport_notification.domain.vocabulary import SECOND_US
from rapport_notification.telemetry import FAN_OUT

BATCH: Final = 100
"""Watchers written to in one transaction."""


Fills = Callable[[Mapping[str, Kind], Fields], bytes | str]
"""Returns what an event says as the content of a message, or the name of a variable that it cannot be."""


class Triggering:
    """Responds to events.

    Args:
        accepting: Takes messages on and back.
        people: Who is whose.
        fills: Makes the content of messages.
        outcomes: Counts what triggers did.
        tracer: Records messages to all who watch something.
        clock: The time.
    """

    def __init__(
        self,
        accepting: Accepting,
        people: LedgerPeople,
        fills: Fills,
        outcomes: Counter,
        tracer: Tracer,
        clock: Clock,
    ) -> None:
        self._accepting = accepting
        self._people = people
        self._fills = fills
        self._outcomes = outcomes
        self._tracer = tracer
        self._clock = clock

    async def concerned(self, unit: TriggerUnit, happened: Sequence[Occurred]) -> set[str]:
        """Return by id the events of which something comes now; nothing is changed.

        Of a person to whom something comes they are all returned: what one asks for, another may take back.

        Args:
            unit: Where to look.
            happened: What happened.
        """
        in_force = await unit.in_force(self._clock.now())
        closures = {each.event_id: self._people.ids_of(each.profile_id) for each in happened if each.profile_id}
        awaiting = await self._awaiting(unit, happened)

        def comes(occurred: Occurred) -> bool:
            ids, triggers = closures.get(occurred.event_id), in_force.get(occurred.event, ())
            return ids is None or not awaiting.isdisjoint(ids) or any(_asks(each, occurred) for each in triggers)

        found = {each.event_id for each in happened if comes(each)}
        touched = {closures[event_id][0] for event_id in found if event_id in closures}
        found |= {event_id for event_id, ids in closures.items() if ids[0] in touched}
        for each in happened:
            if each.event_id not in found:
                for trigger in in_force.get(each.event, ()):
                    self._count(trigger, "not_asked")
        return found

    async def happened(self, unit: TriggerUnit, happened: Sequence[Occurred]) -> None:
        """Take on what events ask for, after taking back what they make pointless.

        Args:
            unit: The transaction that also enters the events as received.
            happened: What happened. Of one person it is responded to in this order; of several in that of their ids, in
                which all who hold messages of more than one take hold of them.
        """
        in_force = await unit.in_force(self._clock.now())
        people = {self._people.current(each.profile_id) for each in happened if each.profile_id}
        awaiting = await self._awaiting(unit, happened)
        async with unit.messages.together(people):
            for each in sorted(happened, key=lambda occurred: self._people.current(occurred.profile_id)):
                ids = self._people.ids_of(each.profile_id) if each.profile_id else ()
                if not ids or not awaiting.isdisjoint(ids):
                    await self._take_back(unit, each, ids)
                if await self._respond(unit, each, in_force.get(each.event, ())):
                    awaiting.update(ids)  # what comes next may take it back

    async def _respond(self, unit: TriggerUnit, occurred: Occurred, triggers: Sequence[Trigger]) -> bool:
        """Take on what an event asks for, and return whether it may have asked for anything."""
        asks = False
        if occurred.event == "stock_changed" and occurred.product is not None:
            available = occurred.fields.get("available") == "true"
            before = await unit.watches.see(occurred.product, occurred.version, available=available)
            if before is not None:
                occurred = replace(occurred, fields={**occurred.fields, "was_available": str(before).lower()})
        for trigger in triggers:
            planned = respond(trigger, occurred)
            if isinstance(planned, str):
                self._count(trigger, "not_asked")
            elif trigger.audience is Audience.WATCHERS:
                await unit.watches.begin(
                    f"{occurred.event_id}:{trigger.trigger_id}", trigger.trigger_id, trigger.version, _body(occurred)
                )
            else:
                recipient = occurred.request_id or self._people.current(occurred.profile_id)
                await self._ask(unit, trigger, planned, occurred, recipient)
                asks = True
        return asks

    async def spread(self, unit: TriggerUnit) -> bool:
        """Write to some more of those who watch something; return whether there was anybody to write to."""
        fanout = await unit.watches.next_fanout()
        if fanout is None:
            return False
        trigger, occurred = await unit.version(fanout.trigger_id, fanout.version), _occurred(fanout.body)
        planned = respond(trigger, occurred)
        assert occurred.product is not None
        assert not isinstance(planned, str)
        found = await unit.watches.watchers(occurred.product, occurred.occurred_us, fanout.after_id, BATCH)
        recipients = dict.fromkeys(map(self._people.current, found))
        with self._tracer.span(FAN_OUT, links=links_to(fanout.traceparent)):
            async with unit.messages.together(recipients):
                for recipient in recipients:
                    await self._ask(unit, trigger, planned, occurred, recipient)
        await unit.watches.went(fanout.fanout_id, found[-1] if len(found) == BATCH else "")
        return True

    async def joined(self, unit: TriggerUnit, profile_ids: Sequence[str]) -> None:
        """Of what waits for several who turned out to be one, keep only the newest with each key.

        Args:
            unit: The transaction.
            profile_ids: Every id of the person, the current one first.
        """
        now_us = micros_of(self._clock.now())
        found = await unit.messages.keyed(profile_ids)
        gone = superseded([replace(each.waiting(), recipient_id=profile_ids[0]) for each in found])
        steps = [
            step
            for each in found
            if each.notification_id in gone and (step := taken_back(each, State.SUPERSEDED, now_us)) is not None
        ]
        if steps:
            await unit.messages.take(steps)

    async def _awaiting(self, unit: TriggerUnit, happened: Sequence[Occurred]) -> set[str]:
        """Return who has a waiting message that one of these events may make pointless."""
        recipients = {each for one in happened if one.profile_id for each in self._people.ids_of(one.profile_id)}
        told = [(each.event, fields) for each in happened for fields in self._told_of(each)]
        return await unit.messages.awaiting(told, sorted(recipients)) if recipients else set()

    async def _take_back(self, unit: TriggerUnit, occurred: Occurred, ids: Sequence[str]) -> None:
        """Take back what waits for a person under any id of theirs, or for anybody."""
        for fields in self._told_of(occurred):
            await self._accepting.cancel(unit.messages, occurred.event, fields, occurred.occurred_us, ids)

    def _told_of(self, occurred: Occurred) -> list[dict[str, str]]:
        """Return what an event says, of each id of the person it is about."""
        ids = self._people.ids_of(occurred.profile_id) if occurred.profile_id else ()
        return [dict(occurred.fields) | ({"profile_id": each} if each else {}) for each in ids or ("",)]

    async def _ask(
        self, unit: TriggerUnit, trigger: Trigger, planned: Planned, occurred: Occurred, recipient: str
    ) -> None:
        try:
            outcome = await self._asked(unit, trigger, planned, occurred, recipient)
        except RapportError as error:
            if error.reason.retryable:
                raise
            # A fault of what was authored, or somebody who is no more: other triggers go on.
            outcome = error.reason.name.lower()
            get_logger().warning("trigger_refused", trigger=trigger.trigger_id, reason=error.reason.name)
        self._count(trigger, outcome)

    async def _asked(
        self, unit: TriggerUnit, trigger: Trigger, planned: Planned, occurred: Occurred, recipient: str
    ) -> str:
        if trigger.once_per_s is not None:
            after_us = planned.about_us - trigger.once_per_s * SECOND_US
            ids = self._people.ids_of(recipient)
            if await unit.messages.since(ids, trigger.trigger_id, after_us, planned.supersede_key):
                return "too_soon"
        brand_id = trigger.brand_id or occurred.brand_id
        template = await unit.messages.template(trigger.template_id, brand_id)
        kinds = {name: each.kind for name, each in template.declared.items()} if template is not None else {}
        content = self._fills(kinds, planned.values)
        if isinstance(content, str):
            return "value_invalid"
        stored = await self._accepting.accept(
            unit.messages,
            Ask(
                recipient_id=recipient,
                template_id=trigger.template_id,
                message_class=trigger.message_class,
                category=trigger.category,
                purpose_id=trigger.purpose_id,
                content=content,
                brand_id=brand_id,
                market=occurred.market,
                channels=tuple(ChannelWish(channel, purpose_id) for channel, purpose_id in trigger.channels),
                locale=occurred.locale,
                not_before_us=planned.due_us,
                expires_us=planned.expires_us,
                about_us=planned.about_us,
                cause=f"{trigger.trigger_id}:{occurred.cause_key}",
                cause_event_id=occurred.event_id,
                trigger_id=trigger.trigger_id,
                decision_ids=occurred.decision_ids,
                supersede_key=planned.supersede_key,
                cancelled_by=planned.cancelled_by,
            ),
        )
        return "superseded" if stored.entry.state is State.SUPERSEDED else "asked"

    def _count(self, trigger: Trigger, outcome: str) -> None:
        self._outcomes.of(trigger.trigger_id, outcome).add()


def _asks(trigger: Trigger, occurred: Occurred) -> bool:
    return isinstance(respond(trigger, occurred), Planned)


def _body(occurred: Occurred) -> dict[str, Any]:
    """Return what happened in the form in which it is kept, which every release can read."""
    body = asdict(occurred) | {"purposes": None}
    del body["version"]
    return body


def _occurred(body: Mapping[str, Any]) -> Occurred:
    """Return what happened from its kept form."""
    product = Product(**body["product"])
    return Occurred(**{**body, "product": product, "decision_ids": tuple(body["decision_ids"])})
