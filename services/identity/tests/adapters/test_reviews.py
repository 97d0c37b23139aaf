"""Close calls found in what changed, and what answers lead to; explanations of what is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.errors import RapportError
from rapport_identity.adapters.matcher_store import MatcherStore
from rapport_identity.adapters.origins import RecordOrigins
from rapport_identity.adapters.reviews import ReviewQueue
from rapport_identity.app import steward
from rapport_identity.app.activate import activate, ship
from rapport_identity.app.explain import Explain
from rapport_identity.app.matchers import MatcherOrigin
from rapport_identity.app.reviews import FindReviews, Label, ReviewVerdict, decide_review
from rapport_identity.app.take_over import TakeOver
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.evidence import Verdict, evidence
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.surroundings import Decider

UNSURE = "mat_unsure000000"


def person(number, given, surname, email):
    message = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id=str(number)))
    message.person.names.add(given_names=given, surname=surname)
    message.person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=email)
    return message


ONE, OTHER, CLEAR = (
    person(1, "Elizabeth", "Nakamura", "liz@nakamura.org"),
    person(2, "Liz", "Nakamura", "liz@nakamura.org"),
    person(3, "Omar", "Okafor", "omar@okafor.org"),
)


def key(number):
    return RecordKey("crm", str(number))


@pytest.fixture
def matchers(key_store):
    return MatcherStore(key_store)


@pytest.fixture(params=["apart", "together"])
async def process(request, start, matchers):
    """A resolver whose matcher is unsure about two of three records."""
    started = await start()
    await ship(started.partition, matchers, "mat_shipped00000", default_matcher())
    await started.resolve([ONE, OTHER, CLEAR])
    index = started.partition.replica.index
    one, other = (index.prepared(index[index.number_of(key(at))]) for at in (1, 2))
    score = evidence(default_matcher(), one, other).score
    join = score + (1.0 if request.param == "apart" else -1.0)
    unsure = replace(default_matcher(), join=join, fracture=join - 20)
    draft = await matchers.draft(unsure, MatcherOrigin.IMPORTED)
    async with started.partition.session() as session:
        await matchers.add(session.unit, UNSURE, draft)
        await activate(session, matchers, UNSURE, actor="ops-1", reason="test", most_moved=None)
    while await TakeOver(started.partition, matchers).step():
        pass
    started.together = request.param == "together"
    return started


async def look(process):
    await process.partition.refresh()
    while await FindReviews(process.partition, ReviewQueue(), at_once=1).step():
        pass
    async with process.partition.units.unit() as unit:
        return await ReviewQueue().open_page(unit, None, None, 10)


async def answer(process, review, verdict):
    async with process.partition.session() as session:
        return await decide_review(session, ReviewQueue(), review.review_id, verdict, actor="ops-1", reason="looked")


def are_together(process):
    return any({key(1), key(2)} <= set(held) for held in process.persons().values())


async def test_a_close_call_is_asked_once_and_stays_the_same_review(process):
    (review,) = await look(process)
    assert are_together(process) is process.together
    index = process.partition.replica.index
    assert {index[review.first].key, index[review.second].key} == {key(1), key(2)}
    changed = record_pb2.Record()
    changed.CopyFrom(OTHER)
    changed.brand_id = "shop"
    await process.resolve([changed])
    assert [each.review_id for each in await look(process)] == [review.review_id]


async def test_another_matcher_withdraws_questions_that_it_would_not_ask(process, matchers):
    assert len(await look(process)) == 1
    async with process.partition.session() as session:
        await activate(session, matchers, "mat_shipped00000", actor="ops-1", reason="test", most_moved=None)
    assert await look(process) == []


@pytest.mark.parametrize("verdict", [ReviewVerdict.SAME, ReviewVerdict.DIFFERENT])
async def test_an_answer_is_a_constraint_and_a_label_until_it_is_taken_back(process, verdict):
    (review,) = await look(process)
    decided, decision = await answer(process, review, verdict)
    assert (decided.verdict, decided.decided_by) == (verdict, "ops-1")
    assert decision.constraint.review_id == review.review_id
    assert are_together(process) is (verdict is ReviewVerdict.SAME)
    assert await look(process) == []
    async with process.partition.units.unit() as unit:
        assert await ReviewQueue().labels(unit) == [Label(review.first, review.second, verdict is ReviewVerdict.SAME)]
        assert [each.review_id for each in await ReviewQueue().decided_page(unit, [review.first], None, 5)] == [
            review.review_id
        ]
    with pytest.raises(RapportError) as refused:
        await answer(process, review, verdict)
    assert refused.value.reason.name == "REVIEW_DECIDED"
    async with process.partition.session() as session:
        await steward.withdraw(session, decision.constraint.constraint_id, actor="ops-2")
    assert are_together(process) is process.together
    (again,) = await look(process)
    assert (again.first, again.second) == (review.first, review.second)
    async with process.partition.units.unit() as unit:
        assert await ReviewQueue().labels(unit) == []


async def test_what_cannot_be_told_is_asked_again_when_the_evidence_is_another(process):
    (review,) = await look(process)
    _, decision = await answer(process, review, ReviewVerdict.UNDECIDED)
    assert decision is None
    assert are_together(process) is process.together
    await process.resolve([person(4, "Omar", "Okafor", "omar@okafor.org")])
    assert await look(process) == []
    told = record_pb2.Record()
    told.CopyFrom(OTHER)
    told.person.names[0].given_names = "Elisabeth"
    await process.resolve([told])
    found = await look(process)
    assert review.review_id not in [each.review_id for each in found]


async def test_explanations_say_what_is_stored(process, matchers):
    explain = Explain(process.partition, matchers, RecordOrigins())
    match = await explain.match(key(1), key(2))
    assert match.matcher_id == UNSURE
    assert match.explanation.decided.verdict is (Verdict.TOGETHER if process.together else Verdict.APART)
    shipped = await explain.match(key(1), key(2), "mat_shipped00000")
    assert shipped.explanation.decided.verdict is Verdict.TOGETHER
    (owner,) = {owner for owner, held in process.persons().items() if key(1) in held}
    found = await explain.profile(owner)
    assert found.tree.leaves == process.persons()[owner]
    assert {each.recorded_under for each in found.origins} <= {owner, *process.persons()}
    if process.together:
        assert (found.tree.weakest, found.kept_apart) == (0, ())
    else:
        ((kept, profile_id),) = found.kept_apart
        assert (kept.decided.by, profile_id) == (
            Decider.EVIDENCE,
            process.partition.replica.owners[kept.outside.number],
        )
    with pytest.raises(RapportError) as refused:
        await explain.match(key(1), key(99))
    assert refused.value.reason.name == "RECORD_NOT_FOUND"


async def test_a_profile_is_explained_as_it_was_under_the_matcher_of_the_time(process, matchers, opened):
    async with opened.transaction() as connection:
        (then,) = await (
            await connection.execute("SELECT activated_at FROM matcher_activations ORDER BY position LIMIT 1 OFFSET 1")
        ).fetchone()
    (owner,) = {owner for owner, held in process.persons().items() if key(1) in held}
    found = await Explain(process.partition, matchers, RecordOrigins()).profile(owner, then - timedelta(microseconds=1))
    assert found.matcher_id == "mat_shipped00000"
    assert found.tree.leaves == (key(1), key(2))
    assert len(found.tree.joins) == 1
