"""rapport.notification.v1.PreferenceService over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from rapport.notification.v1 import preference_pb2, preference_pb2_grpc
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, actor, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Reason

from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.quiet_hours import QuietHours
from rapport_notification.entrypoints.ports import Unit
from rapport_notification.translate.rules import body_of, preferences_message, rule_message, wishes_in
from rapport_notification.translate.templates import STATES

PAGE: Final = 50
MOST: Final = 500
STORES: Final = {
    preference_pb2.SENDING_RULE_KIND_CATEGORY: AuthoredStore("category"),
    preference_pb2.SENDING_RULE_KIND_CAP: AuthoredStore("cap"),
}
_OWED: Final = "any"  # a fence is looked at first, whatever the purpose


class PreferenceServicer(preference_pb2_grpc.PreferenceServiceServicer):
    """Answers for preferences, categories and caps.

    Args:
        once: Takes changes, each in a transaction, once.
        unit: Opens a transaction.
        permits: The gate: it knows who was erased.
        people: Who is whose.
        hours: Knows zones and countries.
        clock: The time.
    """

    def __init__(
        self,
        once: Once[Unit],
        unit: Callable[[], AbstractAsyncContextManager[Unit]],
        permits: Permits,
        people: LedgerPeople,
        hours: QuietHours,
        clock: Clock,
    ) -> None:
        self._once = once
        self._unit = unit
        self._permits = permits
        self._people = people
        self._hours = hours
        self._clock = clock

    async def GetPreferences(
        self, request: preference_pb2.GetPreferencesRequest, context: Context
    ) -> preference_pb2.Preferences:
        """Return what a person wants."""
        self._refuse_erased(request.profile_id)
        async with self._unit() as unit:
            return await self._preferences(unit, request.profile_id)

    async def SetPreferences(
        self, request: preference_pb2.SetPreferencesRequest, context: Context
    ) -> preference_pb2.Preferences:
        """Keep what a person says."""
        self._refuse_erased(request.profile_id)
        now_us = micros_of(self._clock.now())
        wishes = wishes_in(request.preferences, now_us)
        place = self._place(request)

        async def kept(unit: Unit) -> preference_pb2.Preferences:
            if not await unit.messages.writable(request.profile_id):
                raise ERRORS.error("PROFILE_ERASED", "the person was erased", field="profile_id")
            await unit.set_wishes(request.profile_id, wishes, place, now_us)
            return await self._preferences(unit, request.profile_id)

        return await self._once.run(request, preference_pb2.Preferences, kept, target="preferences")

    async def UpsertRule(
        self, request: preference_pb2.UpsertRuleRequest, context: Context
    ) -> preference_pb2.SendingRule:
        """Draft a version of a category or a cap."""
        kind = (
            preference_pb2.SENDING_RULE_KIND_CATEGORY
            if request.HasField("category")
            else preference_pb2.SENDING_RULE_KIND_CAP
        )

        async def drafted(unit: Unit) -> preference_pb2.SendingRule:
            version = await STORES[kind].draft(
                unit.connection, request.name, body_of(request), actor=author(), now=self._clock.now()
            )
            return rule_message(version)

        return await self._once.run(request, preference_pb2.SendingRule, drafted, target=request.name)

    async def ActivateRule(
        self, request: preference_pb2.ActivateRuleRequest, context: Context
    ) -> preference_pb2.SendingRule:
        """Put a version in force."""

        async def activated(unit: Unit) -> preference_pb2.SendingRule:
            version = await STORES[request.kind].activate(
                unit.connection,
                request.name,
                request.version,
                actor=actor(),
                reason=request.reason,
                now=self._clock.now(),
                active_from=moment(request.active_from) if request.HasField("active_from") else None,
            )
            return rule_message(version)

        return await self._once.run(
            request, preference_pb2.SendingRule, activated, target=request.name, reason=request.reason
        )

    async def RetireRule(
        self, request: preference_pb2.RetireRuleRequest, context: Context
    ) -> preference_pb2.SendingRule:
        """Take a category or a cap out of force."""

        async def retired(unit: Unit) -> preference_pb2.SendingRule:
            versions = await STORES[request.kind].retire(
                unit.connection, request.name, actor=actor(), reason=request.reason, now=self._clock.now()
            )
            return rule_message(versions[-1])

        return await self._once.run(
            request, preference_pb2.SendingRule, retired, target=request.name, reason=request.reason
        )

    async def ListRules(
        self, request: preference_pb2.ListRulesRequest, context: Context
    ) -> preference_pb2.ListRulesResponse:
        """List versions of categories or caps."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (str(cursor[0]), int(cursor[1])) if cursor else ("", 0)
        async with self._unit() as unit:
            found = await STORES[request.kind].list(
                unit.connection, state=STATES.get(request.state, ""), after=after, limit=size + 1
            )
        answer = preference_pb2.ListRulesResponse(rules=map(rule_message, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.id, last.version))
        return answer

    async def _preferences(self, unit: Unit, profile_id: str) -> preference_pb2.Preferences:
        ids = self._people.ids_of(profile_id)
        person = await unit.person(ids)
        return preferences_message(ids[0], person.wishes, person.place, person.version)

    def _place(self, request: preference_pb2.SetPreferencesRequest) -> tuple[str, str] | None:
        if not request.HasField("place"):
            return None
        place = (request.place.zone, request.place.country)
        if any(place):
            try:
                self._hours.places([place])
            except ValueError as error:
                raise ERRORS.error("PLACE_INVALID", str(error), field="place") from error
        return place

    def _refuse_erased(self, profile_id: str) -> None:
        if self._permits.check(profile_id, _OWED).reason == Reason.ERASED:
            raise ERRORS.error("PROFILE_ERASED", "the person was erased", field="profile_id")
