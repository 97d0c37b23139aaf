import importlib.util
import json
from math import isclose

import pytest
from rapport_identity.domain.conditions import Near, Same, Shares
from rapport_identity.domain.evidence import evidence
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.splink_conditions import UntranslatableModelError, parse_condition
from rapport_identity.domain.splink_model import read_model
from rapport_identity.domain.traits import TRAITS

LEVEL = {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.9}


def model(*levels: dict[str, object]) -> dict[str, object]:
    return {
        "probability_two_random_records_match": 0.01,
        "comparisons": [{"output_column_name": "name", "comparison_levels": [*levels, LEVEL]}],
    }


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.name)
def test_every_condition_of_the_default_is_read_back_from_its_sql(trait):
    for level in trait.levels:
        assert parse_condition(level.condition.sql()) == level.condition


@pytest.mark.parametrize(
    "sql",
    [
        'levenshtein("a_l", "a_r") <= 2',
        'DAMERAU_LEVENSHTEIN(a_l, a_r) <= 1 AND "b_l" = "b_r"',
        'jaro_winkler_similarity("a_l", "a_r") >= 0.88 or (jaccard(a_l,a_r) >= 0.9)',
        "SUBSTR(a_l, 1, 2) = substring(a_r, 1, 2)",
        """ABS(EPOCH(try_strptime("a_l", '%Y-%m-%d')) - EPOCH(try_strptime("a_r", '%Y-%m-%d'))) <= 31557600.0""",
        'array_length(list_intersect("a_l", "a_r")) >= 1',
        '("a_l" IS NULL) OR ("a_r" IS NULL)',
    ],
)
def test_what_splink_writes_is_read_and_written_again_with_the_same_meaning(sql):
    condition = parse_condition(sql)
    assert parse_condition(condition.sql()) == condition


def test_the_forms_are_those_meant():
    assert isinstance(parse_condition('"a_r" = "a_l"'), Same)
    assert parse_condition('"a_r" = "a_l"') == parse_condition('"a_l" = "a_r"')
    assert isinstance(parse_condition("jaro_winkler(a_l, a_r) >= 0.9"), Near)
    assert isinstance(parse_condition("array_size(array_intersect(a_l, a_r)) >= 2"), Shares)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("soundex(a_l) = soundex(a_r)", "soundex"),
        ("a_l LIKE a_r", "LIKE"),
        ("a_l <> a_r", "<"),
        ("a_l + 1 = a_r", "+"),
        ("levenshtein(a_l, a_r) >= 2", ">="),
        ("a_l =", "ends too early"),
        ("a_l = 3", "3"),
        ("name = a_r", "name"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(sql, named):
    with pytest.raises(UntranslatableModelError, match="name: the level") as refusal:
        read_model(model({"sql_condition": sql, "label_for_charts": "the level"}), {})
    assert named in str(refusal.value)


def test_a_model_without_its_term_frequencies_is_refused():
    exact = {"sql_condition": '"a_l" = "a_r"', "m_probability": 0.9, "u_probability": 0.1, "tf_adjustment_column": "a"}
    with pytest.raises(UntranslatableModelError, match="no term frequencies for a"):
        read_model(model(exact), {})


def test_weights_are_those_of_splink(people, tmp_path):
    if importlib.util.find_spec("splink") is None:
        pytest.skip("splink is not installed; it is a dependency of training only (rapport-identity[train])")
    from rapport_identity.adapters.splink_training import frequencies, settings_of, table_of
    from splink import DuckDBAPI, Linker

    columns = [fold_record(record) for record in people(120, 7)]
    settings = settings_of(TRAITS)
    for raw, trait in zip(settings["comparisons"], TRAITS, strict=True):
        for level, known in zip(raw["comparison_levels"], trait.levels, strict=True):
            if not known.is_null:
                level |= {"m_probability": known.m, "u_probability": known.u}
    settings["blocking_rules_to_generate_predictions"] = [{"blocking_rule": "1=1", "sql_dialect": "duckdb"}]
    names = sorted(frozenset[str]().union(*(trait.columns for trait in TRAITS)))
    linker = Linker(DuckDBAPI().register(table_of(columns, names)), settings)
    path = tmp_path / "model.json"
    linker.misc.save_model_to_json(str(path))
    terms = {level.term for trait in TRAITS for level in trait.levels if level.term}
    matcher = read_model(json.loads(path.read_text("utf-8")), {term: frequencies(columns, term) for term in terms})
    prepared = [matcher.prepare_columns(record.key, fold) for record, fold in zip(people(120, 7), columns, strict=True)]
    rows = linker.inference.predict(threshold_match_weight=-1000).as_record_list()
    assert len(rows) == 120 * 119 // 2
    for row in rows:
        score = evidence(matcher, prepared[int(row["unique_id_l"])], prepared[int(row["unique_id_r"])]).score
        assert isclose(score, row["match_weight"], rel_tol=0, abs_tol=1e-9), row
