"""What people tell of a task that no program does, as it is typed and as it is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from rapport.common.v1.privacy_pb2 import (
    PRIVACY_TASK_OUTCOME_DONE,
    PRIVACY_TASK_OUTCOME_NOTHING_HELD,
    PRIVACY_TASK_OUTCOME_PARTIAL,
    PrivacyTaskOutcome,
)
from rapport_local.commands.privacy_answers import answered

REQUEST, TASK = "req_0123456789", "tsk_0123456789"


@pytest.mark.parametrize(
    ("stores", "kept", "outcome"),
    [
        ((), (), PRIVACY_TASK_OUTCOME_NOTHING_HELD),
        (("cellar:0:0",), (), PRIVACY_TASK_OUTCOME_NOTHING_HELD),
        (("cellar:0:0", "attic:3:3"), (), PRIVACY_TASK_OUTCOME_DONE),
        (("cellar:3:1",), ("cellar:2:LEGAL_CLAIM",), PRIVACY_TASK_OUTCOME_PARTIAL),
    ],
)
def test_the_outcome_follows_from_what_was_found_and_kept(
    stores: tuple[str, ...], kept: tuple[str, ...], outcome: PrivacyTaskOutcome.ValueType
) -> None:
    assert answered(REQUEST, TASK, stores, kept, "protocol 7").outcome == outcome


def test_places_counts_grounds_and_days_are_told_as_they_were_typed() -> None:
    kept = ("cellar:2:LEGAL_CLAIM:2031-12-31", "attic:1:SECURITY")
    told = answered(REQUEST, TASK, ("cellar:3:1", "attic:4:3"), kept, "protocol 7")
    assert (told.privacy_request_id, told.task_id, told.reason) == (REQUEST, TASK, "protocol 7")
    assert [(each.store, each.found, each.acted) for each in told.stores] == [("cellar", 3, 1), ("attic", 4, 3)]
    assert [(each.store, each.count, each.ground) for each in told.exceptions] == [
        ("cellar", 2, "LEGAL_CLAIM"),
        ("attic", 1, "SECURITY"),
    ]
    assert told.exceptions[0].until.ToDatetime(UTC) == datetime(2031, 12, 31, tzinfo=UTC)
    assert not told.exceptions[1].HasField("until")


@pytest.mark.parametrize(
    ("stores", "kept"),
    [
        (("cellar",), ()),
        (("cellar:three:1",), ()),
        (("cellar:3:1:0",), ()),
        ((), ("cellar:2",)),
        ((), ("cellar:2:LEGAL_CLAIM:soon",)),
        ((), ("cellar:2:LEGAL_CLAIM:2031-12-31:more",)),
    ],
)
def test_what_is_written_otherwise_is_said_to_be_so(stores: tuple[str, ...], kept: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="is not NAME:"):
        answered(REQUEST, TASK, stores, kept, "protocol 7")
