"""Who is asked again: whoever may let go of what a hold kept, and whoever still found something."""

from datetime import UTC, datetime, timedelta

import pytest
from rapport_consent.domain.holds import HeldRecords, Hold
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import (
    AskedTask,
    Kept,
    StoreCount,
    TaskAnswer,
    TaskKind,
    TaskOutcome,
    released,
    still_found,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEPT = Kept("notes", 1, "LEGAL_CLAIM", None)
HOLD = Hold(
    id="hld_1",
    task_request_id="req_2",
    profile_id="prf_1",
    records=(HeldRecords("churn", "notes", ("rec_1",)),),
    matter_id="case-7",
    ground="LEGAL_CLAIM",
    review_at=NOW + timedelta(days=90),
    placed_at=NOW - timedelta(days=1),
    placed_by="officer-1",
    released_at=NOW,
)


def asked(kind: TaskKind, at: datetime = NOW, *kept: Kept, found: int = 0, attempt: int = 0) -> AskedTask:
    """A task of churn's, with its answer."""
    task_id = f"tsk_{kind.name}_{attempt}"
    stores = (StoreCount("notes", found, 0),)
    answer = TaskAnswer(task_id, "churn", TaskOutcome.DONE, at, stores, tuple(kept), (), b"", "kid")
    return AskedTask(task_id, "req_1", "churn", ParticipantKind.EVENT, kind, attempt, at, None, answer=answer)


@pytest.mark.parametrize("since_s", [0, 1], ids=["in the same instant", "a second later"])
def test_what_was_kept_for_a_hold_is_erased_once_the_hold_is_released(since_s: int) -> None:
    told = [asked(TaskKind.UNHOLD, NOW + timedelta(seconds=since_s))]
    assert released({"churn": asked(TaskKind.ERASE, NOW, KEPT)}, [HOLD], {HOLD.id: told}) == {"churn"}


def test_whoever_kept_nothing_or_was_asked_after_the_release_is_not_asked_again() -> None:
    told = {HOLD.id: [asked(TaskKind.UNHOLD)]}
    assert released({"churn": asked(TaskKind.ERASE)}, [HOLD], told) == set()
    assert released({"churn": asked(TaskKind.ERASE, NOW + timedelta(seconds=1), KEPT)}, [HOLD], told) == set()
    assert released({"churn": asked(TaskKind.ERASE, NOW, KEPT)}, [HOLD], {HOLD.id: []}) == set()


def test_only_what_no_exception_keeps_counts_as_found_and_the_last_look_counts() -> None:
    assert still_found([asked(TaskKind.ERASE, NOW, found=2)]) == set()
    assert still_found([asked(TaskKind.PROBE, NOW, KEPT, found=1)]) == set()
    before = asked(TaskKind.PROBE, NOW, KEPT, found=2)
    assert still_found([before]) == {"churn"}
    assert still_found([asked(TaskKind.PROBE, NOW, found=0, attempt=1), before]) == set()
