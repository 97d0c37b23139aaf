"""A privacy request goes only where it may, whoever asks for what in which order."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_consent.adapters.calendars import shipped_calendars
from rapport_consent.adapters.request_documents import read, written
from rapport_consent.adapters.rule_packs import shipped_packs
from rapport_consent.domain import request_decisions as decisions
from rapport_consent.domain import request_intake as intake
from rapport_consent.domain import request_rules as rules
from rapport_consent.domain.law import Law
from rapport_consent.domain.request_clocks import Clocks
from rapport_consent.domain.request_stages import Stage, after, first
from rapport_consent.domain.request_words import OPEN, Channel, Choice, Method, Outcome, RequestState, RightState, Role
from rapport_consent.domain.requests import (
    Asked,
    Extension,
    IdentityQuery,
    Participant,
    Request,
    SubjectRecord,
    Verification,
)
from rapport_consent.domain.rule_packs import Right, RulePack

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALENDARS = shipped_calendars()
LAW = Law(shipped_packs(), Clocks(CALENDARS.working_days, CALENDARS.zone))
GDPR = LAW.in_force("DE", NOW)
TELLS = GDPR.refusal_tells
STAFF = ("taker", "verifier", "approver", "another")


def request(*rights: Right, market: str = "DE", pack: RulePack = GDPR, **fields: Any) -> Request:
    """A request as it is taken in."""
    asked = tuple(
        Asked(right, ground="ACCURACY_DISPUTED", decision_id="dec_0000000000000000000001")
        for right in rights or (Right.ACCESS,)
    )
    made = Request(
        id="req_0000000000000000000001",
        rights=asked,
        received_at=NOW,
        channel=Channel.WEB,
        role=Role.SUBJECT,
        market=market,
        market_reason="RESIDENCE",
        locale="de",
        rule_pack=pack.name,
        created_by="taker",
        created_at=NOW,
        profile_id="prf_0000000000000000000001",
        searched=True,
    )
    return intake.receive(replace(made, **fields), pack)


def verified(asked: Request, by: str = "verifier") -> Request:
    """The request once an operator has seen a document."""
    return intake.verify(asked, Verification(Method.DOCUMENT, NOW, by, "PASSPORT", NOW.date()), "", GDPR, NOW.date())


def refusal(asked: Request, *rights: Right, ground: str = "RIGHTS_OF_OTHERS", **fields: object) -> Request:
    values = {
        "ground": ground,
        "text": "because",
        "tells": TELLS,
        "evidence": ["file 1"],
        "actor": "approver",
        "now": NOW,
        "pack": GDPR,
    }
    return decisions.refuse(asked, rights, **values | fields)  # type: ignore[arg-type]


def refused_for(reason: str, act: Callable[[], object]) -> None:
    with pytest.raises(RapportError) as caught:
        act()
    assert caught.value.reason.name == reason


MOVES: dict[str, Callable[[Request, random.Random], Request]] = {
    "verify": lambda each, pick: verified(each, pick.choice(STAFF)),
    "approve": lambda each, pick: decisions.approve(each, pick.choice(STAFF), [Participant("identity")], NOW),
    "refuse": lambda each, pick: refusal(each, ground=pick.choice(sorted(GDPR.refusals)), actor=pick.choice(STAFF)),
    "extend": lambda each, pick: decisions.extend(
        each, Extension("COMPLEXITY", NOW.date(), "approver"), GDPR, in_time=pick.random() < 0.5
    ),
    "cancel": lambda each, pick: decisions.cancel(each, NOW),
    "fence": lambda each, pick: replace(each, position=1) if each.state is RequestState.RUNNING else each,
    "doubt": lambda each, pick: intake.with_subject(each, [SubjectRecord("r1", "crm", "prf_1", 2.0, doubtful=True)]),
    "choose": lambda each, pick: intake.choose(each, "r1", pick.choice(list(Choice)), "verifier"),
    "reopen": lambda each, pick: intake.reopen_subject(each),
    "conclude": lambda each, pick: rules.conclude(each, pick.choice(each.rights).right, Outcome.DONE),
    "complete": lambda each, pick: rules.complete(each, NOW),
}


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=25), st.integers(0, 2**32), st.sets(st.sampled_from(Right)))
def test_whatever_is_tried_in_whatever_order_leaves_a_request_in_order(
    moves: list[str], seed: int, rights: set[Right]
) -> None:
    pick = random.Random(seed)
    now = request(*sorted(rights))
    for move in moves:
        before = now
        with suppress(RapportError):
            now = MOVES[move](now, pick)
        if before.state not in OPEN:
            assert now.state is before.state
        if now.state is RequestState.RUNNING and before.state is not now.state:
            assert now.assurance >= intake.needed_assurance(before, GDPR)
            assert not now.undecided_records
            decided = {each.decided_by for each in now.rights if each.state is RightState.APPROVED}
            assert not decided & decisions.prepared_by(now)
        if now.state is RequestState.COMPLETED:
            assert all(each.outcome or each.state is RightState.REFUSED for each in now.rights)
        if before.position and before.state is RequestState.RUNNING:
            assert now.state is not RequestState.CANCELLED
        for each in now.rights:
            if each.state is RightState.REFUSED:
                assert set(TELLS) <= set(each.refusal_tells)
                assert each.proposed_by != each.decided_by or not each.proposed_by
        assert read(Request, written(now)) == now


@given(st.sets(st.sampled_from(Right), min_size=1), st.booleans())
def test_stages_follow_one_another_to_the_end_and_nothing_is_erased_before_it_is_sealed_and_fenced(
    rights: set[Right], known: bool
) -> None:
    asked = verified(request(*sorted(rights), profile_id="prf_0000000000000000000001" if known else ""))
    running = decisions.approve(asked, "approver", [], NOW)
    order = [first(running)]
    while order[-1] is not Stage.CLOSE:
        order.append(after(order[-1], running))
    assert len(set(order)) == len(order)
    if known and Right.ERASURE in rights:
        erased = order.index(Stage.ERASE)
        assert order.index(Stage.FREEZE_IDENTITY) < order.index(Stage.FREEZE) < order.index(Stage.CAPTURE)
        assert order.index(Stage.CAPTURE) < order.index(Stage.FENCE) < erased < order.index(Stage.PROBE)
        assert Stage.SEAL not in order or order.index(Stage.SEAL) < order.index(Stage.FENCE)
    else:
        assert Stage.ERASE not in order


def test_a_refusal_needs_what_its_ground_needs() -> None:
    asked = request(Right.ACCESS, Right.ERASURE)
    refused_for("REFUSAL_INCOMPLETE", lambda: refusal(asked, tells=TELLS[:1]))
    refused_for("REFUSAL_INCOMPLETE", lambda: refusal(asked, Right.ACCESS, evidence=[]))
    refused_for("REFUSAL_INCOMPLETE", lambda: refusal(asked, ground="IDENTITY_NOT_SHOWN"))
    refused_for("REFUSAL_NOT_ALLOWED", lambda: refusal(asked, Right.ERASURE))
    refused_for("REFUSAL_NOT_ALLOWED", lambda: refusal(asked, Right.PORTABILITY))
    asked_who = replace(asked, identity_queries=(IdentityQuery(NOW.date()),))
    assert refusal(asked_who, ground="IDENTITY_NOT_SHOWN").state is RequestState.REFUSED


def test_an_excessive_request_is_refused_by_two_and_a_part_of_it_leaves_the_rest_to_approve() -> None:
    asked = verified(request(Right.ACCESS, Right.RECTIFICATION))
    proposed = refusal(asked, Right.ACCESS, ground="EXCESSIVE")
    refused_for("REFUSAL_UNCONFIRMED", lambda: decisions.approve(proposed, "another", [], NOW))
    unsearched = replace(asked, searched=False)
    refused_for("SUBJECT_UNSEARCHED", lambda: decisions.approve(unsearched, "another", [], NOW))
    refused_for("SAME_ACTOR", lambda: refusal(proposed, Right.ACCESS, ground="EXCESSIVE"))
    confirmed = refusal(proposed, Right.ACCESS, ground="EXCESSIVE", actor="another")
    running = decisions.approve(confirmed, "approver", [], NOW)
    assert [each.state for each in running.rights] == [RightState.REFUSED, RightState.APPROVED]


def test_rights_of_more_harm_need_more_assurance_and_two_proofs_give_the_most() -> None:
    weak = replace(request(Right.OBJECTION), verifications=())
    assert intake.needed_assurance(weak, GDPR) < intake.needed_assurance(request(Right.ACCESS), GDPR)
    twice = intake.verify(verified(request()), Verification(Method.LOGIN, NOW, "app"), "", GDPR, NOW.date())
    assert twice.assurance > verified(request()).assurance
    refused_for(
        "SUBJECT_CHANGED",
        lambda: intake.verify(twice, Verification(Method.LOGIN, NOW, "app"), "prf_other", GDPR, NOW.date()),
    )


@pytest.mark.parametrize(
    ("market", "received", "due", "extended"),
    [
        ("DE", "2027-01-31", "2027-03-01", "2027-04-30"),  # 28 February is a Sunday
        ("DE", "2026-08-31", "2026-09-30", "2026-11-30"),
        ("DE", "2026-11-25", "2026-12-28", "2027-02-25"),  # Christmas, Boxing Day, a Sunday
        ("US-CA", "2026-12-18", "2027-02-01", "2027-03-18"),
    ],
)
def test_deadlines_are_reckoned_from_the_receipt_by_the_law_of_the_market(
    market: str, received: str, due: str, extended: str
) -> None:
    received_at = datetime.fromisoformat(received).replace(tzinfo=CALENDARS.zone(market), hour=9)
    pack = LAW.in_force(market, received_at)
    asked = request(market=market, pack=pack, received_at=received_at, created_at=received_at + timedelta(days=1))
    (answer,) = [each for each in LAW.dues(asked) if each.right is Right.ACCESS]
    assert str(answer.deadline.due_on) == due
    more = replace(asked, extension=Extension(pack.extension_reasons[0], received_at.date(), "approver"))
    (later,) = [each for each in LAW.dues(more) if each.right is Right.ACCESS]
    assert str(later.deadline.due_on) == extended


def test_a_query_is_answered_on_the_day_it_is_where_the_request_came_from() -> None:
    """Half an hour before midnight in Greenwich it is tomorrow in Berlin: a pause would end before it begins."""
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    asked = request(received_at=late, created_at=late)
    queried = replace(asked, identity_queries=(IdentityQuery(LAW.today(asked, late)),))
    by_login = Verification(Method.LOGIN, late, "app")
    shown = intake.verify(queried, by_login, "", GDPR, LAW.today(queried, late))
    assert [str(each.answered_on) for each in shown.identity_queries] == ["2026-11-23"]
    assert LAW.dues(shown)
    with pytest.raises(ValueError, match="pauses"):
        LAW.dues(intake.verify(queried, by_login, "", GDPR, late.date()))


def test_california_is_confirmed_within_ten_business_days_until_the_receipt_is_sent() -> None:
    received_at = datetime(2026, 12, 18, 9, tzinfo=CALENDARS.zone("US-CA"))
    pack = LAW.in_force("US-CA", received_at)
    asked = request(market="US-CA", pack=pack, received_at=received_at, created_at=received_at)
    (confirm,) = [each for each in LAW.dues(asked) if each.right is None]
    assert str(confirm.deadline.due_on) == "2027-01-05"


def frozen(*records: SubjectRecord) -> Request:
    """A request that runs about these records."""
    asked = intake.with_subject(verified(request(Right.ERASURE)), records)
    return rules.pin(decisions.approve(asked, "approver", [Participant("identity")], NOW), ["prf_9"])


KNOWN = SubjectRecord("r1", "crm", "prf_1")
EXCLUDED = SubjectRecord("r2", "crm", "prf_1", 2.0, doubtful=True, choice=Choice.EXCLUDED, chosen_by="verifier")


@pytest.mark.parametrize(
    ("now", "disturbed"),
    [
        ([KNOWN], False),
        ([KNOWN, SubjectRecord("r3", "shop", "prf_1")], False),
        ([], False),
        ([KNOWN, SubjectRecord("r3", "shop", "prf_2")], True),
        ([KNOWN, SubjectRecord("r3", "shop", "prf_1", 2.0, doubtful=True)], True),
        ([KNOWN, EXCLUDED], True),
        ([SubjectRecord("r3", "shop", "prf_1")], True),
    ],
    ids=["same", "their own", "erased", "merged", "doubtful", "excluded", "split"],
)
def test_a_merge_or_split_after_the_approval_disturbs_and_what_the_person_brings_does_not(
    now: list[SubjectRecord], disturbed: bool
) -> None:
    assert intake.disturbed(frozen(KNOWN, EXCLUDED), now) is disturbed


def test_a_request_that_is_given_back_is_approved_anew_by_somebody_and_asks_everybody_again() -> None:
    given = rules.give_back(frozen(KNOWN), ["tsk_1", "tsk_2", "tsk_1"])
    assert (given.state, given.stage, given.closure_ids, given.outdated) == (
        RequestState.VERIFIED,
        "",
        (),
        ("tsk_1", "tsk_2"),
    )
    refused_for("SAME_ACTOR", lambda: decisions.approve(given, "verifier", [], NOW))
    again = decisions.approve(given, "approver", [Participant("identity")], NOW)
    assert again.asks(Right.ERASURE)
    assert again.outdated == given.outdated


def test_a_request_about_nobody_is_not_approved() -> None:
    asked = intake.with_subject(verified(request(Right.ERASURE)), [EXCLUDED])
    refused_for("NOBODY_LEFT", lambda: decisions.approve(asked, "approver", [], NOW))


def test_the_person_is_told_once_of_what_a_hold_keeps() -> None:
    told = rules.tell_of_hold(frozen(KNOWN))
    assert told.pending == ("INTERIM",)
    assert rules.tell_of_hold(told) is told
