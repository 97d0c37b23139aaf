"""The newest window that a model was judged on: who was in it, what came, and what the model would have said then."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.features import Summary

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Rows of one cutoff. They are of people: kept while a model is registered, and in no artefact.

    Attributes:
        cutoff: When, in microseconds.
        values: Features.
        summaries: Columns of `Summary`.
        labels: Who left.
        said: Log-odds that the model would have told then, learned and calibrated by what was known.
        groups: The group of each, by which errors are compared; empty for unknown.
    """

    cutoff: int
    values: Floats
    summaries: Floats
    labels: Floats
    said: Floats
    groups: NDArray[np.str_]

    def purchases(self) -> list[Summary]:
        """Return the summary of each row."""
        return [Summary(int(x), int(last), int(now), mean) for x, last, now, mean in self.summaries.tolist()]

    def dump(self) -> bytes:
        """Return it as a file."""
        file = BytesIO()
        np.savez(
            file,
            cutoff=np.int64(self.cutoff),
            values=self.values,
            summaries=self.summaries,
            labels=self.labels,
            said=self.said,
            groups=self.groups,
        )
        return file.getvalue()

    @classmethod
    def load(cls, file: bytes) -> Self:
        """Return what was written."""
        with np.load(BytesIO(file), allow_pickle=False) as arrays:
            rest = {name: arrays[name] for name in arrays.files if name != "cutoff"}
            return cls(cutoff=int(arrays["cutoff"]), **rest)
