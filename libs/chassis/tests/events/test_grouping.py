"""Events that are taken in together: those that came while a transaction ran share the next one."""

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events.grouping import Together
from rapport_testing.events import count, profiles_merged, rows

STREAM = "RAPPORT_IDENTITY"
NAME = "consent-profiles"


async def test_events_that_wait_are_handled_together_and_one_that_cannot_be_keeps_back_no_other(
    broker, service_database, take_in
):
    events = [profiles_merged() for _ in range(12)]
    await broker.publish(*events)
    groups = []

    async def handler(received, connection):
        groups.append([each.id for each in received])
        if events[7].id in groups[-1]:
            raise CHASSIS_ERRORS.error("INVALID_REQUEST", "it cannot be handled")

    await take_in(Together(handler))
    await broker.settled(STREAM, NAME)
    handled = {event_id for (event_id,) in await rows(service_database, "SELECT event_id FROM inbox")}
    assert handled == {each.id for each in events} - {events[7].id}
    assert max(map(len, groups)) > 1
    assert [letter.sequence for letter in await broker.dead_letters()] == [8]


async def test_events_that_come_twice_are_handled_together_once(broker, service_database, take_in):
    events = [profiles_merged() for _ in range(5)]
    async with broker.api() as api:
        for identity in ("first", "second"):
            for each in events:
                await api.publish(
                    each.subject, each.payload(), {**each.headers(), "Nats-Msg-Id": f"{identity} {each.id}"}
                )
    seen: list[str] = []

    async def handler(received, connection):
        seen.extend(each.id for each in received)

    await take_in(Together(handler))
    await broker.settled(STREAM, NAME)
    assert sorted(seen) == sorted(each.id for each in events)
    assert await count(service_database, "inbox") == len(events)


async def test_events_of_which_nothing_comes_are_sifted_out_before_anything_is_written(
    broker, service_database, take_in
):
    events = [profiles_merged() for _ in range(6)]
    await broker.publish(*events)
    seen: list[str] = []

    async def handler(received, connection):
        seen.extend(each.id for each in received)

    async def sift(received, connection):
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
        return [each for each in received if each.id in (events[1].id, events[5].id)]

    await take_in(Together(handler, sift))
    await broker.settled(STREAM, NAME)
    assert seen == [events[1].id, events[5].id]
    assert sorted(await rows(service_database, "SELECT event_id FROM inbox")) == sorted((each,) for each in seen)
