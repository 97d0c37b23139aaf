"""Packed or not, whenever it is packed: contents are the same."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_privacy.contents import Contents
from rapport_privacy.fences import Fences
from rapport_privacy.follower import Follower
from rapport_privacy.freshness import Freshness
from rapport_privacy.merging import Merge
from rapport_privacy.packed import MOST_PAIRS
from rapport_privacy.replica import Applied, Replica
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

SIBLINGS = ("prf_" + 21 * "s" + "t", "prf_" + 22 * "s")
PEOPLE = ("prf_" + 22 * "a", "prf_" + 22 * "B", "prf_0" + 21 * "9", *SIBLINGS, "prf_else", "prf_" + 21 * "a" + "-")
KEYS = [("mail", ""), ("mail", "alba"), ("mail", "boreal"), ("profiling", ""), ("direct_marketing.*", "alba")]

ids = st.sampled_from(PEOPLE)
times = st.none() | st.builds(
    Timestamp, seconds=st.sampled_from((-62_135_596_800, -1, 0, 1_900_000_000, 253_402_300_799)), nanos=st.just(7_999)
)
references = st.from_regex("cev_[0-9A-Za-z]{22}", fullmatch=True) | st.sampled_from(("", "cev_1", "evt_" + 22 * "x"))


@st.composite
def states(draw: st.DrawFn, profile_id: str) -> ledger_pb2.KeyState:
    purpose_id, brand_id = draw(st.sampled_from(KEYS))
    return ledger_pb2.KeyState(
        purpose_id=purpose_id,
        brand_id=brand_id,
        status=draw(st.integers(0, 6)),  # type: ignore[arg-type] # one that this release does not know, too
        evidence=draw(st.integers(0, 4)),  # type: ignore[arg-type] # likewise
        decided_at=draw(times),
        expires_at=draw(st.none() | times),
        reask_not_before=draw(st.none() | times),
        reference=draw(references),
        notice_id=draw(st.sampled_from(("", "welcome"))),
        notice_version=draw(st.integers(0, 2)),
        granting_ids=draw(st.sampled_from(([], [profile_id], ["prf_other"], [profile_id, "prf_other"]))),
    )


@st.composite
def subjects(draw: st.DrawFn) -> ledger_pb2.SubjectState:
    profile_id, whole = draw(ids), draw(st.booleans())
    return ledger_pb2.SubjectState(
        profile_id=profile_id,
        whole=whole,
        redirect_ids=draw(st.just([]) | st.lists(ids, unique=True, max_size=2)) if whole else [],
        states=draw(st.lists(states(profile_id), max_size=4)),
        restriction=draw(st.none() | st.none() | st.builds(ledger_pb2.Restriction, in_force=st.booleans())),
    )


changes = st.builds(
    ledger_pb2.LedgerChange,
    subjects=st.lists(subjects(), max_size=2),
    fences=st.lists(st.builds(ledger_pb2.Fence, profile_id=ids), max_size=1) | st.just([]),
)
BEGIN, STEP = "begin a merge", "take the next step of the merge"


def living(contents: Contents, fences: Fences) -> dict[str, object]:
    return {
        profile_id: subject for profile_id, subject in contents.subjects.items() if subject.profile_id not in fences
    }


def play(steps: Sequence[ledger_pb2.LedgerChange | str]) -> None:
    """Fold changes twice, once with merges between, and compare after each step."""
    packed, plain, fences, raised = Contents(), Contents(), Fences(), set[str]()
    merging: Iterator[None] = iter(())
    for step in steps:
        if isinstance(step, ledger_pb2.LedgerChange):
            packed.fold(step)
            plain.fold(step)
            fences.update(fence.profile_id for fence in step.fences)
            raised |= {fence.profile_id for fence in step.fences}
        elif step == BEGIN:
            merge = Merge(packed, fences)
            merge.pack()
            merging = merge.finish()
        else:
            next(merging, None)
        assert living(packed, fences) == living(plain, fences)
        assert (set(fences), len(fences)) == (raised, len(raised))
        assert all((each in fences) == (each in raised) for each in PEOPLE)


def test_contents_are_the_same_whatever_is_packed_when(scale: Scale) -> None:
    @settings(max_examples=scale.pick(small=60, full=20_000), deadline=None)
    @given(st.lists(changes | st.sampled_from((BEGIN, STEP, STEP)), max_size=30))
    def check(steps: list[ledger_pb2.LedgerChange | str]) -> None:
        play(steps)

    check()


def granted(profile_id: str, number: int, purposes: Sequence[str]) -> ledger_pb2.LedgerChange:
    reference = f"cev_{number:022d}"
    keys = [
        ledger_pb2.KeyState(purpose_id=purpose, status=ledger_pb2.CONSENT_STATUS_GRANTED, reference=reference)
        for purpose in purposes
    ]
    return ledger_pb2.LedgerChange(
        position=number, subjects=[ledger_pb2.SubjectState(profile_id=profile_id, states=keys)]
    )


def merge(contents: Contents) -> None:
    work = Merge(contents, Fences())
    work.pack()
    for _ in work.finish():
        pass


def test_pairs_beyond_the_most_used_stay_in_the_dictionary() -> None:
    purposes = [f"purpose-{number}" for number in range(MOST_PAIRS + 6)]
    contents, plain = Contents(), Contents()
    for number in range(200):
        profile_id = f"prf_{number:03d}{19 * 'x'}"
        asked = (
            purposes if number < 3 else purposes[number % MOST_PAIRS :][:2] if number % 20 else purposes[:MOST_PAIRS]
        )
        for each in (contents, plain):
            each.fold(granted(profile_id, number + 1, asked))
        if number % 50 == 49:
            merge(contents)
            assert dict(contents.subjects) == dict(plain.subjects)
    assert len(contents.block.pairs) == MOST_PAIRS
    assert len(contents.block) + len(contents.recent) == 200
    assert set(purposes[MOST_PAIRS:]).isdisjoint(purpose for purpose, _ in contents.block.pairs)
    assert 3 <= len(contents.recent) == contents.kept < 20


def test_a_subject_whose_pair_falls_out_of_use_goes_back_to_the_dictionary() -> None:
    contents, plain = Contents(), Contents()
    for number in range(MOST_PAIRS):
        for each in (contents, plain):
            each.fold(granted(f"prf_{number:03d}{19 * 'y'}", number + 1, [f"old-{number:02d}"]))
    merge(contents)
    assert not contents.recent
    for number in range(MOST_PAIRS):
        for each in (contents, plain):
            each.fold(granted(f"prf_{number:03d}{19 * 'z'}", 100 + number, ["new", "newer"]))
    work = Merge(contents, Fences())
    work.pack()
    changed = f"prf_{MOST_PAIRS - 1:03d}{19 * 'y'}"
    for each in (contents, plain):
        each.fold(granted(changed, 300, ["newest"]))
    for _ in work.finish():
        assert dict(contents.subjects) == dict(plain.subjects)
    assert len(contents.recent) == 2
    assert changed in contents.recent


def test_what_is_fenced_leaves_the_columns() -> None:
    contents, fences = Contents(), Fences()
    for number, profile_id in enumerate(PEOPLE[:3]):
        contents.fold(granted(profile_id, number + 1, ["mail"]))
    merge(contents)
    fences.update(PEOPLE[:2])
    work = Merge(contents, fences)
    work.pack()
    next(work.finish())
    assert list(contents.block.keys) == [PEOPLE[2]]
    assert len(fences.packed) == 2


def test_nothing_that_came_during_a_merge_is_lost() -> None:
    contents = Contents()
    everybody = [f"prf_{number:04d}{18 * 'm'}" for number in range(5000)]
    for number, profile_id in enumerate(everybody):
        contents.fold(granted(profile_id, number + 1, ["mail"]))
    work = Merge(contents, Fences())
    work.pack()
    changed, gone, new, later = everybody[0], everybody[1], "prf_" + 22 * "N", everybody[-1]
    contents.fold(granted(changed, 6000, ["mail"]))
    contents.fold(granted(new, 6001, ["mail"]))
    contents.fold(ledger_pb2.LedgerChange(fences=[ledger_pb2.Fence(profile_id=gone)]))
    for step, _ in enumerate(work.finish()):
        if step == 0:
            contents.fold(granted(later, 6002, ["mail"]))
        assert contents.subjects[changed].states["mail", ""].reference == f"cev_{6000:022d}"
        assert contents.subjects[new].states["mail", ""].reference == f"cev_{6001:022d}"
        assert contents.subjects[later].states["mail", ""].reference == f"cev_{6002:022d}"
        assert gone not in contents.subjects
        assert len(contents.subjects) == 5000
    assert contents.recent.keys() == {changed, gone, new, later}


def test_times_come_out_as_they_went_in() -> None:
    contents = Contents()
    change = granted(PEOPLE[0], 1, ["mail"])
    change.subjects[0].states[0].decided_at.FromJsonString("2030-01-02T03:04:05.678901234Z")
    contents.fold(change)
    merge(contents)
    assert list(contents.block.keys) == [PEOPLE[0]]
    state = contents.subjects[PEOPLE[0]].states["mail", ""]
    assert state.decided_at == datetime(2030, 1, 2, 3, 4, 5, 678901, UTC)
    assert (state.expires_at, state.reask_not_before) == (None, None)


async def test_a_follower_packs_what_it_has_followed_for_long() -> None:
    ledger, replica = LedgerModel(), Replica()
    ledger.define("mail", purpose_pb2.LEGAL_BASIS_CONSENT)
    follower = Follower(replica, Freshness(), heads=ledger, changes=ledger, snapshots=ledger, clock=TestClock())
    await follower.start()
    await eventually(lambda: replica.warm)
    for number in range(10_001):
        change = granted(f"prf_{number:05d}{17 * 'f'}", number + 1, ["mail"])
        change.epoch, change.position = ledger.epoch, replica.position + 1
        assert follower.offer(change) is Applied.FOLDED
        assert not len(replica.contents.block)
    await eventually(lambda: len(replica.contents.block) == 10_001 and not replica.contents.recent)
    await follower.stop()
