"""Use cases: train a matcher on the records held, or import one that was trained elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from rapport_identity.app.computing import Computing, Report, Row, snapshot_of
from rapport_identity.app.matchers import MatcherDraft, MatcherOrigin, Matchers, Version, get_matcher
from rapport_identity.app.partition import Partition
from rapport_identity.app.reviews import Reviews
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.splink_conditions import UntranslatableModelError
from rapport_identity.domain.splink_model import read_model


class TrainMatcher:
    """Trains a matcher on what the partition holds, apart from what is served.

    Args:
        partition: The records.
        matchers: Keeps it.
        reviews: Knows what stewards said of pairs.
        computing: Trains.
    """

    def __init__(self, partition: Partition, matchers: Matchers, reviews: Reviews, computing: Computing) -> None:
        self._partition = partition
        self._matchers = matchers
        self._reviews = reviews
        self._computing = computing

    async def __call__(self, matcher_id: str, seed: int, most_records: int, report: Report) -> Version:
        """Return a matcher that was trained and is kept under an id, without effect yet; a repeat does no harm.

        Args:
            matcher_id: Its id.
            seed: Of all sampling: the same seed, records and answered reviews give the same matcher.
            most_records: Records to train on; 0 for all.
            report: Is told how far it has come.

        Raises:
            RapportError: NOT_TRAINABLE, TRAINING_UNAVAILABLE, NOT_READY, INTERNAL.
        """
        snapshot = await snapshot_of(self._partition)
        async with self._partition.units.unit() as unit:
            labels = await self._reviews.labels(unit)
        rows = _sample(snapshot.rows, seed, most_records) if most_records else snapshot.rows
        matcher = await self._computing.train(rows, labels, seed, report)
        draft = await self._matchers.draft(matcher, MatcherOrigin.TRAINED, trained_on=len(rows))
        async with self._partition.units.unit() as unit:
            await self._matchers.add(unit, matcher_id, draft)
            return await get_matcher(self._matchers, unit, matcher_id)


async def import_model(
    matchers: Matchers,
    model: bytes,
    frequencies: Mapping[str, Mapping[str, float]],
    *,
    join: float | None,
    fracture: float | None,
) -> MatcherDraft:
    """Return the matcher of a Splink model, ready to be kept.

    Args:
        matchers: Makes it ready.
        model: The model as Splink writes it.
        frequencies: Per column, how frequent values are.
        join: Profiles join at this average; None for what the default matcher uses.
        fracture: Below this, records are not even candidates; None likewise.

    Raises:
        RapportError: MATCHER_UNTRANSLATABLE, with the name of what cannot be translated; NOT_READY.
    """
    shipped = default_matcher()
    try:
        read = read_model(json.loads(model), frequencies)
        matcher = replace(
            read,
            join=shipped.join if join is None else join,
            fracture=shipped.fracture if fracture is None else fracture,
        )
        unknown = set(matcher.columns) - fold_record(Record(RecordKey("", ""))).keys()
        if unknown:
            raise UntranslatableModelError(f"records have no column {', '.join(sorted(unknown))}")
    except UntranslatableModelError as error:
        raise ERRORS.error("MATCHER_UNTRANSLATABLE", str(error), field="splink_model") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ERRORS.error("MATCHER_UNTRANSLATABLE", "not a model as Splink writes it", field="splink_model") from None
    return await matchers.draft(matcher, MatcherOrigin.IMPORTED)


def _sample(rows: Sequence[Row], seed: int, most: int) -> Sequence[Row]:
    """Return so many records, the same for a seed whatever their order."""
    return sorted(
        rows, key=lambda row: sha256(f"{seed}\0{row.key.source}\0{row.key.source_record_id}".encode()).digest()
    )[:most]
