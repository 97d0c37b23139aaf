"""What every source of a gate's replica must do, whether it is a fake, a table or a remote service.

Derive a test class and give it the fixture `ledger`:

    class TestSourcesOfTheTable(LedgerSourcesSuite):
        @pytest.fixture
        async def ledger(self, …) -> SuppliedLedger: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pytest
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_privacy.ports import ChangeSource, ForeignEpochError, HeadSource, SnapshotSource
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_privacy.state import Purpose, Restriction

Portrait = tuple[
    dict[str, tuple[str, frozenset[tuple[tuple[str, str], int, str]], Restriction | None]], set[str], dict[str, Purpose]
]


class SuppliedLedger(Protocol):
    """A ledger under test: its sources, and a way to write to it."""

    @property
    def heads(self) -> HeadSource:
        """Source of its head."""

    @property
    def changes(self) -> ChangeSource:
        """Source of its changes."""

    @property
    def snapshots(self) -> SnapshotSource:
        """Source of its snapshot."""

    @property
    def person(self) -> str:
        """An id that may be granted for and erased."""

    async def write(self) -> None:
        """Commit at least one positioned change."""

    async def erase(self) -> None:
        """Commit the erasure of `person`, for whom something was recorded before."""


class LedgerSourcesSuite:
    """The suite. Its test methods run for each class derived from it."""

    async def test_the_head_knows_a_write_committed_before_it_was_asked(self, ledger: SuppliedLedger) -> None:
        """A replica is fresh only because of this."""
        before = await ledger.heads.read()
        await ledger.write()
        after = await ledger.heads.read()
        assert after.epoch == before.epoch
        assert after.position > before.position

    async def test_changes_follow_a_position_without_gap_and_end_at_the_head(self, ledger: SuppliedLedger) -> None:
        """Pages of any size join."""
        for _ in range(5):
            await ledger.write()
        head = await ledger.heads.read()
        changes = await _all_changes(ledger, limit=2)
        assert [change.position for change in changes] == list(range(1, head.position + 1))
        assert {change.epoch for change in changes} == {head.epoch}

    async def test_nothing_follows_the_head(self, ledger: SuppliedLedger) -> None:
        """The page after the last is empty."""
        await ledger.write()
        head = await ledger.heads.read()
        assert await ledger.changes.after(head.position, 10, head.epoch) == []

    async def test_changes_of_another_epoch_are_refused(self, ledger: SuppliedLedger) -> None:
        """Positions of another epoch mean nothing."""
        with pytest.raises(ForeignEpochError):
            await ledger.changes.after(0, 10, "never-was")

    async def test_a_snapshot_holds_what_all_changes_up_to_its_position_add_up_to(self, ledger: SuppliedLedger) -> None:
        """Loading it is the same as having followed from the start."""
        for _ in range(5):
            await ledger.write()
        loaded = await _load(ledger)
        followed = _empty(loaded.epoch)
        for change in (await _all_changes(ledger, limit=100))[: loaded.position]:
            followed.apply(change)
        assert portrait(followed) == portrait(loaded)

    async def test_changes_go_on_where_a_snapshot_ends(self, ledger: SuppliedLedger) -> None:
        """Nothing is lost between the two."""
        await ledger.write()
        loaded = await _load(ledger)
        await ledger.write()
        while page := await ledger.changes.after(loaded.position, 100, loaded.epoch):
            for change in page:
                loaded.apply(change)
        assert loaded.position == (await ledger.heads.read()).position
        assert portrait(loaded) == portrait(await _load(ledger))

    async def test_an_erased_person_is_fenced_in_the_snapshot_and_bare_in_the_changes(
        self, ledger: SuppliedLedger
    ) -> None:
        """Nothing else about the person is left anywhere."""
        await ledger.erase()
        assert ledger.person in (await _load(ledger)).fences
        changes = await _all_changes(ledger, limit=100)
        assert any(fence.profile_id == ledger.person for change in changes for fence in change.fences)
        named = [subject for change in changes for subject in change.subjects if subject.profile_id == ledger.person]
        assert not any(subject.states for subject in named)


def portrait(replica: Replica) -> Portrait:
    """All that a replica knows, to be compared with another: for each id what stands for it and what is in force."""
    contents = replica.contents
    subjects = {
        profile_id: (
            subject.profile_id,
            frozenset((key, state.status, state.reference) for key, state in subject.states.items()),
            subject.restriction,
        )
        for profile_id, subject in contents.subjects.items()
        if (subject.states or subject.restriction or subject.redirect_ids)
        and subject.profile_id not in replica.fences
        and profile_id not in replica.fences  # a fenced id leads nowhere, whoever had absorbed it
    }
    return subjects, set(replica.fences), dict(contents.purposes)


async def _all_changes(ledger: SuppliedLedger, limit: int) -> Sequence[ledger_pb2.LedgerChange]:
    head = await ledger.heads.read()
    changes: list[ledger_pb2.LedgerChange] = []
    while page := await ledger.changes.after(len(changes), limit, head.epoch):
        assert len(page) <= limit
        changes.extend(page)
    return changes


async def _load(ledger: SuppliedLedger) -> Replica:
    snapshot = SnapshotLoad()
    async for message in ledger.snapshots.stream():
        snapshot.take(message)
    replica = Replica()
    replica.load(snapshot)
    return replica


def _empty(epoch: str) -> Replica:
    header = consent_pb2.SnapshotHeader()
    header.position.epoch = epoch
    snapshot = SnapshotLoad()
    snapshot.take(consent_pb2.StreamSnapshotResponse(header=header))
    snapshot.take(consent_pb2.StreamSnapshotResponse(trailer=consent_pb2.SnapshotTrailer()))
    replica = Replica()
    replica.load(snapshot)
    return replica
