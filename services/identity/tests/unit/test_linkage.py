import random
from itertools import combinations
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.components import Edge, components
from rapport_identity.domain.linkage import NO_CONSTRAINTS, Constraints, link, partition
from rapport_identity.domain.records import RecordKey


def key(number: int) -> RecordKey:
    return RecordKey("s", f"{number:04}")


def world(seed: int, size: int, *, vetoes: float = 0.1) -> dict[tuple[RecordKey, RecordKey], float]:
    """Weights of all pairs, with many ties among them."""
    draw = random.Random(seed)
    return {
        pair: -inf if draw.random() < vetoes else float(draw.randint(-6, 6))
        for pair in combinations(map(key, range(size)), 2)
    }


def score_of(weights):
    return lambda a, b: weights[min(a, b), max(a, b)]


def resolved(weights, size, order, *, constraints=NO_CONSTRAINTS, largest=500):
    edges = [Edge.of(one, other, bits) for (other, one), bits in weights.items()]
    order.shuffle(edges)
    keys = [key(number) for number in range(size)]
    order.shuffle(keys)
    return partition(keys, edges, score_of(weights), join=0, fracture=-1, largest=largest, constraints=constraints)


def persons(found):
    """The person of each record, named by its smallest one."""
    return {member: cluster[0] for cluster in found.clusters for member in cluster}


worlds = st.tuples(st.integers(0, 10**6), st.integers(2, 14))
pairs = st.frozensets(st.tuples(st.integers(0, 13), st.integers(0, 13)).filter(lambda p: p[0] != p[1]), max_size=4)


def constrained(size, required, forbidden):
    def real(found):
        return frozenset((key(a), key(b)) for a, b in found if a < size and b < size)

    return Constraints(real(required), real(forbidden))


@given(worlds, pairs, pairs, st.randoms(use_true_random=False))
def test_any_order_of_records_and_edges_ends_in_the_same_partition(drawn, required, forbidden, order):
    seed, size = drawn
    weights, constraints = world(seed, size), constrained(size, required, forbidden)
    first = resolved(weights, size, order, constraints=constraints, largest=6)
    assert resolved(weights, size, order, constraints=constraints, largest=6) == first


@given(worlds, st.randoms(use_true_random=False))
def test_vetoed_and_forbidden_pairs_are_never_together(drawn, order):
    seed, size = drawn
    weights = world(seed, size, vetoes=0.3)
    forbidden = frozenset(list(weights)[::5])
    person = persons(resolved(weights, size, order, constraints=Constraints(forbidden=forbidden)))
    for (a, b), bits in weights.items():
        if bits == -inf or (a, b) in forbidden:
            assert person[a] != person[b]


@given(worlds, st.randoms(use_true_random=False))
def test_a_required_pair_is_together_against_weights_and_vetoes(drawn, order):
    seed, size = drawn
    weights = world(seed, size, vetoes=0.5)
    pair = min(weights, key=lambda p: weights[p])
    person = persons(resolved(weights, size, order, constraints=Constraints(required=frozenset({pair}))))
    assert person[pair[0]] == person[pair[1]]


@given(worlds, st.randoms(use_true_random=False))
def test_what_is_forbidden_holds_against_what_is_required(drawn, order):
    seed, size = drawn
    weights = world(seed, size)
    pair = next(iter(weights))
    both = Constraints(required=frozenset({pair}), forbidden=frozenset({pair}))
    person = persons(resolved(weights, size, order, constraints=both))
    assert person[pair[0]] != person[pair[1]]


@given(worlds)
def test_linkage_is_the_one_of_the_definition(drawn):
    """Against the definition itself: look at every pair of clusters, join the best, begin again."""
    seed, size = drawn
    weights = world(seed, size)
    score = score_of(weights)
    clusters = [[key(number)] for number in range(size)]
    while True:
        ranked = sorted(
            (-sum(score(a, b) for a in left for b in right) / (len(left) * len(right)), left[0], right[0], left, right)
            for left, right in combinations(sorted(clusters), 2)
        )
        if not ranked or ranked[0][0] > 0:
            break
        *_, left, right = ranked[0]
        clusters = [c for c in clusters if c not in (left, right)] + [sorted(left + right)]
    found = link([key(number) for number in range(size)], score, join=0, constraints=NO_CONSTRAINTS)
    assert sorted(map(list, found.clusters)) == sorted(clusters)


@given(worlds, st.randoms(use_true_random=False))
def test_the_steps_replayed_give_the_clusters(drawn, order):
    seed, size = drawn
    found = resolved(world(seed, size), size, order)
    clusters = {key(number): {key(number)} for number in range(size)}
    for step in found.joins:
        clusters[step.left] |= clusters.pop(step.right)
        assert len(clusters[step.left]) == step.size
        assert step.bits >= 0
    assert sorted(tuple(sorted(members)) for members in clusters.values()) == list(found.clusters)


@given(worlds, st.integers(2, 5), st.randoms(use_true_random=False))
def test_no_part_of_a_cut_component_is_larger_than_allowed_and_the_cut_is_reported(drawn, largest, order):
    seed, size = drawn
    weights = world(seed, size)
    edges = [Edge.of(a, b, bits) for (a, b), bits in weights.items()]
    order.shuffle(edges)
    keys = [key(number) for number in range(size)]
    groups, cuts = components(keys, edges, fracture=0, largest=largest, required=())
    uncut, none = components(keys, edges, fracture=0, largest=size, required=())
    assert none == []
    assert max(map(len, groups)) <= largest
    assert sorted(k for group in groups for k in group) == sorted(keys)
    too_large = [(group[0], len(group)) for group in uncut if len(group) > largest]
    assert [(cut.smallest, cut.size) for cut in cuts] == too_large


def test_a_component_of_more_than_500_is_cut_between_its_weakest_parts():
    size = 700
    left, right = range(400), range(400, size)
    edges = [Edge.of(key(a), key(a + 1), 20.0) for part in (left, right) for a in part[:-1]]
    edges.append(Edge.of(key(10), key(500), 3.0))
    keys = [key(number) for number in range(size)]
    groups, cuts = components(keys, edges, fracture=0, largest=500, required=())
    assert [len(group) for group in groups] == [400, 300]
    assert [(cut.smallest, cut.size, cut.refused) for cut in cuts] == [(key(0), 700, 1)]


def test_one_strong_pair_does_not_join_two_strange_clusters():
    inside, bridge, between = 10.0, 9.0, -4.0
    weights = {
        (a, b): inside if (a < key(3)) == (b < key(3)) else between
        for a, b in combinations([key(number) for number in range(6)], 2)
    }
    weights[key(0), key(3)] = bridge
    found = link([key(number) for number in range(6)], score_of(weights), join=0, constraints=NO_CONSTRAINTS)
    assert found.clusters == (tuple(map(key, range(3))), tuple(map(key, range(3, 6))))


def test_records_apart_from_all_others_are_persons_of_their_own():
    found = partition([key(2), key(1)], [], lambda a, b: -9.0, join=0, fracture=-1, largest=500)
    assert found.clusters == ((key(1),), (key(2),))


@pytest.mark.parametrize("bits", [0.0, 5.0])
def test_ties_are_broken_by_key(bits):
    weights = dict.fromkeys(combinations([key(number) for number in range(3)], 2), bits)
    weights[key(0), key(2)] = -30.0
    found = link([key(number) for number in range(3)], score_of(weights), join=0, constraints=NO_CONSTRAINTS)
    assert found.clusters == ((key(0), key(1)), (key(2),))
