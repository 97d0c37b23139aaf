"""Weights trained by Splink: unsupervised, seeded, the same on DuckDB here and on Spark for those who outgrow it.

Splink learns what agreement means for one person (m) and for two (u). What it means for two persons of one household,
which Splink has no notion of, is fitted on top by `household_fit`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import duckdb
import pyarrow as pa
from splink import DuckDBAPI, Linker

from rapport_identity.domain.comparisons import Comparison
from rapport_identity.domain.conditions import columns_of
from rapport_identity.domain.folding import Column
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.splink_model import read_model

SEED: Final = 4
MAX_PAIRS: Final = 1e6
"""Pairs from which u is sampled, and pairs of one training session, at most."""

SESSIONS: Final = (
    ("given", "surname"),
    ("dob",),
    ("email",),
    ("national_id",),
    ("surname", "postcode"),
)
"""Columns that agree among the pairs of one training session; what they are in is trained in the others."""

LEAST_PAIRS: Final = 100
"""A session or a trait with less data is left out."""


def settings_of(traits: Sequence[Comparison]) -> dict[str, Any]:
    """Return the settings of Splink for untrained traits."""
    return {
        "link_type": "dedupe_only",
        "max_iterations": 10,  # `household_fit` goes on from there; many more let probabilities vanish
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": 1e-4,
        "blocking_rules_to_generate_predictions": [],
        "comparisons": [_comparison(trait) for trait in traits],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
    }


def _comparison(trait: Comparison) -> dict[str, Any]:
    levels = []
    for level in trait.levels:
        raw: dict[str, Any] = {"sql_condition": level.condition.sql(), "label_for_charts": level.label}
        if level.is_null:
            raw["is_null_level"] = True
        if level.term:
            raw |= {"tf_adjustment_column": level.term, "tf_adjustment_weight": level.term_weight}
        levels.append(raw)
    return {"output_column_name": trait.name, "comparison_levels": levels}


def table_of(columns: Sequence[Mapping[str, Column]], names: Sequence[str]) -> pa.Table:
    """Return folded records as the table that Splink reads; an empty list is missing, as a missing text is."""
    arrays: dict[str, Any] = {"unique_id": pa.array([f"{index:09}" for index in range(len(columns))])}
    for name in names:
        values = [record[name] or None for record in columns]
        lists = any(isinstance(record[name], tuple) for record in columns)  # also where all of them are empty
        kind = pa.list_(pa.string()) if lists else pa.string()
        arrays[name] = pa.array([list(value) if isinstance(value, tuple) else value for value in values], kind)
    return pa.table(arrays)


def train(columns: Sequence[Mapping[str, Column]], traits: Sequence[Comparison], *, seed: int = SEED) -> Matcher:
    """Return a matcher trained on folded records, without households.

    A trait of which the records know too little keeps the weights it came with.
    """
    logging.getLogger("splink").disabled = True
    present = [trait for trait in traits if _known(trait, columns) >= LEAST_PAIRS]
    names = sorted(frozenset[str]().union(*(trait.columns for trait in present), *map(frozenset, SESSIONS)))
    ordered = sorted(columns, key=lambda record: repr([record[name] for name in names]))
    database = DuckDBAPI(connection=connect())
    data = database.register(table_of(ordered, names))
    linker = Linker(data, settings_of(present))
    linker.training.estimate_u_using_random_sampling(max_pairs=MAX_PAIRS, seed=seed)
    model = linker.misc.save_model_to_json()
    for session in SESSIONS:
        if _pairs(ordered, session) >= LEAST_PAIRS:
            linker, model = _session(linker, model, session, lambda known: Linker(data, known))
    model = with_assumed(model, present)
    terms = sorted({level.term for trait in present for level in trait.levels if level.term})
    trained = read_model(model, {term: frequencies(ordered, term) for term in terms})
    return replace(trained, comparisons=merge(traits, trained.comparisons))


def connect(**settings: Any) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that writes nothing to a disk: what does not fit fails.

    One thread, for several would add up in any order.
    """
    return duckdb.connect(config={"threads": 1, "temp_directory": "", **settings})


def _session(
    linker: Linker, model: dict[str, Any], session: Sequence[str], again: Callable[[dict[str, Any]], Linker]
) -> tuple[Linker, dict[str, Any]]:
    """Return the linker and its model after one training session.

    Where a probability vanishes Splink raises, in a state that has lost comparisons: then the session has taught
    nothing, and a linker is made again from the model before it.
    """
    rule = " AND ".join(f'l."{column}" = r."{column}"' for column in session)
    try:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True, max_pairs=MAX_PAIRS
        )
    except ValueError:
        return again(model), model
    return linker, linker.misc.save_model_to_json()


def with_assumed(model: dict[str, Any], traits: Sequence[Comparison]) -> dict[str, Any]:
    """Return the model with the weights that traits came with where training saw too little to give one."""
    for raw, trait in zip(model["comparisons"], traits, strict=True):
        for level, assumed in zip(raw["comparison_levels"], trait.levels, strict=True):
            if not assumed.is_null:
                level.setdefault("m_probability", assumed.m)
                level.setdefault("u_probability", assumed.u)
    return model


def merge(traits: Sequence[Comparison], trained: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return the traits with the weights that were trained."""
    by_name = {comparison.name: comparison for comparison in trained}
    merged = []
    for trait in traits:
        found = by_name.get(trait.name)
        if found is None:
            merged.append(trait)
            continue
        levels = [
            level if level.is_null else replace(level, m=other.m, u=other.u, term_u=other.term_u)
            for level, other in zip(trait.levels, found.levels, strict=True)
        ]
        merged.append(replace(trait, levels=tuple(levels)))
    return tuple(merged)


def frequencies(columns: Sequence[Mapping[str, Column]], column: str) -> dict[str, float]:
    """Return how often each text of a column occurs among those that are known, as Splink counts it."""
    counts: dict[str, int] = {}
    for record in columns:
        value = record[column]
        if isinstance(value, str):
            counts[value] = counts.get(value, 0) + 1
    total = sum(counts.values())
    return {value: count / total for value, count in sorted(counts.items())}


def _known(trait: Comparison, columns: Sequence[Mapping[str, Column]]) -> int:
    """Return how many records know something of a trait."""
    wanted = columns_of(trait.levels[0].condition)
    return sum(any(record[column] for column in wanted) for record in columns)


def _pairs(columns: Sequence[Mapping[str, Column]], session: Sequence[str]) -> int:
    counts: dict[tuple[Column, ...], int] = {}
    for record in columns:
        values = tuple(record[column] for column in session)
        if all(values):
            counts[values] = counts.get(values, 0) + 1
    return sum(count * (count - 1) // 2 for count in counts.values())
