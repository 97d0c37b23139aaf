"""The rules of the ledger by example: each test is a sentence of the design."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from rapport_consent.domain.erasure import carried_over
from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence
from rapport_consent.domain.history import History, PurposeTraits
from rapport_consent.domain.resolution import resolve_fences, resolve_key, resolve_restriction, resolve_subject
from rapport_consent.domain.rows import LedgerRow, PartitionChange, ResultingProfile, RowKind, as_known
from rapport_consent.domain.states import Key, KeyState
from rapport_privacy.vocabulary import DIRECT_MARKETING, EvidenceKind, Status

NEWS = Key("news", "north")
START = datetime(2026, 3, 1, tzinfo=UTC)
TRAITS = {
    "news": PurposeTraits(brand_scoped=True, direct_marketing=True),
    "promo": PurposeTraits(brand_scoped=False, direct_marketing=True),
}


def day(number: int) -> datetime:
    return START + timedelta(days=number)


class Ledger:
    """Writes rows in order and tells what they come to."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.history = History(TRAITS)
        self.version = 1

    def write(self, named_id: str, kind: RowKind, on: int = 0, key: Key = NEWS, **fields: object) -> str:
        position = len(self.rows) + 1
        reference = f"cev_{position}"
        purpose_id, brand_id = ("", "") if kind in (RowKind.RESTRICT, RowKind.LIFT, RowKind.FENCE) else key
        row = LedgerRow(
            position,
            day(position),
            reference,
            named_id,
            kind,
            day(on),
            purpose_id,
            brand_id,
            **fields,  # type: ignore[arg-type]
        )
        self.add(row)
        return reference

    def add(self, row: LedgerRow) -> frozenset[str]:
        self.rows.append(row)
        return self.history.add(row)

    def follow(self, kind: RowKind, *closures: str, issued: tuple[str, ...] = ()) -> None:
        """Each closure in words: the survivor first, then what redirects to it."""
        self.version += 1
        profiles = tuple(ResultingProfile(c.split()[0], self.version, tuple(c.split()[1:])) for c in closures)
        change = PartitionChange(f"evt_{self.version}", profiles, issued)
        self.write(profiles[0].profile_id, kind, partition=change)

    def merge(self, closure: str) -> None:
        self.follow(RowKind.MERGE, closure)

    def split(self, *closures: str, issued: tuple[str, ...] = ()) -> None:
        self.follow(RowKind.SPLIT, *closures, issued=issued)

    def state(self, profile_id: str, key: Key = NEWS) -> KeyState | None:
        return resolve_key(self.history, profile_id, key)

    def status(self, profile_id: str, key: Key = NEWS) -> Status | None:
        state = self.state(profile_id, key)
        return None if state is None else state.status

    def granting(self, profile_id: str) -> list[str]:
        state = self.state(profile_id)
        return [] if state is None else [granting.profile_id for granting in state.granting]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_legally_latest_decision_is_in_force_whatever_arrives_first(ledger: Ledger) -> None:
    withdrawn = ledger.write("a", RowKind.WITHDRAW, 5)
    ledger.write("a", RowKind.GRANT, 3)
    state = ledger.state("a")
    assert state is not None
    assert (state.status, state.reference, state.decided_at) == (Status.WITHDRAWN, withdrawn, day(5))


def test_more_restrictive_holds_at_equal_times(ledger: Ledger) -> None:
    ledger.write("a", RowKind.REFUSE, 3)
    ledger.write("a", RowKind.GRANT, 3)
    assert ledger.status("a") is Status.REFUSED
    ledger.write("a", RowKind.OPT_OUT, 3)
    ledger.write("a", RowKind.WITHDRAW, 3)
    assert ledger.status("a") is Status.OPTED_OUT


def test_higher_position_holds_between_equals(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 3)
    later = ledger.write("a", RowKind.GRANT, 3, expires_at=day(9))
    state = ledger.state("a")
    assert state is not None
    assert (state.reference, state.expires_at) == (later, day(9))
    assert (state.permits(day(8)), state.permits(day(9))) == (True, False)


def test_withdrawal_does_not_lift_an_objection_but_a_later_grant_does(ledger: Ledger) -> None:
    objected = ledger.write("a", RowKind.OBJECT, 3)
    ledger.write("a", RowKind.WITHDRAW, 4, reask_not_before=day(90))
    state = ledger.state("a")
    assert state is not None
    assert (state.status, state.reference, state.reask_not_before) == (Status.OBJECTED, objected, day(90))
    ledger.write("a", RowKind.GRANT, 5)
    assert ledger.status("a") is Status.GRANTED


def test_word_of_the_operator_lifts_a_withdrawal_but_no_objection(ledger: Ledger) -> None:
    ledger.write("a", RowKind.WITHDRAW, 1)
    ledger.write("a", RowKind.GRANT, 2, evidence=DeclaredEvidence("paper-form"))
    state = ledger.state("a")
    assert state is not None
    assert (state.status, state.evidence) == (Status.GRANTED, EvidenceKind.DECLARED)
    ledger.write("a", RowKind.OBJECT, 3)
    ledger.write("a", RowKind.GRANT, 4, evidence=DeclaredEvidence("paper-form"))
    assert ledger.status("a") is Status.OBJECTED
    ledger.write("a", RowKind.GRANT, 4, evidence=CapturedEvidence("page"))
    assert ledger.status("a") is Status.GRANTED


def test_word_of_the_operator_lifts_no_objection_over_a_closure(ledger: Ledger) -> None:
    ledger.write("b", RowKind.OBJECT, 1)
    ledger.merge("a b")
    ledger.write("a", RowKind.GRANT, 2, evidence=DeclaredEvidence("paper-form"))
    assert ledger.status("a") is Status.OBJECTED


def test_negative_without_brand_holds_for_all_brands(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 1)
    ledger.write("a", RowKind.WITHDRAW, 2, Key("news", ""))
    assert ledger.status("a") is Status.WITHDRAWN
    ledger.write("a", RowKind.GRANT, 3)
    assert ledger.status("a") is Status.GRANTED
    assert ledger.status("a", Key("news", "")) is Status.WITHDRAWN


def test_grant_that_names_no_brand_is_none_for_a_purpose_with_brands(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 1, Key("news", ""))
    assert ledger.status("a") is None


def test_objection_to_direct_marketing_at_one_brand_leaves_the_others(ledger: Ledger) -> None:
    south = Key("news", "south")
    ledger.write("a", RowKind.GRANT, 1)
    ledger.write("a", RowKind.GRANT, 1, south)
    ledger.write("a", RowKind.OBJECT, 2, Key(DIRECT_MARKETING, "north"))
    assert (ledger.status("a"), ledger.status("a", south)) == (Status.OBJECTED, Status.GRANTED)


def test_objection_at_any_brand_reaches_direct_marketing_that_has_no_brands(ledger: Ledger) -> None:
    promo = Key("promo", "")
    ledger.write("a", RowKind.GRANT, 1, promo)
    ledger.write("a", RowKind.OBJECT, 2, Key(DIRECT_MARKETING, "north"))
    assert ledger.status("a", promo) is Status.OBJECTED


def test_negative_of_any_id_wins_over_a_closure(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 5)
    ledger.write("b", RowKind.WITHDRAW, 1)
    ledger.merge("a b")
    assert ledger.status("a") is ledger.status("b") is Status.WITHDRAWN


def test_absence_is_neutral_over_a_closure(ledger: Ledger) -> None:
    granted = ledger.write("b", RowKind.GRANT, 1, notice_id="n", notice_version=2)
    ledger.merge("a b")
    state = ledger.state("a")
    assert state is not None
    assert (state.status, state.reference, state.notice_version) == (Status.GRANTED, granted, 2)
    assert ledger.granting("a") == ["b"]


def test_grant_recorded_after_the_merge_and_legally_later_lifts(ledger: Ledger) -> None:
    ledger.write("b", RowKind.WITHDRAW, 3)
    ledger.merge("a b")
    ledger.write("a", RowKind.GRANT, 3)
    assert ledger.status("a") is Status.WITHDRAWN
    ledger.write("a", RowKind.GRANT, 4)
    assert ledger.status("a") is Status.GRANTED


def test_grant_must_come_after_the_merge_that_joined_the_two_not_after_any(ledger: Ledger) -> None:
    ledger.write("b", RowKind.WITHDRAW, 1)
    ledger.merge("a c")
    ledger.write("c", RowKind.GRANT, 2)
    ledger.merge("a c b")
    assert ledger.status("a") is Status.WITHDRAWN
    ledger.write("c", RowKind.GRANT, 2)
    assert ledger.status("a") is Status.GRANTED


def test_decision_of_the_survivor_covers_ids_joined_before_it(ledger: Ledger) -> None:
    ledger.write("b", RowKind.GRANT, 1)
    ledger.merge("a b c")
    ledger.write("b", RowKind.GRANT, 2)
    assert ledger.granting("a") == ["b"]
    ledger.write("a", RowKind.GRANT, 3, expires_at=day(30))
    assert ledger.granting("a") == ["a", "b", "c"]
    ledger.merge("a b c d")
    state = ledger.state("d")
    assert state is not None
    assert state.granting_ids(day(29)) == ("a", "b", "c")
    assert state.granting_ids(day(30)) == ()


def test_id_that_withdrew_after_the_survivor_decided_is_not_covered(ledger: Ledger) -> None:
    ledger.merge("a b c")
    ledger.write("a", RowKind.GRANT, 1)
    ledger.write("b", RowKind.WITHDRAW, 2)
    ledger.write("c", RowKind.GRANT, 3)
    assert ledger.granting("a") == ["a", "c"]


def test_decision_that_the_survivor_took_back_covers_nobody(ledger: Ledger) -> None:
    ledger.merge("a b c")
    ledger.write("a", RowKind.GRANT, 1)
    ledger.write("a", RowKind.WITHDRAW, 2)
    ledger.write("c", RowKind.GRANT, 3)
    assert ledger.status("a") is Status.GRANTED
    assert ledger.granting("a") == ["c"]


def test_negative_recorded_while_merged_counts_on_both_sides_of_a_split(ledger: Ledger) -> None:
    ledger.write("b", RowKind.GRANT, 1)
    ledger.merge("a b")
    ledger.write("a", RowKind.WITHDRAW, 2)
    ledger.split("a", "b")
    assert ledger.status("a") is ledger.status("b") is Status.WITHDRAWN
    ledger.write("b", RowKind.GRANT, 3)
    assert (ledger.status("a"), ledger.status("b")) == (Status.WITHDRAWN, Status.GRANTED)


def test_negative_recorded_before_the_merge_stays_with_its_id(ledger: Ledger) -> None:
    ledger.write("b", RowKind.GRANT, 1)
    ledger.write("a", RowKind.WITHDRAW, 2)
    ledger.merge("a b")
    ledger.split("a", "b")
    assert (ledger.status("a"), ledger.status("b")) == (Status.WITHDRAWN, Status.GRANTED)


def test_split_copies_no_grant(ledger: Ledger) -> None:
    ledger.merge("a b")
    ledger.write("a", RowKind.GRANT, 1)
    ledger.split("a", "b")
    assert (ledger.status("a"), ledger.status("b")) == (Status.GRANTED, None)


def test_shared_negative_outlives_a_grant_from_before_the_merge_that_shared_it(ledger: Ledger) -> None:
    ledger.write("b", RowKind.GRANT, 9)
    ledger.merge("a b")
    ledger.write("a", RowKind.WITHDRAW, 2)
    assert ledger.status("b") is Status.WITHDRAWN
    ledger.split("a", "b")
    assert ledger.status("b") is Status.WITHDRAWN


def test_shared_negative_that_one_side_lifted_comes_back_with_the_other_side(ledger: Ledger) -> None:
    ledger.merge("a b")
    ledger.write("a", RowKind.WITHDRAW, 2)
    ledger.split("a", "b")
    ledger.write("a", RowKind.GRANT, 3)
    assert (ledger.status("a"), ledger.status("b")) == (Status.GRANTED, Status.WITHDRAWN)
    ledger.merge("a b")
    assert ledger.status("a") is Status.WITHDRAWN


def test_id_first_issued_by_a_split_takes_every_negative_and_no_grant(ledger: Ledger) -> None:
    ledger.write("b", RowKind.OBJECT, 1)
    ledger.merge("a b")
    ledger.write("a", RowKind.GRANT, 2)
    assert ledger.status("a") is Status.GRANTED
    ledger.split("a b", "n", issued=("n",))
    assert (ledger.status("a"), ledger.status("n")) == (Status.GRANTED, Status.OBJECTED)
    ledger.write("b", RowKind.OBJECT, 5)
    ledger.write("n", RowKind.GRANT, 2)
    assert (ledger.status("a"), ledger.status("n")) == (Status.OBJECTED, Status.GRANTED)


def test_id_issued_from_an_issued_id_takes_the_same_whichever_split_is_heard_first(ledger: Ledger) -> None:
    ledger.write("a", RowKind.OBJECT, 1)
    first = PartitionChange("evt_1", (ResultingProfile("a", 2), ResultingProfile("n", 2)), ("n",))
    second = PartitionChange("evt_2", (ResultingProfile("n", 3), ResultingProfile("m", 3)), ("m",))
    ledger.write("n", RowKind.SPLIT, partition=second)
    assert ledger.status("m") is None
    ledger.write("a", RowKind.SPLIT, partition=first)
    assert ledger.status("n") is ledger.status("m") is Status.OBJECTED


def test_issued_id_also_takes_what_the_profile_it_left_had_from_an_earlier_parting(ledger: Ledger) -> None:
    ledger.merge("a b")
    ledger.write("b", RowKind.OBJECT, 1)
    ledger.split("a", "b")
    ledger.split("a", "n", issued=("n",))
    assert ledger.status("n") is Status.OBJECTED


def test_split_heard_late_is_told_to_everyone_issued_through_it(ledger: Ledger) -> None:
    first = PartitionChange("evt_1", (ResultingProfile("a", 2), ResultingProfile("n", 2)), ("n",))
    second = PartitionChange("evt_2", (ResultingProfile("n", 3), ResultingProfile("m", 3)), ("m",))
    ledger.write("n", RowKind.SPLIT, partition=second)
    ledger.write("a", RowKind.OBJECT, 1)  # after m had left
    late = LedgerRow(3, START, "cev_3", "a", RowKind.SPLIT, START, partition=first)
    assert ledger.add(late) == {"a", "n", "m"}
    assert (ledger.status("n"), ledger.status("m")) == (Status.OBJECTED, None)


def test_negative_carried_over_from_an_erased_id_is_nobody_elses(ledger: Ledger) -> None:
    ledger.merge("x a")
    ledger.write("x", RowKind.OBJECT, 1)
    ledger.split("x", "a")
    ledger.merge("a c")
    ((named_id, draft),) = carried_over(ledger.history, {"x"})
    assert named_id == "a"
    ledger.add(draft.at(5, recorded_at=START, reference="cev_5", named_id=named_id))
    ledger.split("a", "c")
    assert (ledger.status("a"), ledger.status("c")) == (Status.OBJECTED, None)


def test_negative_carried_over_is_lifted_by_no_more_than_it_was(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 9)
    ledger.merge("x a")
    ledger.write("x", RowKind.WITHDRAW, 2)
    ledger.split("x", "a")
    assert ledger.status("a") is Status.WITHDRAWN
    drafts = carried_over(ledger.history, {"x"})
    rows = [row for row in ledger.rows if row.named_id != "x" or row.partition]
    rows += [d.at(9, recorded_at=START, reference="cev_9", named_id=i) for i, d in drafts]
    state = resolve_key(History(TRAITS, rows), "a", NEWS)
    assert state is not None
    assert state.status is Status.WITHDRAWN


def test_nothing_is_carried_over_to_an_id_that_was_erased_itself(ledger: Ledger) -> None:
    ledger.merge("x a")
    ledger.write("x", RowKind.OBJECT, 1)
    ledger.split("x", "a")
    ledger.write("a", RowKind.FENCE)
    assert carried_over(ledger.history, {"x"}) == []


def test_late_merge_does_not_undo_a_split_heard_before(ledger: Ledger) -> None:
    merge = PartitionChange("evt_1", (ResultingProfile("a", 2, ("b",)),))
    split = PartitionChange("evt_2", (ResultingProfile("a", 3), ResultingProfile("b", 3)))
    ledger.write("a", RowKind.SPLIT, partition=split)
    ledger.write("a", RowKind.MERGE, partition=merge)
    assert ledger.history.partition.closure_of("a") == {"a"}
    assert ledger.history.partition.joined_at("a", "b") is None


def test_profile_absorbed_takes_along_ids_whose_split_is_not_heard_yet(ledger: Ledger) -> None:
    ledger.merge("a b")
    ledger.merge("c a")
    partition = ledger.history.partition
    assert partition.closure_of("c") == {"a", "b", "c"}
    assert partition.joined_at("a", "b") == 1
    assert partition.joined_at("b", "c") == 2
    assert partition.joined_at("b", "c", at=1) is None
    assert partition.survivor("b", at=1) == "a"


def test_restriction_follows_the_rule_of_negatives(ledger: Ledger) -> None:
    ledger.write("b", RowKind.RESTRICT, 1, ground="ACCURACY_DISPUTED")
    ledger.write("a", RowKind.LIFT, 5)
    ledger.merge("a b")
    restriction = resolve_restriction(ledger.history, "a")
    assert restriction is not None
    assert (restriction.ground, restriction.since) == ("ACCURACY_DISPUTED", day(1))
    ledger.write("a", RowKind.LIFT, 5)
    assert resolve_restriction(ledger.history, "b") is None
    ledger.split("a", "b")
    assert resolve_restriction(ledger.history, "b") is not None
    assert resolve_restriction(ledger.history, "a") is None


def test_fenced_id_fences_every_closure_it_is_part_of(ledger: Ledger) -> None:
    ledger.write("b", RowKind.FENCE)
    assert resolve_fences(ledger.history, "a") == ()
    ledger.merge("a b")
    (fence,) = resolve_fences(ledger.history, "a")
    assert (fence.profile_id, fence.position) == ("b", 1)


def test_blanked_and_purpose_rows_change_nobody(ledger: Ledger) -> None:
    row = LedgerRow(1, START, "", "a", RowKind.BLANK, START)
    assert ledger.history.add(row) == frozenset()
    assert resolve_subject(ledger.history, "a").states == ()


def test_whole_state_lists_redirects_and_keys_in_order(ledger: Ledger) -> None:
    ledger.write("c", RowKind.GRANT, 1)
    ledger.write("b", RowKind.WITHDRAW, 1, Key("news", ""))
    ledger.merge("b a c")
    state = resolve_subject(ledger.history, "c")
    assert (state.profile_id, state.redirect_ids) == ("b", ("a", "c"))
    assert [key_state.key for key_state in state.states] == [Key("news", ""), NEWS]


def test_what_was_permitted_then_is_told_as_it_was_known(ledger: Ledger) -> None:
    ledger.write("a", RowKind.GRANT, 1, expires_at=day(20))
    ledger.write("a", RowKind.WITHDRAW, 10)
    ledger.write("a", RowKind.REFUSE, 0)  # recorded last, decided first

    def states() -> Iterator[Status | None]:
        for known, until in ((1, 15), (2, 15), (2, 9), (3, 0)):
            history = History(TRAITS, as_known(ledger.rows, recorded_until=day(known), decided_until=day(until)))
            state = resolve_key(history, "a", NEWS)
            yield None if state is None else state.status

    assert list(states()) == [Status.GRANTED, Status.WITHDRAWN, Status.GRANTED, Status.REFUSED]


@pytest.mark.parametrize(
    "then",
    [lambda ledger: ledger.split("a", "b"), lambda ledger: ledger.split("b", "a")],
    ids=["absorber first", "absorbed first"],
)
def test_merge_then_split_leaves_no_trace(ledger: Ledger, then: Callable[[Ledger], None]) -> None:
    ledger.write("a", RowKind.GRANT, 1)
    ledger.write("b", RowKind.OBJECT, 2)
    before = [resolve_subject(ledger.history, i) for i in "ab"]
    ledger.merge("a b")
    assert ledger.status("a") is Status.OBJECTED
    then(ledger)
    assert [resolve_subject(ledger.history, i) for i in "ab"] == before
