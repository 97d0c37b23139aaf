"""rapport.notification.v1.TriggerService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rapport.notification.v1 import trigger_pb2, trigger_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once, actor, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_notification.app.accepting import Accepting
from rapport_notification.app.simulation import Simulating
from rapport_notification.domain.errors import ERRORS
from rapport_notification.entrypoints.edge_ports import EdgeStore, EdgeUnit
from rapport_notification.translate.templates import STATES
from rapport_notification.translate.triggers import simulation_message, trigger_in, trigger_message, trigger_of

PAGE: Final = 50
MOST: Final = 500
_WINDOW: Final = timedelta(days=7)


@dataclass(frozen=True)
class TriggerServicer(trigger_pb2_grpc.TriggerServiceServicer):
    """Triggers are drafted by a caller, tried on events of the past, and decided upon by an operator.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        accepting: Takes messages back.
        simulating: Tries triggers.
        clock: The time.
    """

    once: Once[EdgeUnit]
    store: EdgeStore
    accepting: Accepting
    simulating: Simulating
    clock: Clock

    async def UpsertTrigger(self, request: trigger_pb2.UpsertTriggerRequest, context: Context) -> trigger_pb2.Trigger:
        """Draft a version of a trigger."""
        trigger_of(request.trigger_id, 1, request.terms)

        async def drafted(unit: EdgeUnit) -> trigger_pb2.Trigger:
            body = request.terms.SerializeToString(deterministic=True)
            version = await unit.triggers.draft(request.trigger_id, body, actor=author(), now=self.clock.now())
            return trigger_message(version)

        return await self.once.run(request, trigger_pb2.Trigger, drafted, target=request.trigger_id)

    async def ActivateTrigger(
        self, request: trigger_pb2.ActivateTriggerRequest, context: Context
    ) -> trigger_pb2.Trigger:
        """Put a drafted version in force."""

        async def activated(unit: EdgeUnit) -> trigger_pb2.Trigger:
            with _named_as_triggers():
                version = await unit.triggers.activate(
                    request.trigger_id,
                    request.version,
                    active_from=moment(request.active_from) if request.HasField("active_from") else None,
                    actor=actor(),
                    reason=request.reason,
                    now=self.clock.now(),
                )
            return trigger_message(version)

        return await self._decided(request, activated)

    async def PauseTrigger(self, request: trigger_pb2.PauseTriggerRequest, context: Context) -> trigger_pb2.Trigger:
        """Take a trigger out of force, and take back what it has asked for."""

        async def paused(unit: EdgeUnit) -> trigger_pb2.Trigger:
            with _named_as_triggers():
                version = await unit.triggers.pause(
                    request.trigger_id, actor=actor(), reason=request.reason, now=self.clock.now()
                )
            await self.accepting.end(unit.messages, await unit.messages.of_trigger(request.trigger_id))
            return trigger_message(version)

        return await self._decided(request, paused)

    async def ListTriggers(
        self, request: trigger_pb2.ListTriggersRequest, context: Context
    ) -> trigger_pb2.ListTriggersResponse:
        """List versions of triggers."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (str(cursor[0]), int(cursor[1])) if cursor else ("", 0)
        async with self.store.unit() as unit:
            found = await unit.triggers.page(request.trigger_id, STATES.get(request.state), after, size + 1)
        answer = trigger_pb2.ListTriggersResponse(triggers=map(trigger_message, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.id, last.version))
        return answer

    async def SimulateTrigger(
        self, request: trigger_pb2.SimulateTriggerRequest, context: Context
    ) -> trigger_pb2.TriggerSimulation:
        """Say what a trigger would have sent on recent events."""
        window = request.window.ToTimedelta() if request.HasField("window") else _WINDOW
        async with self.store.unit() as unit:
            with _named_as_triggers():
                trigger = trigger_in(await unit.triggers.get(request.trigger_id, request.version))
            events, found = await self.simulating.try_out(trigger, window, unit.watches)
        return simulation_message(trigger.version, events, found)

    async def _decided(
        self,
        request: trigger_pb2.ActivateTriggerRequest | trigger_pb2.PauseTriggerRequest,
        decide: Callable[[EdgeUnit], Awaitable[trigger_pb2.Trigger]],
    ) -> trigger_pb2.Trigger:
        answer = await self.once.run(
            request, trigger_pb2.Trigger, decide, target=request.trigger_id, reason=request.reason
        )
        self.store.forget()
        return answer


@contextmanager
def _named_as_triggers() -> Iterator[None]:
    """Say of a version that is not there that it is a trigger's."""
    try:
        yield
    except RapportError as error:
        if error.reason.name != "VERSION_NOT_FOUND":
            raise
        raise ERRORS.error("TRIGGER_NOT_FOUND", "there is no such trigger, or version", field="version") from error
