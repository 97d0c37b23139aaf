"""A consent ledger in memory: small enough to be believed, whole enough to feed a gate.

It writes the changes that a ledger would write, keeps the state after each of them in plain dicts, and serves as the
three sources of a gate's replica. Resolution is simplified: a merge lets the negative of either side win, a split
copies the negatives and no grant.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_privacy.ports import ForeignEpochError, LedgerHead

Key = tuple[str, str]

DIRECT_MARKETING = "direct_marketing.*"
BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
_CHUNK = 2
_GROUND = "ACCURACY_DISPUTED"


@dataclass(frozen=True)
class LedgerState:
    """What the ledger holds at one position. Never changed in place."""

    redirects: dict[str, str] = field(default_factory=dict)
    keys: dict[str, dict[Key, ledger_pb2.KeyState]] = field(default_factory=dict)
    restricted: frozenset[str] = frozenset()
    fences: frozenset[str] = frozenset()
    purposes: dict[str, ledger_pb2.PurposeState] = field(default_factory=dict)

    def current(self, profile_id: str) -> str:
        """The id that stands for this one."""
        return self.redirects.get(profile_id, profile_id)

    def closure(self, profile_id: str) -> set[str]:
        """Every id that stands for the same person."""
        current = self.current(profile_id)
        return {current, *(absorbed for absorbed, survivor in self.redirects.items() if survivor == current)}


class LedgerModel:
    """The ledger. Its writes return the change; all names are the caller's.

    Attributes:
        epoch: The present epoch.
        epochs: Every epoch there ever was.
        written: Every change of the present epoch as it was written, in order.
        states: The state after each position, from 0 on.
        reachable: Whether its sources answer.
    """

    def __init__(self, epoch: str = "epoch-1") -> None:
        self.epoch = epoch
        self.epochs = [epoch]
        self.written: list[ledger_pb2.LedgerChange] = []
        self.states = [LedgerState()]
        self.reachable = True

    @property
    def position(self) -> int:
        """The last position."""
        return len(self.written)

    @property
    def changes(self) -> list[ledger_pb2.LedgerChange]:
        """Every change of the present epoch as it is read now: without what it said of people erased since."""
        changes = list(self.written)
        for index, erasure in enumerate(self.written):
            if erasure.fences:
                changes[:index] = [_blanked(change, erasure.fences) for change in changes[:index]]
        return changes

    @property
    def state(self) -> LedgerState:
        """The present state."""
        return self.states[-1]

    def define(self, purpose_id: str, basis: int, *, active_from: datetime = BEGINNING, **terms: Any) -> None:
        """Activate a version of a purpose."""
        state = ledger_pb2.PurposeState(purpose_id=purpose_id)
        if purpose_id in self.state.purposes:
            state.CopyFrom(self.state.purposes[purpose_id])
        bases = [purpose_pb2.BasisRule(basis=purpose_pb2.LegalBasis.ValueType(basis))]
        rule = state.rules.add(version=len(state.rules) + 1, active_from=_timestamp(active_from))
        rule.terms.CopyFrom(purpose_pb2.PurposeTerms(bases=bases, **terms))
        self._write_purpose(state)

    def retire(self, purpose_id: str) -> None:
        """Take a purpose out of force."""
        state = ledger_pb2.PurposeState()
        state.CopyFrom(self.state.purposes[purpose_id])
        state.retired = True
        self._write_purpose(state)

    def grant(
        self,
        named_id: str,
        purpose_id: str,
        brand_id: str = "",
        expires_at: datetime | None = None,
        decided_at: datetime | None = None,
    ) -> None:
        """The person says yes."""
        key = ledger_pb2.KeyState(
            purpose_id=purpose_id,
            brand_id=brand_id,
            status=ledger_pb2.CONSENT_STATUS_GRANTED,
            evidence=ledger_pb2.EVIDENCE_KIND_CAPTURED,
            reference=self._reference(),
            expires_at=None if expires_at is None else _timestamp(expires_at),
            decided_at=None if decided_at is None else _timestamp(decided_at),
            granting_ids=[named_id],
        )
        self._write_keys(named_id, [key])

    def deny(self, named_id: str, purpose_id: str, status: int, brand_id: str = "") -> None:
        """The person says no in one of the ways there are: it reaches every key that exists below this one."""
        current = self.state.current(named_id)
        marketing = {name for name, purpose in self.state.purposes.items() if purpose.rules[-1].terms.direct_marketing}
        purposes = {purpose_id} | (marketing if purpose_id == DIRECT_MARKETING else set())
        below = [
            key
            for key in self.state.keys.get(current, {})
            if key[0] in purposes and (not brand_id or key[1] == brand_id) and key != (purpose_id, brand_id)
        ]
        keys = [
            ledger_pb2.KeyState(
                purpose_id=name,
                brand_id=brand,
                status=ledger_pb2.ConsentStatus.ValueType(status),
                reference=self._reference(),
            )
            for name, brand in [(purpose_id, brand_id), *below]
        ]
        self._write_keys(named_id, keys)

    def restrict(self, named_id: str, *, in_force: bool = True) -> None:
        """Place a restriction, or lift it."""
        current = self.state.current(named_id)
        restriction = ledger_pb2.Restriction(in_force=in_force, ground=_GROUND)
        subject = ledger_pb2.SubjectState(profile_id=current, restriction=restriction)
        restricted = self.state.restricted | {current} if in_force else self.state.restricted - {current}
        self._write(named_id, replace(self.state, restricted=restricted), subjects=[subject])

    def merge(self, survivor_id: str, absorbed_id: str) -> None:
        """Two profiles are one person."""
        survivor, absorbed = self.state.current(survivor_id), self.state.current(absorbed_id)
        if survivor == absorbed:
            return
        keys = dict(self.state.keys)
        lost = keys.pop(absorbed, {})
        keys[survivor] = {**lost, **keys.get(survivor, {}), **_negatives(lost)}
        redirects = {each: survivor if to == absorbed else to for each, to in self.state.redirects.items()}
        restricted = self.state.restricted
        if absorbed in restricted:
            restricted = restricted - {absorbed} | {survivor}
        state = replace(self.state, keys=keys, redirects={**redirects, absorbed: survivor}, restricted=restricted)
        self._write(survivor, state, subjects=[whole(state, survivor)])

    def split(self, profile_id: str) -> None:
        """An absorbed id is a person of its own again; it takes the negatives and no grant."""
        survivor = self.state.current(profile_id)
        if survivor == profile_id:
            return
        restricted = self.state.restricted
        if survivor in restricted:
            restricted = restricted | {profile_id}
        redirects = {each: to for each, to in self.state.redirects.items() if each != profile_id}
        keys = {**self.state.keys, profile_id: _negatives(self.state.keys.get(survivor, {}))}
        state = replace(self.state, keys=keys, redirects=redirects, restricted=restricted)
        self._write(survivor, state, subjects=[whole(state, each) for each in sorted((survivor, profile_id))])

    def fence(self, named_id: str) -> None:
        """Erase a person: every id is fenced and nothing else about it is kept."""
        ids = self.state.closure(named_id)
        position = self.position + 1
        fences = [
            ledger_pb2.Fence(profile_id=each, kind=ledger_pb2.FENCE_KIND_ERASED, position=position)
            for each in sorted(ids)
        ]
        state = replace(
            self.state,
            keys={each: keys for each, keys in self.state.keys.items() if each not in ids},
            restricted=self.state.restricted - ids,
            fences=self.state.fences | ids,
        )
        self._write(named_id, state, fences=fences)

    def restore(self, position: int, epoch: str) -> None:
        """Go back to an earlier position and on in a new epoch, as after the restore of a backup.

        Raises:
            ValueError: The epoch is not new.
        """
        if epoch in self.epochs:
            raise ValueError("an epoch is never used twice")
        self.epochs.append(epoch)
        kept, self.written, self.epoch = self.written[:position], [], epoch
        del self.states[position + 1 :]
        for earlier in kept:
            change = ledger_pb2.LedgerChange()
            change.CopyFrom(earlier)
            change.epoch = epoch
            self.written.append(change)

    def snapshot(self, position: int | None = None) -> Iterator[consent_pb2.StreamSnapshotResponse]:
        """The messages of a snapshot of the present or an earlier position."""
        at = self.position if position is None else position
        state = self.states[at]
        header = consent_pb2.SnapshotHeader()
        header.position.epoch, header.position.position = self.epoch, at
        yield consent_pb2.StreamSnapshotResponse(header=header)
        survivors = {state.current(each) for each in (*state.keys, *state.redirects, *state.restricted)}
        subjects = [whole(state, survivor) for survivor in sorted(survivors)]
        for start in range(0, len(subjects), _CHUNK):
            chunk = consent_pb2.SnapshotChunk(subjects=subjects[start : start + _CHUNK])
            yield consent_pb2.StreamSnapshotResponse(chunk=chunk)
        fences = [ledger_pb2.Fence(profile_id=each, kind=ledger_pb2.FENCE_KIND_ERASED) for each in sorted(state.fences)]
        chunk = consent_pb2.SnapshotChunk(fences=fences, purposes=state.purposes.values())
        yield consent_pb2.StreamSnapshotResponse(chunk=chunk)
        trailer = consent_pb2.SnapshotTrailer(subjects=len(subjects), fences=len(fences))
        yield consent_pb2.StreamSnapshotResponse(trailer=trailer)

    def page(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Some changes that follow a position, as they are read now.

        Raises:
            ForeignEpochError: The ledger is in another epoch.
        """
        if epoch != self.epoch:
            raise ForeignEpochError
        return self.changes[position : position + limit]

    async def read(self) -> LedgerHead:
        """Answer as a source of heads."""
        self._reach()
        return LedgerHead(self.epoch, self.position)

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Answer as a source of changes."""
        self._reach()
        return self.page(position, limit, epoch)

    async def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        """Answer as a source of snapshots."""
        self._reach()
        for message in list(self.snapshot()):
            yield message

    def _reach(self) -> None:
        if not self.reachable:
            raise ConnectionError("the ledger cannot be reached")

    def _write_purpose(self, purpose: ledger_pb2.PurposeState) -> None:
        purposes = {**self.state.purposes, purpose.purpose_id: purpose}
        self._write(purpose.purpose_id, replace(self.state, purposes=purposes), purposes=[purpose])

    def _reference(self) -> str:
        """The id of the event being written, in the form that the ledger's ids have."""
        return f"cev_{len(self.epochs):04d}{self.position + 1:018d}"

    def _write_keys(self, named_id: str, states: list[ledger_pb2.KeyState]) -> None:
        current = self.state.current(named_id)
        touched = {(state.purpose_id, state.brand_id): state for state in states}
        keys = {**self.state.keys, current: {**self.state.keys.get(current, {}), **touched}}
        subject = ledger_pb2.SubjectState(profile_id=current, states=states)
        self._write(named_id, replace(self.state, keys=keys), subjects=[subject])

    def _write(
        self,
        named_id: str,
        state: LedgerState,
        *,
        subjects: Iterable[ledger_pb2.SubjectState] = (),
        purposes: Iterable[ledger_pb2.PurposeState] = (),
        fences: Iterable[ledger_pb2.Fence] = (),
    ) -> None:
        change = ledger_pb2.LedgerChange(
            epoch=self.epoch,
            position=self.position + 1,
            recorded_at=_timestamp(BEGINNING + timedelta(seconds=self.position)),
            named_id=named_id,
            current_id=state.current(named_id),
            subjects=subjects,
            purposes=purposes,
            fences=fences,
        )
        self.written.append(change)
        self.states.append(state)


def whole(state: LedgerState, profile_id: str) -> ledger_pb2.SubjectState:
    """The whole state of a profile."""
    restriction = ledger_pb2.Restriction(in_force=True, ground=_GROUND) if profile_id in state.restricted else None
    return ledger_pb2.SubjectState(
        profile_id=profile_id,
        whole=True,
        redirect_ids=sorted(state.closure(profile_id) - {profile_id}),
        states=state.keys.get(profile_id, {}).values(),
        restriction=restriction,
    )


def _blanked(change: ledger_pb2.LedgerChange, fences: Sequence[ledger_pb2.Fence]) -> ledger_pb2.LedgerChange:
    """The change without what it says of erased ids; their fences stand in its place."""
    ids = {fence.profile_id for fence in fences}
    kept = [subject for subject in change.subjects if subject.profile_id not in ids]
    if len(kept) == len(change.subjects):
        return change
    blanked = ledger_pb2.LedgerChange()
    blanked.CopyFrom(change)
    del blanked.subjects[:]
    blanked.subjects.extend(kept)
    blanked.fences.extend(fence for fence in fences if fence.profile_id == change.current_id)
    if change.current_id in ids:
        blanked.ClearField("named_id")
        blanked.ClearField("current_id")
    return blanked


def _negatives(states: dict[Key, ledger_pb2.KeyState]) -> dict[Key, ledger_pb2.KeyState]:
    return {key: state for key, state in states.items() if state.status != ledger_pb2.CONSENT_STATUS_GRANTED}


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
