from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.identities import Before, Passage, change, left_by_split, way


@dataclass
class Registry:
    """The stored side: it keeps only what the service's tables keep, the histories and the present."""

    owners: dict[int, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    histories: dict[int, list[Passage]] = field(default_factory=dict)
    id_histories: dict[str, list[Passage]] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    told: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What a reader of the events keeps: for each id the assignment of the highest version."""
    serial: count = field(default_factory=lambda: count(1))

    def issue(self):
        self.issued.append(f"prf_{next(self.serial):04}")
        return self.issued[-1]

    def before(self, numbers):
        owners = {self.owners[number] for number in numbers if number in self.owners}
        closures = {owner: {owner, *(each for each, to in self.redirects.items() if to == owner)} for owner in owners}
        ids = set().union(*closures.values()) if closures else set()
        mine = {number: owner for number, owner in self.owners.items() if owner in owners}
        return Before(
            mine,
            {each: self.versions[each] for each in ids},
            {each: to for each, to in self.redirects.items() if each in ids},
            {number: way(self.histories[number]) for number in mine},
            {each: way(self.id_histories[each]) for each in ids},
            {number: left_by_split(self.histories[number]) for number in mine},
        )

    def apply(self, persons):
        made = change(self.before([number for person in persons for number in person]), persons, self.issue)
        for part in (*(part for split in made.splits for part in split.parts), *(m.result for m in made.merges)):
            assert part.version > self.versions.get(part.profile_id, 0)
            for each in (part.profile_id, *part.redirect_ids):
                if part.version > self.told.get(each, (0, ""))[0]:
                    self.told[each] = (part.version, part.profile_id)
            self.versions[part.profile_id] = part.version
        for merge in made.merges:
            self.versions.update(dict.fromkeys(merge.absorbed_ids, merge.result.version))
        for part in made.created:
            self.versions[part.profile_id] = part.version
        turns = set(made.redirects)
        for each, to in made.redirects:
            stood_for = [passage.profile_id for passage in self.id_histories.setdefault(each, [])][-1:]
            self.id_histories[each].append(Passage(to, stood_for != [] and (stood_for[0], to) in turns))
            if each == to:
                self.redirects.pop(each, None)
            else:
                self.redirects[each] = to
        for step in made.steps:
            assert self.owners.get(step.number, "") == step.from_id
            self.owners[step.number] = step.to_id
            merged = step.from_id != "" and (step.from_id, step.to_id) in turns
            self.histories.setdefault(step.number, []).append(Passage(step.to_id, merged))
        return made

    def persons(self):
        found: dict[str, list[int]] = {}
        for number, owner in sorted(self.owners.items()):
            found.setdefault(owner, []).append(number)
        return found

    def check(self):
        assert len(set(self.issued)) == len(self.issued)
        assert set(self.redirects).isdisjoint(self.owners.values())
        assert set(self.redirects.values()) <= set(self.owners.values())
        assert set(self.issued) == set(self.redirects) | set(self.owners.values())
        for each, (_, stands_for) in self.told.items():
            assert self.redirects.get(each, each) == stands_for


def regrouped(draw, numbers, parts):
    groups: dict[int, list[int]] = {}
    for number in numbers:
        groups.setdefault(draw.randrange(parts), []).append(number)
    return list(groups.values())


def any_history(draw, steps, records=12):
    """A partition after new records, merges, splits and moves of single records in any order."""
    registry = Registry()
    for number in range(records):
        registry.apply([[number]])
    for _ in range(steps):
        found = list(registry.persons().values())
        chosen = draw.sample(found, min(len(found), draw.choice([1, 2, 2, 3])))
        registry.apply(regrouped(draw, [number for group in chosen for number in group], draw.choice([1, 1, 2, 3])))
    return registry


@settings(max_examples=60)
@given(draw=st.randoms(use_true_random=False), steps=st.integers(0, 9))
def test_every_id_ever_issued_stands_for_one_living_profile_in_one_hop_and_readers_agree(draw, steps):
    any_history(draw, steps).check()


def test_a_merge_undone_by_a_split_restores_who_went_by_which_id_and_what_every_id_stood_for(scale):
    @settings(max_examples=scale.pick(small=80, full=10_000))
    @given(draw=st.randoms(use_true_random=False), steps=st.integers(0, 9), parts=st.integers(2, 3))
    def restores(draw, steps, parts):
        merged_and_split(draw, steps, parts)

    restores()


def merged_and_split(draw, steps, parts):
    registry = any_history(draw, steps)
    found = list(registry.persons().values())
    chosen = draw.sample(found, min(parts, len(found)))
    before = dict(registry.owners), dict(registry.redirects)
    registry.apply([[number for group in chosen for number in group]])
    assert len({registry.owners[group[0]] for group in chosen}) == 1
    made = registry.apply(chosen)
    assert (registry.owners, registry.redirects) == before
    assert all(split.issued_ids == () for split in made.splits)
    registry.check()


def test_a_split_undone_by_a_merge_restores_who_went_by_which_id_and_what_every_id_stood_for(scale):
    @settings(max_examples=scale.pick(small=80, full=10_000))
    @given(draw=st.randoms(use_true_random=False), steps=st.integers(0, 9), parts=st.integers(2, 3))
    def restores(draw, steps, parts):
        split_and_merged(draw, steps, parts)

    restores()


def split_and_merged(draw, steps, parts):
    registry = any_history(draw, steps)
    chosen = draw.choice(list(registry.persons().values()))
    before = dict(registry.owners), dict(registry.redirects)
    groups = regrouped(draw, chosen, parts)
    issued = set(registry.issued)
    registry.apply(groups)
    registry.apply([chosen])
    assert registry.owners == before[0]
    assert {each: to for each, to in registry.redirects.items() if each in issued} == before[1]
    registry.check()


def test_the_larger_profile_survives_and_the_older_of_two_alike():
    registry = Registry()
    registry.apply([[1, 2], [3, 4, 5], [6, 7]])
    small, large, younger = registry.owners[1], registry.owners[3], registry.owners[6]
    (merge,) = registry.apply([[1, 2, 6, 7], [3, 4, 5]]).merges
    assert (merge.result.profile_id, merge.absorbed_ids) == (small, (younger,))
    (merge,) = registry.apply([[1, 2, 3, 4, 5, 6, 7]]).merges
    assert merge.result.profile_id == small
    assert merge.result.redirect_ids == tuple(sorted([large, younger]))


def test_a_record_that_changes_hands_leaves_by_a_split_and_arrives_by_a_merge():
    registry = Registry()
    registry.apply([[1, 2, 3], [4, 5]])
    one, other = registry.owners[1], registry.owners[4]
    made = registry.apply([[1, 2], [3, 4, 5]])
    (split,), (merge,) = made.splits, made.merges
    assert split.left_id == one
    assert split.issued_ids == merge.absorbed_ids
    assert merge.result.profile_id == other
    assert [(step.number, step.from_id, step.to_id) for step in made.steps] == [
        (3, one, split.issued_ids[0]),
        (3, split.issued_ids[0], other),
    ]


def test_new_records_join_without_a_version_and_alone_are_a_profile():
    registry = Registry()
    registry.apply([[1]])
    made = registry.apply([[1, 2], [3]])
    assert [(part.profile_id, part.version, part.numbers) for part in made.kept] == [(registry.owners[1], 1, (1, 2))]
    assert [part.numbers for part in made.created] == [(3,)]
    assert registry.owners[1] == registry.owners[2] != registry.owners[3]


def test_the_part_that_was_at_home_keeps_the_id_even_where_it_is_smaller():
    registry = Registry()
    registry.apply([[1, 2], [3], [4], [5]])
    kept = registry.owners[1]
    registry.apply([[1, 2, 3]])
    registry.apply([[1, 2, 3, 4]])
    registry.apply([[1, 2, 3, 4, 5]])
    registry.apply([[1, 2], [3, 4, 5]])
    assert registry.owners[1] == kept
