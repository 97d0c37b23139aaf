from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.blocking import RULES
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.records import Address, Record, RecordKey
from rapport_identity.domain.resolution import candidates, resolve
from rapport_identity.domain.sharing import Sharing


def person(number: int, **fields: object) -> Record:
    return Record(RecordKey("crm", f"{number:05}"), **fields)  # type: ignore[arg-type]


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_the_same_records_in_any_order_are_the_same_persons(people, seed, order):
    records = people(40, seed)
    first = resolve(records, default_matcher())
    order.shuffle(records)
    assert resolve(records, default_matcher()) == first


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_every_record_is_of_exactly_one_person(people, seed):
    records = people(40, seed)
    found = resolve(records, default_matcher()).partition
    assert sorted(key for cluster in found.clusters for key in cluster) == sorted(record.key for record in records)


def test_one_person_in_four_channels_is_found():
    found = resolve(
        [
            person(
                1, given_name="Elizabeth", surname="Nakamura", birth_date="1981-03-09", emails=("liz@nakamura.org",)
            ),
            person(2, given_name="Liz", surname="Nakamura", emails=("Liz.Nakamura <liz+shop@nakamura.org>",)),
            person(3, given_name="Liz", surname="Nakamura", phones=("+44 113 496 0123",), emails=("liz@nakamura.org",)),
            person(
                4,
                given_name="Elisabeth",
                surname="Nakamuro",
                birth_date="1981-03-09",
                phones=("0113 496 0123",),
                region="GB",
            ),
            person(5, given_name="Kenji", surname="Nakamura", birth_date="1979-12-30", phones=("+441134960123",)),
        ],
        default_matcher(),
    ).partition
    assert [len(cluster) for cluster in found.clusters] == [4, 1]


def test_a_mailbox_that_many_hold_brings_nobody_together():
    names = ["Otter", "Gray", "Howard", "Inverness", "Jackson", "Kellar", "Leonard", "Miller", "Nice", "Pemberton"]
    records = [
        person(n, given_name=f"{name[0]}ora", surname=name, emails=("front@desk.org",)) for n, name in enumerate(names)
    ]
    found = resolve(records, default_matcher())
    assert found.shared == {("emails", "front@desk.org"): Sharing.COMMON}
    assert found.compared == 0
    assert len(found.partition.clusters) == len(names)


def test_a_role_mailbox_is_no_evidence_from_its_first_holder_on():
    records = [
        person(n, given_name=given, surname="Rossi", emails=("info@rossi.org",))
        for n, given in enumerate(["Anna", "Carlo"])
    ]
    assert resolve(records, default_matcher()).shared == {("emails", "info@rossi.org"): Sharing.COMMON}


def test_the_tenth_holder_takes_the_power_of_a_number_from_the_first_two_as_well():
    phone = ("+441134960123",)
    pair = [person(n, given_name="Jo", surname="Ferreira", phones=phone) for n in (1, 2)]
    others = [
        person(10 + n, given_name="Ann", surname=name, phones=phone)
        for n, name in enumerate(["Abel", "Beck", "Cole", "Dunn", "Egan", "Frost", "Gold", "Hart", "Irwin"])
    ]
    alone, crowded = resolve(pair, default_matcher()), resolve(pair + others, default_matcher())
    assert alone.shared == {}
    assert crowded.shared[("phones", "+441134960123")] is Sharing.COMMON
    matcher = default_matcher()
    bare = [replace(record, phones=()) for record in pair]
    with_it, without = (matcher.score(*map(matcher.prepare, each)) for each in (pair, bare))
    assert with_it > without + 2


def test_a_household_is_not_one_person():
    home = Address(street="12 Larkspur Close", city="Leeds", postcode="LS1 4AB")
    family = [
        person(n, given_name=given, surname="Okonkwo", birth_date=born, address=home, phones=("+441134960123",))
        for n, (given, born) in enumerate([("Mary", "1980-05-01"), ("Peter", "1978-11-23"), ("Ada", "2011-02-17")])
    ]
    found = resolve(family, default_matcher())
    assert [len(cluster) for cluster in found.partition.clusters] == [1, 1, 1]


def test_a_key_that_too_many_hold_is_reported_and_brings_nobody_together():
    rule = next(rule for rule in RULES if rule.name == "surname")
    columns = {RecordKey("crm", f"{n:05}"): fold_record(person(n, surname="Smith")) for n in range(rule.cap + 1)}
    met = candidates(columns)
    assert met.pairs == ()
    assert met.capped == {"surname": 1}


def test_a_thousand_records_with_one_mailbox_stay_a_thousand_persons():
    records = [person(n, given_name=f"g{n}x", surname=f"s{n}y", emails=("everyone@one.org",)) for n in range(1000)]
    assert len(resolve(records, default_matcher()).partition.clusters) == 1000
