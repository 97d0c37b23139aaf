"""Asked about many at once, the gate says what it says of each."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_chassis.errors import RapportError
from rapport_privacy import gate as gate_module
from rapport_privacy.audience import PackedIds
from rapport_privacy.freshness import BOUND_S, CONTINUATION_S, Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.merging import Merge
from rapport_privacy.ports import LedgerHead
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import BEGINNING, LedgerModel
from rapport_testing.prove import Scale

PEOPLE = [f"prf_{letter * 22}" for letter in "abcdefghijkl"] + ["prf_" + 21 * "a" + "b", "prf_else", "prf_" + 22 * "-"]
PURPOSES: dict[str, dict[str, Any]] = {
    "mail": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT, "brand_scoped": True, "direct_marketing": True},
    "insight": {"basis": purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, "direct_marketing": True},
    "secret": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT, "explicit": True},
    "orders": {"basis": purpose_pb2.LEGAL_BASIS_CONTRACT, "despite_restriction": True},
    "gone": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT},
}
QUESTIONS = [("mail", "alba"), ("mail", "boreal")]
QUESTIONS += [(purpose, brand) for purpose in (*list(PURPOSES)[1:], "unheard-of") for brand in ("", "alba")]
KEYS = [(purpose, brand) for purpose in ("mail", "insight", "secret", "direct_marketing.*") for brand in ("", "alba")]

people = st.sampled_from(PEOPLE)
writes = st.one_of(
    st.tuples(
        st.just("state"), people, st.sampled_from(KEYS), st.integers(0, 6), st.integers(0, 4), st.integers(-1, 2)
    ),
    st.tuples(st.just("restrict"), people, st.booleans()),
    st.tuples(st.just("merge"), people, people),
    st.tuples(st.just("fence"), people),
    st.tuples(st.just("pack")),
    st.tuples(st.just("wait"), st.sampled_from((0.5, BOUND_S, CONTINUATION_S))),
    st.tuples(st.just("leave out")),
)


class World:
    """A ledger, and a gate that follows it without gaps unless told otherwise."""

    def __init__(self) -> None:
        self.ledger = LedgerModel()
        for purpose, terms in PURPOSES.items():
            self.ledger.define(purpose, active_from=BEGINNING - timedelta(days=1), **terms)
        self.ledger.retire("gone")
        self.clock = TestClock(BEGINNING)
        self.replica = Replica()
        self.freshness = Freshness()
        self.gate = Gate(self.replica, self.freshness, self.clock)

    def load(self) -> None:
        snapshot = SnapshotLoad()
        for message in self.ledger.snapshot():
            snapshot.take(message)
        self.replica.load(snapshot)
        now = self.clock.boottime()
        self.freshness.head_read(now, self.ledger.position, self.replica.position, now)

    def do(self, what: str, *how: object) -> None:
        if what == "pack":
            merge = Merge(self.replica.contents, self.replica.fences)
            merge.pack()
            for _ in merge.finish():
                pass
        elif what == "wait":
            self.clock.advance(*how)  # type: ignore[arg-type]
        elif what == "leave out":
            self.ledger.restrict("prf_" + 22 * "z")
        else:
            getattr(self, what)(*how)
            if self.ledger.written:
                self.replica.apply(self.ledger.written[-1])

    def state(self, person: str, key: tuple[str, str], status: int, evidence: int, expires_in: int) -> None:
        state = ledger_pb2.KeyState(
            purpose_id=key[0],
            brand_id=key[1],
            status=status,  # type: ignore[arg-type] # one that this release does not know, too
            evidence=evidence,  # type: ignore[arg-type] # likewise
            reference="cev_" + 22 * "r",
        )
        if expires_in >= 0:
            (state.expires_at if status == 1 else state.reask_not_before).FromDatetime(
                BEGINNING + timedelta(seconds=expires_in)
            )
        self.ledger._write_keys(person, [state])

    def restrict(self, person: str, in_force: bool) -> None:
        self.ledger.restrict(person, in_force=in_force)

    def merge(self, survivor: str, absorbed: str) -> None:
        self.ledger.merge(survivor, absorbed)

    def fence(self, person: str) -> None:
        self.ledger.fence(person)

    def compare(self) -> None:
        audience = PackedIds.of([*PEOPLE, "prf_" + 22 * "q", PEOPLE[0]])
        for purpose, brand in QUESTIONS:
            for at_least in (None, LedgerHead(self.ledger.epoch, 20)):
                asked = {"brand_id": brand, "at_least": at_least}
                each = [self.gate.check(person, purpose, **asked).permitted for person in audience]  # type: ignore[arg-type]
                assert self.gate.filter(audience, purpose, **asked).tolist() == each  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    world = World()
    for person in PEOPLE:
        world.ledger.grant(person, "mail", "alba")
    world.load()
    return world


def test_the_filter_says_of_each_what_a_check_says(scale: Scale) -> None:
    @settings(max_examples=scale.pick(small=100, full=10_000), deadline=None)
    @given(st.lists(writes, max_size=25), st.lists(writes, max_size=15), st.booleans())
    def check(before: list[tuple[object, ...]], after: list[tuple[object, ...]], loaded: bool) -> None:
        world = World()
        for write in before:
            world.do(*write)  # type: ignore[arg-type]
        if loaded:
            world.load()
        for write in after:
            world.do(*write)  # type: ignore[arg-type]
        world.compare()

    check()


def test_look_alikes_are_asked_about_where_a_block_could_hold_none_of_them() -> None:
    world = World()
    for person in (PEOPLE[0], PEOPLE[12]):
        world.ledger.grant(person, "mail", "alba")
    world.load()
    assert len(world.replica.contents.block) == 0
    world.compare()


def test_a_small_audience_is_asked_one_by_one_and_a_large_one_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger.deny(PEOPLE[1], "mail", ledger_pb2.CONSENT_STATUS_WITHDRAWN, "alba")
    world.load()
    audience = PackedIds.of(PEOPLE[:3])
    answers = []
    for worth in (0, 1000):
        monkeypatch.setattr(gate_module, "_BLOCK_FOR_EACH_ASKED", worth)
        answers.append(world.gate.filter(audience, "mail", brand_id="alba").tolist())
    assert answers == [[True, False, True]] * 2
    assert list(audience.select(world.gate.filter(audience, "mail", brand_id="alba"))) == [PEOPLE[0], PEOPLE[2]]


def test_an_empty_audience_is_answered(world: World) -> None:
    assert world.gate.filter(PackedIds.of([]), "mail", brand_id="alba").tolist() == []


def test_a_missing_brand_is_the_callers_fault(world: World) -> None:
    with pytest.raises(RapportError, match="BRAND_REQUIRED"):
        world.gate.filter(PackedIds.of(PEOPLE), "mail")
