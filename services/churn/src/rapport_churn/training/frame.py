"""A table to learn from: what was known of people at cutoffs, and what they did then."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Column(NamedTuple):
    """A column of features: its name, the business reason it belongs to, and whether it holds codes."""

    name: str
    group: str
    categorical: bool = False


@dataclass(frozen=True)
class Frame:
    """Features of people at cutoffs, with the labels of the windows after them.

    Attributes:
        columns: What the columns of `values` are.
        values: One row per person and cutoff; NaN is unknown; a categorical column holds codes.
        profiles: Number of the person in each row, for keeping rows of one person together.
        cutoffs: The cutoff of each row, in microseconds since 1970; one value throughout for a plain table.
        churned: 1 for no purchase within the horizon after the cutoff, else 0.
        next_days: Days from the cutoff to the next purchase; infinity for none within the horizon.
        spend: Minor units spent within the value horizon after the cutoff; -1 where that is not over yet.
        frequency: Days with a purchase, less the first. This and what follows is empty for a plain table.
        recency: Days from the first day with a purchase to the last.
        tenure: Days from the first day with a purchase to the cutoff.
        mean_value: Minor units spent on a day with a purchase, on average, less the first day; 0 without another.
    """

    columns: tuple[Column, ...]
    values: Floats
    profiles: Integers
    cutoffs: Integers
    churned: NDArray[np.int8]
    next_days: Floats
    spend: Integers
    frequency: Floats
    recency: Floats
    tenure: Floats
    mean_value: Floats

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.bool_] | Integers | slice) -> Frame:
        """Return the frame of some rows, chosen by a mask, by number, or as a view by a slice."""
        taken = {
            each.name: column[chosen] if len(column := getattr(self, each.name)) == len(self) else column
            for each in fields(self)
            if each.name != "columns"
        }
        return Frame(columns=self.columns, **taken)
