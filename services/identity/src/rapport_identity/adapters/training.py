"""A matcher from records alone: Splink's weights, households on top, and frequencies that name nobody."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Final

from rapport_identity.adapters import household_fit, splink_training
from rapport_identity.domain import sharing
from rapport_identity.domain.comparisons import Level
from rapport_identity.domain.folding import Column, fold_record
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.resolution import candidates, judge_identifiers
from rapport_identity.domain.traits import TRAITS, with_exact

JOIN: Final = 0.0
"""Even odds: with the prior in the score no other value need be chosen."""

FRACTURE: Final = -1.0

LEAST_RECORDS: Final = 100
"""Fewer records teach nothing."""

NO_LABELS: Final[Mapping[tuple[RecordKey, RecordKey], bool]] = {}


class NotTrainableError(Exception):
    """The records teach no matcher."""


def train(records: Iterable[Record]) -> Matcher:
    """Return the matcher of the default configuration, trained on the records; no label is used.

    The same records give the same matcher, whatever their order.
    """
    return fit({record.key: fold_record(record) for record in records})


def train_columns(
    folded: Mapping[RecordKey, Mapping[str, Column]],
    *,
    seed: int,
    labels: Mapping[tuple[RecordKey, RecordKey], bool],
    least: int,
    report: Callable[[str], None],
) -> Matcher:
    """Return a matcher trained on the records that are held, whose frequencies name nobody.

    The same records, labels and seed give the same matcher, whatever their order.

    Args:
        folded: The records.
        seed: Of all sampling; 0 for that of the default configuration.
        labels: Pairs of which a steward said whether they are one person.
        least: Records that must hold a value for its frequency to be kept.
        report: Is told what is being done.

    Raises:
        NotTrainableError: The records say too little.
    """
    report("training")
    matcher = fit(folded, seed=seed or splink_training.SEED, labels=labels)
    report("checking")
    counts = {column: sum(bool(each[column]) for each in folded.values()) for column in matcher.frequencies}
    kept = without_rare(matcher, counts, least=least)
    if not all(isfinite(weight) for level in _levels(kept) for weight in (level.m or 0.0, level.u or 0.0)):
        raise NotTrainableError("a weight is not a number")
    return kept


def fit(
    folded: Mapping[RecordKey, Mapping[str, Column]],
    *,
    seed: int = splink_training.SEED,
    labels: Mapping[tuple[RecordKey, RecordKey], bool] = NO_LABELS,
) -> Matcher:
    """Return the matcher that folded records teach.

    Raises:
        NotTrainableError: The records say too little.
    """
    if len(folded) < LEAST_RECORDS:
        raise NotTrainableError("there are too few records")
    folded = {key: folded[key] for key in sorted(folded)}
    shared = judge_identifiers(folded)
    columns = {key: sharing.without_shared(folded[key], shared) for key in folded}
    trained = splink_training.train(list(columns.values()), TRAITS, seed=seed)
    prepared = {key: trained.prepare_columns(key, columns[key]) for key in columns}
    said = {(min(pair), max(pair)): same for pair, same in labels.items()}
    met = sorted({*candidates(columns).pairs, *said})
    pairs = [(prepared[one], prepared[other]) for one, other in met]
    known = {at: said[pair] for at, pair in enumerate(met) if pair in said}
    fitted = household_fit.fit(trained, pairs, len(prepared), known)
    return replace(fitted, comparisons=with_exact(fitted.comparisons), join=JOIN, fracture=FRACTURE)


def _levels(matcher: Matcher) -> Iterable[Level]:
    return (level for comparison in matcher.comparisons for level in comparison.levels)


def without_rare(matcher: Matcher, counts: Mapping[str, int], *, least: int) -> Matcher:
    """Return the matcher without the frequencies of values that few records hold.

    What is left names nobody, and a value of the tail is taken to be as frequent as such values are on average.

    Args:
        matcher: A trained matcher.
        counts: Records that know each column.
        least: Records that must hold a value for it to stay.
    """
    kept: dict[str, dict[str, float]] = {}
    unseen: dict[str, float] = {}
    for column, table in matcher.frequencies.items():
        common = least / counts[column] if counts.get(column) else 1.0
        kept[column] = {value: frequency for value, frequency in table.items() if frequency >= common}
        tail = [frequency for frequency in table.values() if frequency < common]
        if tail:
            unseen[column] = sum(frequency * frequency for frequency in tail) / sum(tail)
    return replace(matcher, frequencies=kept, unseen=unseen)
