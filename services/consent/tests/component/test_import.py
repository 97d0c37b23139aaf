"""Histories from elsewhere: checked before they are written, written once, and never in the way of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from consent_desk import Desk, ago, profile
from consent_imports import OBJECTED, batch, header, reason, row
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused


async def test_imported_decision_counts_with_its_own_time_and_proof(desk: Desk) -> None:
    person = profile()
    (answer,) = await desk.import_rows(
        header(), [row(1, person=person), row(2, "fraud", person, status=OBJECTED), row(3, "health", person)]
    )
    assert [reason(result) for result in answer.results] == ["", "", ""]
    assert all(result.reference.startswith("cev_") for result in answer.results)
    decision = await desk.check(person, "promo", at_least=answer.token)
    assert decision.reference == answer.results[0].reference
    assert decision.evidence == ledger_pb2.EVIDENCE_KIND_IMPORTED
    assert await desk.verdict(person, "fraud") == "DENY OBJECTED"
    assert await desk.verdict(person, "health") == "PERMIT GRANTED"
    assert (await desk.state(person, as_of=ago(days=31))).states == []


async def test_dry_run_says_what_would_become_of_each_row_and_writes_nothing(desk: Desk) -> None:
    before, person = await desk.head(), profile()
    rows = [row(1, person=person), row(2, "nothing", person), row(1, person=person)]
    opening = header(dry_run=True)
    (rehearsed,) = await desk.import_rows(opening, rows)
    assert [reason(result) for result in rehearsed.results] == ["", "UNKNOWN_PURPOSE", "ROW_ALREADY_IMPORTED"]
    assert {result.reference for result in rehearsed.results} == {""}
    assert not rehearsed.HasField("token")
    assert (await desk.head()).position == before.position
    opening.dry_run = False
    (written,) = await desk.import_rows(opening, rows)
    assert [reason(result) for result in written.results] == [reason(result) for result in rehearsed.results]
    assert (await desk.head()).position == before.position + 1


async def test_each_row_that_cannot_be_recorded_says_why_and_the_others_are_written(desk: Desk) -> None:
    person, erased = profile(), profile()
    await desk.answer(erased, "yes promo")
    await desk.fence(erased)
    (answer,) = await desk.import_rows(
        header(),
        [
            row(1, person=person),
            row(2, "promos", person),
            row(3, "news", person),
            row(4, "news", person, brand_id="east"),
            row(5, "promo", person, occurred_at=stamp(ago(days=-2))),
            row(6, "promo", person, notice_id="older", notice_version=1),
            row(7, "promo", erased),
            row(8, "stats", person),
        ],
    )
    assert [reason(result) for result in answer.results] == [
        "",
        "UNKNOWN_PURPOSE",
        "BRAND_REQUIRED",
        "BRAND_NOT_APPLICABLE",
        "OCCURRED_IN_FUTURE",
        "NOTICE_UNKNOWN",
        "PROFILE_ERASED",
        "",
    ]
    assert await desk.verdict(person, "promo") == "PERMIT GRANTED"
    assert await desk.verdict(person, "stats") == "PERMIT GRANTED"


async def test_row_sent_again_is_answered_with_its_earlier_reference(desk: Desk) -> None:
    opening, rows = header(), [row(1), row(2), row(1)]
    (first,) = await desk.import_rows(opening, rows)
    head = await desk.head()
    (second,) = await desk.import_rows(opening, rows)
    assert [reason(result) for result in first.results] == ["", "", "ROW_ALREADY_IMPORTED"]
    assert [reason(result) for result in second.results] == ["ROW_ALREADY_IMPORTED"] * 3
    assert [result.reference for result in second.results] == [result.reference for result in first.results]
    assert (await desk.head()).position == head.position
    (elsewhere,) = await desk.import_rows(header(), rows[:1])
    assert reason(elsewhere.results[0]) == ""  # another source may use the same key


async def test_import_goes_on_after_its_stream_broke(desk: Desk) -> None:
    """What was answered is durable; what was not is sent again and written once."""
    opening, people = header(), [profile() for _ in range(40)]
    batches = [[row(n, person=people[n]) for n in range(start, start + 10)] for start in range(0, 40, 10)]
    before, answered = await desk.head(), 0

    async def broken() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield consent_pb2.RecordConsentsRequest(header=opening)
        for rows in batches:
            yield batch(*rows)

    async with aclosing(desk.shop.RecordConsents(broken())) as stream:  # type: ignore[type-var]
        async for _ in stream:
            answered += 1
            if answered == 2:
                break
    answers = await desk.import_rows(opening, *batches)
    repeated = [reason(result) == "ROW_ALREADY_IMPORTED" for answer in answers for result in answer.results]
    assert all(repeated[:20])
    assert not any(repeated[-10:]) or all(repeated)  # the server may have gone further than was read
    named = [change.named_id for change in await desk.changes(before.position)]
    assert sorted(each for each in named if each in people) == sorted(people)


async def test_import_opens_with_one_header(desk: Desk) -> None:
    async def without() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield batch(row(1))

    async def twice() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield consent_pb2.RecordConsentsRequest(header=header())
        yield consent_pb2.RecordConsentsRequest(header=header())

    for messages in (without, twice):
        with refused("IMPORT_HEADER_MISSING", "header"):
            _ = [answer async for answer in desk.shop.RecordConsents(messages())]


async def test_batch_above_the_limit_is_refused_by_path(desk: Desk) -> None:
    with refused("INVALID_REQUEST", "batch.rows"):
        await desk.import_rows(header(), [row(n) for n in range(501)])
    with refused("INVALID_REQUEST", "batch.rows[1].status"):
        await desk.import_rows(header(), [row(1), row(2, status=0)])
