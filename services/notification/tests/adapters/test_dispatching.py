"""The way of a message by the test's clock: quiet hours, the last instant, doubts and failover, on a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from notification_https import serving
from notification_stage import SPREAD_US, Stage, staged
from opentelemetry.trace import SpanContext
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.propagation import traceparent
from rapport_notification.adapters.privacy_holding import NotificationHolding
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.app.messages import ChannelWish
from rapport_notification.app.times import micros_of, moment_of
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_notification.domain.entries import Limits, State, Verdict
from rapport_notification.domain.scheduling import Priority
from rapport_notification.domain.vocabulary import (
    DAY_US,
    HOUR_US,
    SECOND_US,
    Channel,
    DropReason,
    HoldReason,
    MessageClass,
)
from rapport_notification.sending.sms_http import SmsHttpProvider, SmsHttpSettings
from rapport_notification.telemetry import FIND_ADDRESS, HAND_OVER
from rapport_privacy.participant.retention import Retention
from rapport_testing.capture import TelemetryCapture
from rapport_testing.free_ports import free_port
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

BOTH = (ChannelWish(Channel.EMAIL), ChannelWish(Channel.SMS))
ASKED = SpanName("asked", "A message is taken on.")
_PARTS = b"""
SELECT 'notifications' FROM notifications WHERE notification_id = %s
UNION ALL SELECT 'attempts' FROM attempts WHERE notification_id = %s
UNION ALL SELECT 'receipts' FROM receipts WHERE notification_id = %s
"""


async def test_an_offer_at_night_waits_for_the_morning_and_is_asked_about_again(opened: Database) -> None:
    async with SmtpSink() as sink, staged(opened, sink=sink.address) as stage:
        kept, withdrawn = stage.person(), stage.person()
        goes, stays = await stage.accept(kept), await stage.accept(withdrawn)
        assert await stage.work() == 2
        held = (await stage.get(goes)).entry
        assert (held.state, held.hold) == (State.HELD, HoldReason.QUIET_HOURS)
        opening = datetime(2026, 11, 24, 8, tzinfo=UTC)
        assert 0 <= (moment_of(held.due_us) - opening).total_seconds() < 900
        stage.clock.advance((opening - stage.clock.now()).total_seconds() - 60)
        assert await stage.work() == 0
        stage.withdraw(withdrawn)
        for due_us in sorted([(await stage.get(each)).entry.due_us for each in (goes, stays)]):
            stage.clock.advance((due_us - micros_of(stage.clock.now())) / SECOND_US)
            stage.follow()
            assert await stage.work() == 1
        assert (await stage.get(goes)).entry.state is State.SENT
        dropped = (await stage.get(stays)).entry
        assert (dropped.state, dropped.drop) == (State.DROPPED, DropReason.NOT_PERMITTED)
        assert list(sink.taken.ids.values()) == [1]


async def test_what_waited_for_the_morning_goes_without_a_burst_after_a_pause(
    opened: Database, scale: Scale, prove
) -> None:
    async with SmtpSink() as sink, staged(opened, sink=sink.address) as stage:
        begin_us, each_zone, zones = micros_of(stage.clock.now()), scale.pick(small=900, full=1800), 2
        await stage.hold_copies(await stage.accept(stage.person()), begin_us, zones * each_zone, SPREAD_US // each_zone)
        released: list[int] = []
        forever = Limits(lease_us=DAY_US)
        second = 0
        while sum(released) < zones * each_zone:
            second += 5
            if 200 <= second < 600 or 1200 <= second < 1220:
                continue  # nobody works
            assert second < 3000
            count, now_us = 0, begin_us + second * SECOND_US
            for _ in range(2):  # the first may only spread
                count += len(await stage.store.claim(Priority.BULK, each_zone, now_us, forever))
            released.append(count)
        ratio = max(released) / (sum(released[:-1]) / (len(released) - 1))
        assert ratio <= 2
        prove("notification", release_peak_over_mean_after_pauses=round(ratio, 2))


async def test_what_is_withdrawn_after_the_intent_is_stopped_right_before_the_body(opened: Database) -> None:
    stages: list[tuple[Stage, str]] = []

    def withdraws(_: int) -> Fault:
        stage, person = stages[0]
        stage.withdraw(person)
        return Fault.NONE

    async with SmtpSink(withdraws) as sink, staged(opened, sink=sink.address) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        stages.append((stage, stage.person()))
        notification_id = await stage.accept(stages[0][1])
        found = await stage.work_until(notification_id, State.DROPPED)
        assert found.entry.attempt == 1
        assert (found.entry.drop, sink.taken.tried, sink.taken.ids) == (DropReason.NOT_PERMITTED, 1, {})


async def test_a_doubt_ends_by_name_and_only_a_duty_by_law_is_sent_twice(opened: Database) -> None:
    faults = {0: Fault.DROP_AFTER_BODY, 1: Fault.DROP_AFTER_BODY}
    async with (
        SmtpSink(lambda number: faults.get(number, Fault.NONE)) as sink,
        staged(opened, sink=sink.address, other=sink.address) as stage,
    ):
        stage.clock.advance(12 * 3600)
        stage.follow()
        offer = await stage.accept(stage.person())
        ended = await stage.work_until(offer)
        assert (ended.entry.state, ended.entry.verdict) == (State.SETTLED, Verdict.AMBIGUOUS)
        duty = await stage.accept(new_id("privacy_request"), message_class=MessageClass.LEGAL, purpose_id="")
        assert (await stage.work_until(duty)).entry.state is State.SENT
    counts = {name.partition(".")[0]: 0 for name in sink.taken.ids}
    for name, number in sink.taken.ids.items():
        counts[name.partition(".")[0]] += number
    assert counts == {offer: 1, duty: 2}


async def test_a_worker_that_is_stopped_leaves_nothing_in_doubt(opened: Database) -> None:
    async with SmtpSink() as sink, staged(opened, sink=sink.address) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        ids = [await stage.accept(stage.person()) for _ in range(40)]
        await stage.recorder.stop()
        worker = stage.worker()
        await worker.start()
        await sink.until(5)
        await worker.stop()
        entries = [(await stage.get(each)).entry for each in ids]
        states = [each.state for each in entries]
        assert set(states) <= {State.ACCEPTED, State.SENT}
        assert {each.leased_until_us for each in entries if each.state is State.ACCEPTED} <= {0}
        assert states.count(State.SENT) == sum(sink.taken.ids.values()) >= 5


async def test_what_was_put_off_is_taken_up_while_another_of_its_batch_is_still_under_way(opened: Database) -> None:
    faults = [Fault.STALL_AFTER_BODY]
    async with (
        SmtpSink(lambda _: faults.pop() if faults else Fault.NONE) as sink,
        staged(opened, sink=sink.address) as stage,
    ):
        stage.clock.advance(12 * 3600)
        stage.follow()
        waits = stage.person()
        stage.addresses.away.add(waits)
        await stage.accept(stage.person())
        put_off = await stage.accept(waits)

        async def comes_to(state: State) -> None:
            async def there() -> bool:
                return (await stage.get(put_off)).entry.state is state

            await eventually(there, timeout_s=30)

        await stage.recorder.stop()
        worker = stage.worker()
        await worker.start()
        try:
            await comes_to(State.HELD)
            stage.addresses.away.clear()
            stage.clock.advance(3)
            await comes_to(State.SENT)
        finally:
            await worker.stop()


async def test_what_nobody_notices_is_said_again_on_the_next_channel(opened: Database) -> None:
    async with SmtpSink() as sink, staged(opened, sink=sink.address) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        person = stage.person()
        first = await stage.work_until(await stage.accept(person, channels=BOTH, fallback_us=HOUR_US), State.SENT)
        assert first.channel is Channel.EMAIL
        (follower,) = [each for each in await stage.of(person) if each.notification_id != first.notification_id]
        assert [wish.channel for wish in follower.ask.channels] == [Channel.SMS]
        assert follower.entry.due_us >= first.ended_us + HOUR_US
        await stage.notice(first.notification_id)
        ended = await stage.work_until(follower.notification_id, step_s=600)
        assert ended.entry.drop is DropReason.CANCELLED


async def test_a_text_in_doubt_is_handed_over_again_under_the_key_that_the_provider_knows(
    opened: Database, contexts
) -> None:
    async with serving(contexts) as (server, poster, endpoint):
        provider = SmsHttpProvider(SmsHttpSettings(endpoint, "secret", DAY_US), poster)
        async with staged(opened, sms=provider) as stage:
            stage.clock.advance(12 * 3600)
            stage.follow()
            server.answer = b""  # it takes the text, and nobody hears of it
            text = await stage.accept(stage.person(), channels=(ChannelWish(Channel.SMS),))
            await stage.work()
            assert (await stage.get(text)).entry.repeating
            server.answer = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"
            found = await stage.work_until(text)
    assert (found.entry.state, found.channel) == (State.SENT, Channel.SMS)
    assert len({sent["idempotency-key"] for sent, _ in server.requests}) == 1
    bodies = [json.loads(body) for _, body in server.requests]
    key = server.requests[0][0]["idempotency-key"]
    assert key.partition(".")[0] == text
    assert bodies == [{"to": "+4915112345678", "from": "Brand", "text": "Hello Zoë", "reference": key}] * 2


async def test_what_is_done_for_a_message_is_linked_to_what_had_it_taken_on(
    opened: Database, telemetry_capture: TelemetryCapture
) -> None:
    telemetry = telemetry_capture.telemetry
    async with SmtpSink() as sink, staged(opened, sink=sink.address, telemetry=telemetry) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        asked: list[SpanContext] = []
        for person in (stage.person(), stage.person()):
            with telemetry.tracer.span(ASKED) as span:
                await stage.accept(person, channels=BOTH, fallback_us=HOUR_US)
            asked.append(span.context)
        assert await stage.work() == 2
        for name in (FIND_ADDRESS.name, HAND_OVER.name):
            found = telemetry_capture.spans(name)
            linked = {link.context.span_id for span in found for link in span.links}
            assert linked == {each.span_id for each in asked}
            assert [span.parent for span in found] == [None, None]
        first, again = await stage.of(person)
        assert first.traceparent == again.traceparent == traceparent(asked[-1])


async def test_a_dead_server_is_left_alone_and_its_messages_go_by_another(opened: Database) -> None:
    async with SmtpSink() as sink, staged(opened, dead=("127.0.0.1", free_port()), sink=sink.address) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        ids = [await stage.accept(stage.person()) for _ in range(30)]
        found = [await stage.work_until(each, step_s=1.0) for each in ids]
        assert {each.entry.state for each in found} == {State.SENT}
        assert sorted(sink.taken.ids.values()) == [1] * 30
        tried = sum(each.entry.attempt for each in found) - len(found)
        assert 0 < tried <= 50
        assert stage.pool.health(stage.clock.boottime())["dead"] == "left alone"


async def test_a_message_that_ended_years_ago_is_forgotten_with_its_attempts_and_one_that_waits_is_not(
    opened: Database,
) -> None:
    async with SmtpSink() as sink, staged(opened, sink=sink.address) as stage:
        stage.clock.advance(12 * 3600)
        stage.follow()
        sent = await stage.work_until(await stage.accept(stage.person()), State.SENT)
        waiting = await stage.accept(stage.person(), not_before_us=micros_of(stage.clock.now()) + HOUR_US)
        retention = Retention(NotificationHolding(Sealer([bytes(32)])), opened, stage.clock)
        assert await retention.sweep(stage.clock.now() + timedelta(days=1095)) == {}
        assert await retention.sweep(stage.clock.now() + timedelta(days=1097)) == {"messages": 1}
        async with opened.transaction() as connection:
            left = await (await connection.execute(_PARTS, (sent.notification_id,) * 3)).fetchall()
        assert left == []
        assert (await stage.get(waiting)).entry.state is State.ACCEPTED
