"""Single steps of the ledger: what each refuses."""

from dataclasses import replace

import pytest
from rapport_notification.domain import ledger
from rapport_notification.domain.entries import FINAL, Entry, Limits, State, StepRefusedError, Verdict
from rapport_notification.domain.resolution import BLIND, Capability, Resolution, Way, resolution
from rapport_notification.domain.vocabulary import DropReason, HoldReason, MessageClass

LIMITS = Limits(lease_us=100, transfer_us=50, margin_us=5)
ACCEPTED = Entry(MessageClass.MARKETING, due_us=10)


def begun(entry: Entry = ACCEPTED, at: int = 10) -> Entry:
    claimed = ledger.claim(entry, at, LIMITS)
    return ledger.begin(claimed, claimed.fence, at, LIMITS, "relay")


def test_a_message_is_not_claimed_before_it_is_due_nor_by_two() -> None:
    with pytest.raises(StepRefusedError):
        ledger.claim(ACCEPTED, 9, LIMITS)
    claimed = ledger.claim(ACCEPTED, 10, LIMITS)
    with pytest.raises(StepRefusedError):
        ledger.claim(claimed, 109, LIMITS)
    assert ledger.claim(claimed, 110, LIMITS).fence == 2


def test_a_worker_whose_claim_went_to_another_writes_nothing() -> None:
    other = ledger.claim(ledger.claim(ACCEPTED, 10, LIMITS), 110, LIMITS)
    for step in (
        lambda: ledger.begin(other, 1, 110, LIMITS, "relay"),
        lambda: ledger.drop(other, 1, DropReason.NOT_PERMITTED),
        lambda: ledger.put_off(other, 1, 500, HoldReason.QUIET_HOURS),
        lambda: ledger.sent(replace(begun(), fence=2), 1),
    ):
        with pytest.raises(StepRefusedError):
            step()


def test_a_send_is_not_begun_that_could_outlast_its_claim_or_its_time() -> None:
    claimed = ledger.claim(ACCEPTED, 10, LIMITS)
    assert ledger.may_begin(claimed, 1, 55, LIMITS)
    assert not ledger.may_begin(claimed, 1, 56, LIMITS)
    assert not ledger.may_begin(replace(claimed, expires_us=30), 1, 30, LIMITS)


def test_taking_back_is_at_once_while_it_waits_and_too_late_when_it_has_gone() -> None:
    claimed = ledger.claim(ACCEPTED, 10, LIMITS)
    cancelled = ledger.take_back(claimed, State.CANCELLED)
    assert cancelled.state is State.CANCELLED
    assert cancelled.fence > claimed.fence
    with pytest.raises(StepRefusedError):
        ledger.take_back(ledger.sent(begun(), 1), State.SUPERSEDED)


def test_taken_back_in_flight_it_is_not_tried_again() -> None:
    flying = ledger.take_back(begun(), State.SUPERSEDED)
    assert flying.state is State.INTENT
    assert ledger.not_sent(flying, 1, retry_us=900).state is State.SUPERSEDED
    assert ledger.sent(flying, 1).state is State.SENT


def test_a_certain_refusal_opens_a_new_series_and_a_repeat_keeps_it() -> None:
    refused = ledger.not_sent(begun(), 1, retry_us=70)
    assert (refused.state, refused.due_us, refused.series) == (State.HELD, 70, 2)
    assert ledger.not_sent(begun(), 1, retry_us=None).state is State.FAILED
    doubted = ledger.unknown(begun(), 1)
    repeat = begun(ledger.send_again(doubted, 1, repeat_until_us=1_000), at=20)
    assert (repeat.series, repeat.attempt, repeat.series_us, repeat.begun_us) == (1, 2, 10, 20)
    assert ledger.not_sent(repeat, 2, retry_us=None).state is State.UNKNOWN  # the first may have gone


def test_a_repeat_goes_nowhere_else_and_not_after_the_key_is_forgotten() -> None:
    again = ledger.claim(ledger.send_again(ledger.unknown(begun(), 1), 1, repeat_until_us=80), 20, LIMITS)
    with pytest.raises(StepRefusedError):
        ledger.begin(again, 2, 20, LIMITS, "other")
    assert not ledger.may_begin(again, 2, 26, LIMITS)
    assert ledger.stop_repeating(again, 2).state is State.UNKNOWN
    dropped = ledger.drop(again, 2, DropReason.NOT_PERMITTED)
    assert (dropped.state, dropped.ending, dropped.drop) == (State.UNKNOWN, State.DROPPED, DropReason.NOT_PERMITTED)
    assert ledger.send_again(dropped, 2).state is State.DROPPED


def test_late_evidence_settles_what_was_in_doubt_and_nothing_else() -> None:
    recovered = ledger.recover(begun(), 110)
    assert ledger.settled_as_sent(recovered, 1).verdict is Verdict.SENT
    ambiguous = ledger.settled_as_ambiguous(recovered, recovered.fence)
    assert ledger.settled_as_sent(ambiguous, 1).verdict is Verdict.SENT
    for entry in (ACCEPTED, ledger.sent(begun(), 1)):
        with pytest.raises(StepRefusedError):
            ledger.settled_as_sent(entry, 1)
    with pytest.raises(StepRefusedError):
        ledger.settled_as_sent(recovered, 2)


@pytest.mark.parametrize("message_class", MessageClass)
def test_a_blind_peer_gets_a_second_copy_of_a_duty_by_law_only(message_class: MessageClass) -> None:
    doubted = ledger.unknown(begun(Entry(message_class)), 1)
    assert resolution(doubted, BLIND, 11, LIMITS) == Resolution(Way.WAIT, 65)
    wanted = Way.SEND_AGAIN if message_class is MessageClass.LEGAL else Way.GIVE_UP
    assert resolution(doubted, BLIND, 65, LIMITS).way is wanted
    assert resolution(replace(doubted, ending=State.CANCELLED), BLIND, 65, LIMITS).way is Way.GIVE_UP


def test_a_peer_is_asked_once_its_answer_is_final_and_not_when_it_has_forgotten() -> None:
    doubted = ledger.unknown(begun(), 1)
    capability = Capability(look_up_for_us=500, look_up_after_us=20)
    assert resolution(doubted, capability, 65, LIMITS) == Resolution(Way.WAIT, 85)
    assert resolution(doubted, capability, 85, LIMITS).way is Way.ASK
    assert resolution(doubted, capability, 510, LIMITS).way is Way.GIVE_UP


def test_a_repeat_is_not_planned_when_the_message_is_too_old_or_taken_back() -> None:
    capability = Capability(key_for_us=1_000)
    doubted = ledger.unknown(begun(), 1)
    assert resolution(doubted, capability, 11, LIMITS) == Resolution(Way.REPEAT, 1_010)
    for unwanted in (replace(doubted, expires_us=11), replace(doubted, ending=State.CANCELLED)):
        assert resolution(unwanted, capability, 65, LIMITS).way is Way.GIVE_UP
    assert resolution(doubted, capability, 911, LIMITS).way is Way.GIVE_UP


def test_no_step_leads_out_of_an_end() -> None:
    for state in FINAL - {State.SETTLED}:
        entry = replace(ACCEPTED, state=state, fence=1, attempt=1, leased_until_us=0)
        for step in (
            lambda e: ledger.claim(e, 10_000, LIMITS),
            lambda e: ledger.recover(e, 10_000),
            lambda e: ledger.unknown(e, 1),
            lambda e: ledger.send_again(e, 1),
            lambda e: ledger.settled_as_ambiguous(e, 1),
            lambda e: ledger.settled_as_sent(e, 1),
            lambda e: ledger.take_back(e, State.CANCELLED),
        ):
            with pytest.raises(StepRefusedError):
                step(entry)
