"""What notification holds of a person can be handed out and is erased; an address that was given up stays given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notification_desk import Desk, message, request_id
from notification_installation import NotificationInstallation
from rapport.notification.v1 import events_pb2, preference_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.times import stamp
from rapport_notification.adapters.privacy_holding import NotificationHolding
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.conformance.smtp_sink import Fault
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Held, Subject
from rapport_testing.refusals import refused

HOLDING = NotificationHolding(Sealer([bytes(32)]))


async def test_an_erasure_takes_messages_back_and_leaves_only_the_hash_of_a_dead_address(
    desk: Desk, installation: NotificationInstallation
) -> None:
    address = f"{request_id()[:8]}@dead.example"
    person = installation.person(address=address)
    installation.fault = Fault.REFUSE_RECIPIENT
    try:
        failed = await desk.send(message(person))
        await desk.becomes(failed, "FAILED")
    finally:
        installation.fault = Fault.NONE
    waiting = await desk.send(message(person, not_before=stamp(datetime.now(UTC) + timedelta(hours=1))))
    await desk.preferences.SetPreferences(
        preference_pb2.SetPreferencesRequest(
            request_id=request_id(),
            profile_id=person,
            preferences=[preference_pb2.Preference(category="offers", wanted=False)],
        )
    )
    held = Held(record_ids=(failed,), ground="LEGAL_CLAIM")
    subject = Subject("req_1", (person,), {"messages": held})
    database = Database(installation.database_settings(), service="notification")
    await database.open()
    try:
        async with database.transaction() as connection:
            found = [each async for each in HOLDING.export(connection, subject)]
            counted = {each.store: each.found for each in (await HOLDING.count(connection, subject)).stores}
        assert {each.record_id for each in found if each.store == "messages"} == {failed, waiting}
        shown = next(each.content for each in found if each.record_id == failed)
        assert shown["values"] == {"title": "The lamp"}
        assert shown["attempts"][0]["status"] == "5.1.1"
        assert counted == {each.name: sum(one.store == each.name for one in found) for each in HOLDING.stores}
        async with database.transaction() as connection:
            await living.seclude(connection, subject)
            answer = await HOLDING.erase(connection, subject)
            await living.bury(connection, subject)
        assert [(each.store, each.count, each.ground) for each in answer.kept] == [("messages", 1, "LEGAL_CLAIM")]
        async with database.transaction() as connection:
            await HOLDING.erase(connection, Subject("req_1", (person,)))
            left = (await HOLDING.count(connection, subject)).stores
        assert sum(each.found for each in left) == 0
    finally:
        await database.close()
    with refused("NOTIFICATION_NOT_FOUND"):
        await desk.get(waiting)
    with refused("PROFILE_ERASED"):
        await desk.send(message(person))
    again = installation.person(address=address)
    record = await desk.becomes(await desk.send(message(again)), "DROPPED")
    assert record.drop_reason == events_pb2.DROP_REASON_SUPPRESSED
