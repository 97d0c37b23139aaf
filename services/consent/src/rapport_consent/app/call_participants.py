"""Use case: call the participants that take their tasks over HTTP, again and again until they have answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.failpoints import failpoint

from rapport_consent.app.request_peers import Webhooks
from rapport_consent.app.request_ports import RequestStore
from rapport_consent.app.take_answer import take_answer
from rapport_consent.domain.holds import protected

_EVERYTHING: Final = ""


@dataclass(frozen=True)
class CallParticipants:
    """Calls one after the other, in as many processes as there are.

    Attributes:
        store: Opens transactions.
        webhooks: Calls them.
        clock: The time.
    """

    store: RequestStore
    webhooks: Webhooks
    clock: Clock

    async def step(self) -> bool:
        """Call for the task that waits longest; return whether there was one.

        One that does not answer is called again, ever more seldom. What holds keep is read right before the call.

        Raises:
            RapportError: The database cannot be reached.
        """
        async with self.store.unit() as unit:
            task = await unit.tasks.next_call(self.clock.now(), self.webhooks.names)
            if task is None:
                return False
            request = await unit.requests.get(task.request_id)
            holds = await unit.holds.of(request.subject_ids)
        stores = {each.store for hold in holds for each in hold.records if each.participant == task.participant}
        kept = {store: protected(holds, task.participant, store) for store in sorted({_EVERYTHING, *stores})}
        answer = await self.webhooks.call(task, request.subject_ids, kept)
        failpoint("request.called")
        if answer is not None:
            async with self.store.unit() as unit:
                await take_answer(unit, answer, self.clock.now(), f"webhook:{task.participant}")
        return True
