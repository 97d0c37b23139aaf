"""Snapshots that arrive broken load nothing."""

from collections.abc import Callable

import pytest
from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_privacy.replica import Applied, Replica
from rapport_privacy.snapshot import SnapshotIncompleteError, SnapshotLoad
from rapport_testing.ledger_model import LedgerModel

Messages = list[consent_pb2.StreamSnapshotResponse]


def ledger() -> LedgerModel:
    model = LedgerModel()
    model.define("mail", purpose_pb2.LEGAL_BASIS_CONSENT)
    for person in ("prf_a", "prf_b", "prf_c"):
        model.grant(person, "mail")
    model.fence("prf_c")
    return model


def load(replica: Replica, messages: Messages) -> None:
    snapshot = SnapshotLoad()
    for message in messages:
        snapshot.take(message)
    replica.load(snapshot)


@pytest.mark.parametrize(
    "damage",
    [
        lambda messages: messages[:-1],
        lambda messages: messages[1:],
        lambda messages: [messages[0], *messages],
        lambda messages: [*messages, messages[-1]],
        lambda messages: [messages[0], *messages[2:]],
        lambda messages: [*messages[:2], *messages[1:]],
        lambda messages: [*messages[:-2], messages[-1]],
        lambda messages: [],
    ],
    ids=["no trailer", "no header", "two headers", "two trailers", "chunk lost", "chunk twice", "fences lost", "empty"],
)
def test_a_damaged_snapshot_is_refused_and_leaves_the_replica_cold(damage: Callable[[Messages], Messages]) -> None:
    replica = Replica()
    with pytest.raises(SnapshotIncompleteError):
        load(replica, damage(list(ledger().snapshot())))
    assert not replica.warm


def test_what_arrived_before_and_during_the_load_is_applied_after_it() -> None:
    model, replica, loading = ledger(), Replica(), SnapshotLoad()
    old = model.changes[-1]
    snapshot = list(model.snapshot())
    for _ in range(2):
        model.grant("prf_a", "mail")
    assert [replica.apply(change) for change in (model.changes[-1], old)] == [Applied.KEPT] * 2
    for message in snapshot:
        loading.take(message)
    assert replica.apply(model.changes[-2]) is Applied.KEPT
    replica.load(loading)
    assert (replica.position, replica.lag_positions) == (model.position, 0)


def test_changes_beyond_what_can_be_kept_are_left_to_the_filling_of_the_gap() -> None:
    model = ledger()
    replica = Replica(most_aside=1)
    load(replica, list(model.snapshot()))
    for _ in range(3):
        model.grant("prf_a", "mail")
    missing, kept, left_out = model.changes[-3:]
    assert [replica.apply(change) for change in (kept, left_out)] == [Applied.KEPT, Applied.LEFT_OUT]
    assert replica.apply(missing) is Applied.FOLDED
    assert (replica.position, replica.highest) == (kept.position, left_out.position)
    assert replica.apply(left_out) is Applied.FOLDED
