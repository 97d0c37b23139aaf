from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.blocking import RULES
from rapport_identity.domain.bonds import Bond, Bonds
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.index import Index
from rapport_identity.domain.linkage import Constraints
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.relinking import relink
from rapport_identity.domain.resolution import resolve

TIGHT = [replace(rule, cap=4) for rule in RULES]


class Replica:
    """What a resolver does with the index, less the storage: keeps the persons, and re-links what was touched."""

    def __init__(self, rules=RULES, matcher=None):
        self.index = Index(matcher or default_matcher(), rules)
        self.index.settle()
        self.bonds = Bonds()
        self.persons: dict[int, tuple[int, ...]] = {}

    def follow(self):
        clusters = relink(self.index, self.index.take_touched(), self.bonds)
        for cluster in clusters:
            numbers = tuple(sorted(entry.number for entry in cluster))
            self.persons.update(dict.fromkeys(numbers, numbers))

    def put(self, numbered):
        for number, record in numbered:
            self.index.put(number, record)
        self.follow()

    def remove(self, number):
        self.index.remove(number)
        self.persons.pop(number)
        self.follow()

    def clusters(self):
        return {tuple(sorted(self.index[number].key for number in numbers)) for numbers in set(self.persons.values())}


def whole(records, rules=RULES, constraints=None, matcher=None):
    found = resolve(records, matcher or default_matcher(), constraints or Constraints(), rules)
    return set(found.partition.clusters)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False), rules=st.sampled_from([RULES, TIGHT]))
def test_records_that_come_one_by_one_or_in_batches_are_the_persons_of_all_at_once(people, seed, order, rules):
    records = list(enumerate(people(28, seed)))
    expected = whole([record for _, record in records], rules)
    order.shuffle(records)
    replica = Replica(rules)
    while records:
        size = order.choice([1, 1, 3, 8])
        replica.put(records[:size])
        records = records[size:]
    assert replica.clusters() == expected


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False), rules=st.sampled_from([RULES, TIGHT]))
def test_new_versions_and_removals_end_in_the_persons_of_what_is_there(people, seed, order, rules):
    records = dict(enumerate(people(24, seed)))
    contents = [*people(24, seed + 1), *records.values()]
    replica = Replica(rules)
    replica.put(records.items())
    for _ in range(15):
        number = order.choice(sorted(records))
        if order.random() < 0.3 and len(records) > 5:
            replica.remove(number)
            del records[number]
        else:
            records[number] = replace(order.choice(contents), key=records[number].key)
            replica.put([(number, records[number])])
    assert replica.clusters() == whole(records.values(), rules)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    order=st.randoms(use_true_random=False),
    rules=st.sampled_from([RULES, TIGHT]),
    largest=st.integers(2, 9),
)
def test_what_hangs_together_too_far_is_cut_the_same_way_however_it_came_to_be(people, seed, order, rules, largest):
    matcher = replace(default_matcher(), largest_component=largest)
    records = dict(enumerate(people(36, seed)))
    contents = [*people(36, seed + 1), *records.values()]
    replica = Replica(rules, matcher)
    rest = list(records)
    order.shuffle(rest)
    while rest:
        size = order.choice([1, 1, 3, 8])
        replica.put([(number, records[number]) for number in rest[:size]])
        rest = rest[size:]
    assert replica.clusters() == whole(records.values(), rules, matcher=matcher)
    bound = tuple(order.sample(sorted(records), 3))
    for step in range(12):
        number = order.choice(sorted(set(records).difference(bound)))
        if step == 4:
            replica.bonds.put("cst_1", Bond(True, (bound,)))
            replica.index.touch(bound)
            replica.follow()
        elif order.random() < 0.4:
            replica.remove(number)
            del records[number]
        else:
            records[number] = replace(order.choice(contents), key=records[number].key)
            replica.put([(number, records[number])])
    keys = [records[number].key for number in bound]
    required = Constraints(frozenset({(keys[0], keys[1]), (keys[1], keys[2])}))
    assert replica.clusters() == whole(records.values(), rules, required, matcher)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_constraints_hold_and_their_withdrawal_leaves_no_trace(people, seed, order):
    records = dict(enumerate(people(30, seed)))
    replica = Replica()
    replica.put(records.items())
    before = replica.clusters()
    one, two, three, four = (order.choice(sorted(records)) for _ in range(4))
    bonds = {"cst_1": Bond(True, (tuple({one, two}),)), "cst_2": Bond(False, ((three,), (four,)))}
    for name, bond in bonds.items():
        replica.bonds.put(name, bond)
        replica.index.touch(bond.numbers)
        replica.follow()
    required, forbidden = (
        frozenset({(records[a].key, records[b].key)}) if a != b else frozenset() for a, b in ((one, two), (three, four))
    )
    assert replica.clusters() == whole(records.values(), constraints=Constraints(required, forbidden))
    for name, bond in bonds.items():
        replica.bonds.drop(name)
        replica.index.touch(bond.numbers)
    replica.follow()
    assert replica.clusters() == before


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_an_index_built_at_a_start_follows_changes_as_one_that_saw_them_all(people, seed, order):
    records = list(enumerate(people(28, seed)))
    order.shuffle(records)
    seen = Replica(TIGHT)
    seen.put(records[:20])
    started = Replica(TIGHT)
    started.index = Index(default_matcher(), TIGHT)
    for number, record in sorted(records[:20]):
        started.index.put(number, record)
    started.index.settle()
    started.persons = dict(seen.persons)
    for replica in (seen, started):
        replica.put(records[20:])
    assert started.clusters() == seen.clusters() == whole([record for _, record in records], TIGHT)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False), rules=st.sampled_from([RULES, TIGHT]))
def test_records_that_nobody_asked_about_since_a_start_change_as_any_others(people, seed, order, rules):
    records = dict(enumerate(people(24, seed)))
    contents = [*people(24, seed + 1), *records.values()]
    for _ in range(4):
        replica = Replica(rules)
        replica.index = Index(default_matcher(), rules)
        for number, record in records.items():
            replica.index.put(number, record)
        replica.index.settle()
        numbers = {record.key: number for number, record in records.items()}
        for cluster in whole(records.values(), rules):
            person = tuple(sorted(numbers[key] for key in cluster))
            replica.persons.update(dict.fromkeys(person, person))
        number = order.choice(sorted(records))
        if order.random() < 0.3:
            replica.remove(number)
            del records[number]
        else:
            records[number] = replace(order.choice(contents), key=records[number].key)
            replica.put([(number, records[number])])
        assert replica.clusters() == whole(records.values(), rules)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False), rules=st.sampled_from([RULES, TIGHT]))
def test_another_matcher_takes_over_component_by_component_while_records_come_and_go(people, seed, order, rules):
    records = dict(enumerate(people(30, seed)))
    contents = people(30, seed + 1)
    replica = Replica(rules)
    replica.put(records.items())
    keen = replace(default_matcher(), prior=default_matcher().prior + 6)
    replica.index.use(keen)
    pending = sorted(records)
    while pending:
        replica.index.touch(pending[:7])
        pending = pending[7:]
        replica.follow()
        number = order.choice(sorted(records))
        if order.random() < 0.3:
            replica.remove(number)
            del records[number]
        else:
            records[number] = replace(order.choice(contents), key=records[number].key)
            replica.put([(number, records[number])])
    assert replica.clusters() == whole(records.values(), rules, matcher=keen)


def test_a_change_that_is_taken_back_leaves_the_graph_as_it_was(people):
    records = dict(enumerate(people(40, 3)))
    replica = Replica(TIGHT)
    replica.put(records.items())

    def graph():
        return {
            number: {other.key: bits for other, bits in replica.index.edges(replica.index[number]).items()}
            for number in records
        }

    before = graph()
    replica.index.put(7, replace(people(1, 99)[0], key=records[7].key))
    replica.index.put(500, Record(RecordKey("crm", "new"), given_name="bill", surname="smith"))
    replica.index.remove(500)
    replica.index.put(7, records[7])
    assert graph() == before
    assert 500 not in replica.index
    assert replica.index.number_of(RecordKey("crm", "new")) is None


def test_a_search_finds_whom_a_record_would_meet_and_leaves_no_trace(people):
    records = dict(enumerate(people(40, 5)))
    replica = Replica()
    replica.put(records.items())
    probe = replace(records[4], key=RecordKey("", ""))
    found, _ = replica.index.search(probe)
    assert max(found, key=found.__getitem__).number == 4
    assert len(replica.index) == 40
    assert replica.index.take_touched() == []
