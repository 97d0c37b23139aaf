"""Use case: something was done with a message. It is told once it is clear whether a person did it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from rapport_chassis.clock import Clock
from rapport_privacy.permits import Permits

from rapport_notification.app.messages import Stored
from rapport_notification.app.times import micros_of
from rapport_notification.domain.engagement import SETTLES_US, By, Engagement, Seen, judged

_AT_ONCE: Final = 100


class Engaging:
    """Notes and tells what is done with messages.

    Args:
        unit: Opens a transaction.
        permits: The gate: what somebody does is noted only where tracking is allowed, at that instant.
        purpose_id: The purpose of tracking.
        clock: The time.
    """

    def __init__(
        self,
        unit: Callable[[], AbstractAsyncContextManager[Any]],
        permits: Permits,
        purpose_id: str,
        clock: Clock,
    ) -> None:
        self._unit = unit
        self._permits = permits
        self._purpose_id = purpose_id
        self._clock = clock

    async def seen(self, notification_id: str, engagement: Engagement, link: str, looks: By) -> bool:
        """Note that something was done with a message; False if that may not be noted.

        Raises:
            RapportError: NOT_READY.
        """
        now_us = micros_of(self._clock.now())
        async with self._unit() as unit:
            stored: Stored | None = await unit.messages.find(notification_id)
            if stored is None or stored.to_request or not self.allowed(stored):
                return False
            await unit.feedback.see(notification_id, Seen(engagement, link, now_us, looks), now_us + SETTLES_US)
        return True

    def allowed(self, stored: Stored) -> bool:
        """Say whether what a person does with a message may be noted now."""
        ask = stored.ask
        return bool(self._permits.check(ask.recipient_id, self._purpose_id, brand_id=ask.brand_id, market=ask.market))

    async def step(self) -> bool:
        """Tell of what can be judged by now; return whether there was anything.

        Raises:
            RapportError: NOT_READY.
        """
        now_us = micros_of(self._clock.now())
        async with self._unit() as unit:
            found = await unit.feedback.settled(now_us, _AT_ONCE)
            for each in found:
                stored: Stored | None = await unit.messages.find(each.notification_id)
                by = By.UNKNOWN
                if stored is not None and self.allowed(stored):
                    around = await unit.feedback.around(each.notification_id)
                    by = judged(each.seen, around, stored.entry.begun_us)
                    await unit.tell_engaged(stored, each.seen, by)
                await unit.feedback.told(each, by)
        return len(found) == _AT_ONCE
