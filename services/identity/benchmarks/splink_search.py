"""What Splink takes to look for one record among many: the floor that a search is measured against.

Splink 5 has no call for one record; `predict_between` with a table of one is what its documentation names for it. The
model is the untrained default configuration: how long it takes does not depend on the weights.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Sequence
from typing import Final

from rapport_identity.adapters.splink_training import SESSIONS, connect, settings_of, table_of
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.records import Record
from rapport_identity.domain.traits import TRAITS
from splink import DuckDBAPI, Linker

BLOCKED_ON: Final = (("surname", "given"), ("dob",), ("email",), ("national_id",), ("address",), ("postcode", "given"))
"""Equal columns that bring records together: about what the keys of the index do."""


def one_by_one_ms(records: Sequence[Record], searched: Sequence[Record]) -> list[float]:
    """Return how long Splink takes to find each of the searched ones among the records, one after the other."""
    logging.getLogger("splink").disabled = True
    settings = settings_of(TRAITS)
    settings["blocking_rules_to_generate_predictions"] = [
        " AND ".join(f'l."{column}" = r."{column}"' for column in columns) for columns in BLOCKED_ON
    ]
    for raw, trait in zip(settings["comparisons"], TRAITS, strict=True):
        for level, known in zip(raw["comparison_levels"], trait.levels, strict=True):
            if not known.is_null:
                level |= {"m_probability": known.m, "u_probability": known.u}
    names = sorted(
        frozenset[str]().union(
            *(trait.columns for trait in TRAITS), *map(frozenset, SESSIONS), *map(frozenset, BLOCKED_ON)
        )
    )
    database = DuckDBAPI(connection=connect())
    known_ = database.register(table_of([fold_record(each) for each in records], names))
    linker = Linker(known_, settings)
    for column in sorted({level.term for trait in TRAITS for level in trait.levels if level.term}):
        linker.table_management.compute_tf_table(column)
    taken = []
    for record in searched:
        table = database.register(table_of([fold_record(record)], names))
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            linker.inference.predict_between(known_, table, threshold_match_weight=-10).as_record_list()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken
