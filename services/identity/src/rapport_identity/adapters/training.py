"""A matcher from records alone: Splink's weights, households on top, and frequencies that name nobody."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from rapport_identity.adapters import household_fit, splink_training
from rapport_identity.domain import sharing
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record
from rapport_identity.domain.resolution import candidates, judge_identifiers
from rapport_identity.domain.traits import TRAITS, with_exact

JOIN: Final = 0.0
"""Even odds: with the prior in the score no other value need be chosen."""

FRACTURE: Final = -1.0


def train(records: Iterable[Record]) -> Matcher:
    """Return the matcher of the default configuration, trained on the records; no label is used.

    The same records give the same matcher, whatever their order.
    """
    folded = {record.key: fold_record(record) for record in sorted(records, key=lambda record: record.key)}
    shared = judge_identifiers(folded)
    columns = {key: sharing.without_shared(folded[key], shared) for key in folded}
    trained = splink_training.train(list(columns.values()), TRAITS)
    prepared = {key: trained.prepare_columns(key, columns[key]) for key in columns}
    pairs = [(prepared[one], prepared[other]) for one, other in candidates(columns).pairs]
    fitted = household_fit.fit(trained, pairs, len(prepared))
    return replace(fitted, comparisons=with_exact(fitted.comparisons), join=JOIN, fracture=FRACTURE)


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
