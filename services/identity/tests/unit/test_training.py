import importlib.util
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from rapport_identity.domain.matcher_json import dump
from rapport_identity.domain.traits import TRAITS

if any(importlib.util.find_spec(name) is None for name in ("splink", "numpy", "pyarrow")):
    pytest.skip("training needs rapport-identity[train]", allow_module_level=True)

import duckdb
from rapport_identity.adapters.household_fit import fit
from rapport_identity.adapters.splink_training import connect, frequencies
from rapport_identity.adapters.training import NotTrainableError, train, without_rare
from rapport_identity.adapters.training import fit as fit_columns
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Address, Record, RecordKey
from rapport_identity.domain.resolution import candidates


def families(count: int) -> list[Record]:
    """Families of two who share surname, address and telephone; each member is recorded twice, once misspelt."""
    draw, records = random.Random(1), []
    for number in range(count):
        surname = "".join(draw.choice("bcdfglmnprst") + draw.choice("aeiou") for _ in range(3))
        home = Address(street=f"{draw.randint(1, 99)} {surname[::-1]} road")
        for member, given in enumerate(draw.sample(["mary", "peter", "agnes", "owen", "ruth", "carlos"], 2)):
            born = f"{draw.randint(1940, 2005)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
            phones = (f"+4411349{number:05}",)
            key = RecordKey("crm", f"{number:04}-{member}")
            record = Record(key, given, None, surname, born, None, home, phones=phones)
            again = replace(
                record, key=RecordKey("shop", f"{number:04}-{member}"), given_name=given[:-1], birth_date=None
            )
            records += [record, again]
    return records


def test_relatives_are_told_from_one_person_without_a_label():
    columns = {record.key: fold_record(record) for record in families(150)}
    terms = {level.term for trait in TRAITS for level in trait.levels if level.term}
    tables = {term: frequencies(list(columns.values()), term) for term in terms}
    blunt = Matcher(TRAITS, prior=-10.0, frequencies=tables)
    prepared = {key: blunt.prepare_columns(key, columns[key]) for key in columns}
    pairs = [(prepared[a], prepared[b]) for a, b in candidates(columns).pairs]
    fitted = fit(blunt, pairs, len(columns))

    def wrong(matcher: Matcher) -> int:
        return sum((matcher.score(a, b) > 0) != (a.key[1] == b.key[1]) for a, b in pairs)

    assert wrong(blunt) > 100
    assert wrong(fitted) <= 3


def test_the_same_records_in_any_order_train_the_same_matcher(people):
    records = people(300, 5)
    first = dump(train(records))
    random.Random(2).shuffle(records)
    assert dump(train(records)) == first


def test_records_of_which_nobody_has_a_second_name_are_trained_on():
    records = [replace(record, middle_names=None) for record in families(60)]
    assert train(records).comparisons


def test_what_stewards_said_of_pairs_counts():
    folded = {record.key: fold_record(record) for record in families(60)}
    keys = sorted(key for key in folded if key.source == "crm")
    relatives = {(a, b): True for a, b in pairwise(keys) if a[1][:4] == b[1][:4]}

    def weight(labels):
        matcher = fit_columns(folded, labels=labels)
        (given,) = (each for each in matcher.comparisons if each.name == "given_name")
        return given.levels[-1].m

    assert weight(relatives) > 2 * weight({})


def test_too_few_records_teach_nothing():
    with pytest.raises(NotTrainableError):
        train(families(5))


def test_training_writes_nothing_to_a_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = connect(memory_limit="40MB")
    with pytest.raises(duckdb.OutOfMemoryException):
        database.execute("CREATE TABLE t AS SELECT hash(i)::text AS v FROM range(5000000) AS x(i)")
    assert list(tmp_path.rglob("*")) == []


def test_frequencies_that_ship_name_nobody():
    matcher = Matcher(TRAITS, prior=-10.0, frequencies={"surname": {"smith": 0.5, "rare": 0.001, "rarer": 0.003}})
    trimmed = without_rare(matcher, {"surname": 1000}, least=20)
    assert trimmed.frequencies == {"surname": {"smith": 0.5}}
    assert trimmed.unseen["surname"] == pytest.approx((0.001**2 + 0.003**2) / 0.004)
    prepared = trimmed.prepare(Record(RecordKey("crm", "1"), surname="Rare"))
    assert trimmed.unseen["surname"] in prepared.frequencies
