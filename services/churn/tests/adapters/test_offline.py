"""The rebuild from the log and the states that follow it agree bit for bit, and nothing later is ever in a snapshot."""

import random

import numpy as np
import pytest
from churn_facts import DAYS, START, Follower, facts, gaps_between, histories, instants, outcome, told
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES, Feature, FeatureSet, Group
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.terms import Aggregate, Excess, Measure, Month, Ratio, Source, Term, Variation, Window
from rapport_churn.domain.vectors import Plan
from rapport_churn.training import offline
from rapport_churn.training.frame import Frame
from rapport_churn.training.log import EventLog
from rapport_churn.training.offline import OPEN, rebuild

END = START + (DAYS + 20) * DAY
HORIZON = Horizon(days=7, value_days=14)
ORDERS = Source((FactKind.ORDER,))
VISITS = Source((FactKind.VIEWED, FactKind.CART_CHANGED))
PICKED = Source((FactKind.ORDER, FactKind.FEEDBACK), channels=(1, 3), at_least=1, at_most=500)
MESSAGES = Source((FactKind.MESSAGE_DELIVERED,))


def every_declaration() -> FeatureSet:
    """A few features that use everything that can be declared, over windows that the short histories fill."""
    count = Measure(ORDERS, Aggregate.COUNT, Window(7))
    terms: list[Term] = [
        *(Measure(source, aggregate) for source in (ORDERS, PICKED) for aggregate in Aggregate),
        *(Measure(ORDERS, aggregate, Window(days)) for aggregate in list(Aggregate)[:4] for days in (1, 9)),
        *(Measure(VISITS, aggregate, Window(3, skip=2)) for aggregate in list(Aggregate)[:3]),
        Measure(VISITS, Aggregate.DAYS, Window(5)),
        Measure(VISITS, Aggregate.COUNT, Window(after=ORDERS)),
        Measure(MESSAGES, Aggregate.VALUE, Window(after=Source((FactKind.MESSAGE_OPENED,)))),
        Measure(MESSAGES, Aggregate.QUANTITY, Window(after=PICKED)),
        Ratio(count, Measure(ORDERS, Aggregate.COUNT, Window(7, skip=7)), plus=1),
        Ratio(Measure(ORDERS, Aggregate.AGE), Ratio(Measure(ORDERS, Aggregate.SPAN), Measure(ORDERS, Aggregate.GAPS))),
        Excess(Measure(VISITS, Aggregate.COUNT), Measure(PICKED, Aggregate.AGE)),
        Variation(ORDERS),
        Month(),
    ]
    return FeatureSet(tuple(Feature(f"f{index}", Group.SEASON, term) for index, term in enumerate(terms)))


EVERY = every_declaration()
PLAN = Plan(EVERY)


def frame_of(log, features=EVERY, cutoffs=(END,), now=END, **options) -> tuple[Frame, list[str]]:
    return rebuild(log, features, cutoffs, HORIZON, now=now, **options), log.people()


def snapshots(issues, cutoffs, **options) -> dict[tuple[str, int], bytes]:
    """The bytes of each row by person and cutoff, the summary's included."""
    with EventLog() as log:
        log.add(issues)
        log.settle()
        frame, people = frame_of(log, cutoffs=cutoffs, **options)
    rhythm = np.column_stack([frame.frequency, frame.recency, frame.tenure, frame.mean_value])
    return {
        (people[person], int(cutoff)): values.tobytes() + summary.tobytes()
        for person, cutoff, values, summary in zip(frame.profiles, frame.cutoffs, frame.values, rhythm, strict=True)
    }


def differences(frame: Frame, people: list[str], states) -> list[tuple[str, int, str, float, float]]:
    found = []
    for row, (person, cutoff) in enumerate(zip(frame.profiles, frame.cutoffs, strict=True)):
        state = states[people[person]]
        online = np.array(state.vector(int(cutoff), int(cutoff)))
        for index in np.flatnonzero(online.view(np.int64) != frame.values[row].view(np.int64)):
            column = frame.columns[index].name
            found.append((people[person], int(cutoff), column, online[index], frame.values[row, index]))
        summary = state.summary(int(cutoff), int(cutoff))
        rebuilt = (frame.frequency[row], frame.recency[row], frame.tenure[row], frame.mean_value[row])
        if not (np.isnan(rebuilt).all() if summary is None else tuple(summary) == rebuilt):
            found.append((people[person], int(cutoff), "summary", summary, rebuilt))
    return found


def test_online_and_offline_agree_bit_for_bit_on_random_logs(scale):
    @given(told(), st.lists(instants, min_size=1, max_size=2, unique=True), st.randoms(use_true_random=False))
    @settings(max_examples=scale.pick(small=15, full=3000), deadline=None)
    def agree(log_told, cutoffs, order):
        follower = Follower(PLAN)
        follower.follow(log_told.issues)
        order.shuffle(log_told.issues)
        with EventLog() as log:
            log.add(log_told.issues)
            log.settle(log_told.redirects, log_told.erased)
            frame, people = frame_of(log, cutoffs=cutoffs)
        facts_of = follower.facts(log_told.redirects, log_told.erased)
        assert people == sorted(facts_of)
        assert {(people[person], at) for person, at in zip(frame.profiles, frame.cutoffs.tolist(), strict=True)} == {
            (person, at)
            for at in cutoffs
            for person, known in facts_of.items()
            if any(max(fact.occurred_at, fact.arrived_at) <= at for fact in known)
        }
        assert differences(frame, people, follower.people(log_told.redirects, log_told.erased)) == []

    agree()


def test_the_default_features_agree_bit_for_bit_on_a_long_log():
    draw, kinds = random.Random(11), list(FactKind)
    issues = []
    for number in range(6000):
        occurred_at = START + draw.randrange(700 * DAY)
        issues.append(
            Fact(
                f"evt_{number}", f"prf_{draw.randrange(60)}", 1, draw.choice(kinds), occurred_at,
                occurred_at + draw.choice([0, 0, draw.randrange(40 * DAY)]), draw.choice([0, 1, draw.randrange(10**6)]),
                draw.randrange(1, 9), draw.randrange(14),
            )
        )  # fmt: skip
    follower = Follower(plan := Plan(DEFAULT_FEATURES))
    follower.follow(issues)
    with EventLog() as log:
        log.add(issues)
        log.settle()
        frame, people = frame_of(log, DEFAULT_FEATURES, cutoffs=[START + 300 * DAY, START + 600 * DAY + 5])
    assert len(frame) == 120
    assert len(frame.columns) == len(plan.features)
    assert differences(frame, people, follower.people({}, set())) == []


def test_what_happens_or_arrives_later_never_changes_a_snapshot(scale):
    @given(histories(), instants, st.data())
    @settings(max_examples=scale.pick(small=6, full=300), deadline=None)
    def unchanged(known, cutoff, data):
        rule = PopulationRule(active_days=30)
        later = [data.draw(facts(number)) for number in range(900, 900 + data.draw(st.integers(1, 10)))]
        later = [
            fact._replace(occurred_at=cutoff + 1 + index * DAY, arrived_at=cutoff + 1 + index * DAY)
            if data.draw(st.booleans())
            else fact._replace(arrived_at=cutoff + 1)
            for index, fact in enumerate(later)
        ]
        before = snapshots(known, [cutoff], population=rule)
        assert snapshots(data.draw(st.permutations(known + later)), [cutoff], population=rule) == before

    unchanged()


def test_features_that_are_read_late_are_those_of_later():
    issues = [
        Fact(f"evt_{day}", "prf_a", 1, FactKind.ORDER, START + day * DAY, START + day * DAY, value=day)
        for day in range(0, 40, 3)
    ]
    cutoff = START + 5 * DAY
    late = snapshots(issues, [cutoff], read_late_days=30)
    assert late["prf_a", cutoff] == snapshots(issues, [cutoff + 30 * DAY])["prf_a", cutoff + 30 * DAY]
    # So the test above would catch them: what happens later changes what was read.
    known = [each for each in issues if each.occurred_at <= cutoff]
    assert late != snapshots(known, [cutoff], read_late_days=30)
    assert snapshots(issues, [cutoff]) == snapshots(known, [cutoff])


def test_labels_and_population_are_those_of_the_rules(scale):
    @given(histories(most=40), instants)
    @settings(max_examples=scale.pick(small=6, full=300), deadline=None)
    def ruled(told_facts, cutoff):
        rule, now = PopulationRule(active_days=12, order_days=2), cutoff + 9 * DAY
        follower = Follower(PLAN)
        follower.follow(told_facts)
        states = follower.people({}, set())
        with EventLog() as log:
            log.add(told_facts)
            log.settle()
            frame, people = frame_of(log, cutoffs=[cutoff], now=now, population=rule)
            gaps = log.gaps(now)
        assert {people[person] for person in frame.profiles} == {
            person for person, state in states.items() if rule.admits(state.summary(cutoff, cutoff))
        }
        orders = {
            person: sorted(
                (each.occurred_at, each.value)
                for each in known
                if each.kind == FactKind.ORDER and max(each.arrived_at, each.occurred_at) <= now
            )
            for person, known in follower.facts({}, set()).items()
        }
        for row, person in enumerate(frame.profiles):
            truth = outcome(orders[people[person]], cutoff, HORIZON)
            assert (frame.churned[row], frame.next_days[row]) == truth[:2]
            assert frame.spend[row] == OPEN  # fourteen days are not over after nine
        days = [sorted({time // DAY for time, _ in each}) for each in orders.values() if each]
        assert gaps == gaps_between(days, now // DAY)

    ruled()


def test_spend_is_told_once_its_window_is_closed():
    issues = [
        Fact("evt_1", "prf_a", 1, FactKind.ORDER, START, START, value=5),
        Fact("evt_2", "prf_a", 1, FactKind.ORDER, START + 8 * DAY, START + 8 * DAY, value=70),
        Fact("evt_3", "prf_a", 1, FactKind.ORDER, START + 15 * DAY, START + 15 * DAY, value=900),
    ]
    with EventLog() as log:
        log.add(issues)
        log.settle()
        told_before, _ = frame_of(log, cutoffs=[START + DAY], now=START + 15 * DAY)
        told_after, _ = frame_of(log, cutoffs=[START + DAY], now=START + 16 * DAY)
    assert told_before.spend.tolist() == [OPEN]
    assert told_after.spend.tolist() == [970]
    assert told_after.next_days.tolist() == [7.0]


def test_a_history_loaded_in_bulk_was_known_when_it_happened_if_that_is_said():
    loaded = START + 30 * DAY
    issues = [
        Fact("evt_1", "prf_a", 1, FactKind.ORDER, START, loaded),
        Fact("evt_2", "prf_b", 1, FactKind.ORDER, START, loaded + 1),
    ]
    with EventLog() as log:
        log.add(issues)
        log.settle(arrival_assumed_before=loaded + 1)
        frame, people = frame_of(log, cutoffs=[START + DAY])
        delays = log.delays(END)
    assert [people[person] for person in frame.profiles] == ["prf_a"]
    assert delays == {0: 1, 30: 1}


def test_rows_are_drawn_alike_each_time_and_from_all_cutoffs():
    issues = [
        Fact(f"evt_{number}", f"prf_{number:04}", 1, FactKind.ORDER, START, START, value=number)
        for number in range(500)
    ]
    cutoffs = [START + day * DAY for day in range(1, 5)]
    told_shares: list[float] = []
    drawn = [snapshots(order, cutoffs, most_rows=400, progress=told_shares.append) for order in (issues, issues[::-1])]
    assert drawn[0] == drawn[1]
    assert 320 < len(drawn[0]) < 480
    assert {at for _, at in drawn[0]} == set(cutoffs)
    assert told_shares == [1.0] * 2


def test_rows_that_are_filled_part_by_part_are_the_same(monkeypatch):
    draw = random.Random(3)
    issues = [
        Fact(f"evt_{number}", f"prf_{draw.randrange(9)}", 1, draw.choice(list(FactKind)), at, at + draw.randrange(DAY))
        for number, at in enumerate(START + draw.randrange(9 * DAY) for _ in range(200))
    ]
    cutoffs = [START + day * DAY for day in (2, 5, 8)]
    at_once, shares = snapshots(issues, cutoffs), list[float]()
    monkeypatch.setattr(offline, "_ROWS_AT_ONCE", 4)
    assert snapshots(issues, cutoffs, progress=shares.append) == at_once
    assert len(shares) == -(-len(at_once) // 4) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_of_many_people_the_same_ones_are_drawn_whoever_else_is_there():
    people = [f"prf_{number:04}" for number in range(300)]

    def drawn(erased: list[str]) -> list[str]:
        with EventLog() as log:
            log.add(Fact(f"evt_{who}", who, 1, FactKind.ORDER, START, START) for who in people)
            log.settle(erased=erased, most_people=100)
            frame, told = frame_of(log, cutoffs=[START + DAY])
        assert sorted(told[person] for person in frame.profiles) == told
        return told

    before = drawn([])
    after = drawn([before[7]])
    assert len(before) == len(after) == 100
    assert set(before) - set(after) == {before[7]}
    assert drawn([who for who in people if who not in before]) == before


def test_a_log_reads_files_and_arrays_alike(tmp_path):
    issues = [Fact("evt_1", "prf_a", 1, FactKind.ORDER, START, START, 250, 2, 3)]
    with EventLog() as source:
        source.add(issues)
        for ending, form in (("csv", "CSV, HEADER"), ("parquet", "PARQUET")):
            source.connection.execute(f"COPY issues TO '{tmp_path}/log.{ending}' (FORMAT {form})")
    wanted = snapshots(issues, [END])
    for ending in ("csv", "parquet"):
        with EventLog(tmp_path, memory_mb=256) as log:
            log.add_file(tmp_path / f"log.{ending}")
            log.settle()
            frame, people = frame_of(log)
            assert log.span() == (START, START)
        assert [people[person] for person in frame.profiles] == ["prf_a"]
        assert wanted["prf_a", END].startswith(frame.values[0].tobytes())
        (tmp_path / "log.duckdb").unlink()


@pytest.mark.parametrize("population", [None, PopulationRule(365)])
def test_an_empty_log_gives_an_empty_frame(population):
    with EventLog() as log:
        log.settle()
        frame, people = frame_of(log, population=population)
        assert log.span() == (0, 0)
    assert len(frame) == 0
    assert frame.values.shape == (0, len(EVERY))
    assert people == []
