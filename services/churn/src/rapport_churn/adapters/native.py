"""LightGBM's C interface by ctypes: one row or many, one thread, without the Python package.

The package would bring scipy and a second copy of every row; what serves needs five functions of the shared library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.scoring import Scorer

Floats = NDArray[np.float64]

_RAW: Final = 1
_CONTRIBUTIONS: Final = 3
_FLOAT64: Final = 1
_ALL: Final = -1
_ONE_THREAD: Final = b"num_threads=1"
_LIBRARIES: Final = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
_EXACT: Final = 1e-9


class NativeError(Exception):
    """The shared library is missing, refused a call, or does not give the scores it gave in training."""


def load_scorer(files: Mapping[str, bytes]) -> Scorer:
    """Open an artefact; its trees are run by the shared library, which is compared with what training kept.

    Raises:
        UnusableArtefactError: The files are not an artefact.
        NativeError: The library is missing, or gives other scores than in training.
    """
    return Scorer.load(files, NativeModel)


@cache
def _library(holding_lock: bool) -> ctypes.CDLL:
    """Open the shared library; calls of microseconds keep the interpreter's lock, calls on many rows let it go."""
    spec = find_spec("lightgbm")
    folder = Path(spec.origin).parent / "lib" if spec is not None and spec.origin else Path()
    for name in _LIBRARIES:
        if spec is not None and (folder / name).is_file():
            kind = ctypes.PyDLL if holding_lock else ctypes.CDLL
            return kind(str(folder / name))
    raise NativeError("the shared library of lightgbm is not installed")


def _call(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    if getattr(library, function)(*arguments):
        library.LGBM_GetLastError.restype = c_char_p
        raise NativeError(f"{function}: {library.LGBM_GetLastError().decode(errors='replace')}")


class NativeModel:
    """A loaded model.

    Scores of one row use arrays that are kept from call to call, so that two threads must not score at once.

    Args:
        text: The model as LightGBM writes it.

    Raises:
        NativeError: The library is missing or cannot read the model.
    """

    def __init__(self, text: str) -> None:
        self._handle = c_void_p()
        self._fast: list[c_void_p] = []
        self._many = _library(holding_lock=False)
        iterations, width = c_int(), c_int()
        _call(self._many, "LGBM_BoosterLoadModelFromString", text.encode(), byref(iterations), byref(self._handle))
        _call(self._many, "LGBM_BoosterGetNumFeature", self._handle, byref(width))
        self.features = width.value
        self._row = np.zeros(self.features)
        self._row_at = c_void_p(self._row.ctypes.data)
        self._one = _library(holding_lock=True).LGBM_BoosterPredictForMatSingleRowFast
        self._length = c_int64()
        self._score = c_double()
        self._score_call = (self._prepare(_RAW), self._row_at, byref(self._length), byref(self._score))
        self._parts = np.zeros(self.features + 1)
        parts_at = c_void_p(self._parts.ctypes.data)
        self._parts_call = (self._prepare(_CONTRIBUTIONS), self._row_at, byref(self._length), parts_at)

    def log_odds(self, row: Floats | Sequence[float]) -> float:
        """Return the log-odds of one row.

        Args:
            row: The columns; finite, or NaN for missing.

        Raises:
            NativeError: The library refused.
            ValueError: The row has another number of columns.
        """
        self._row[:] = row
        if self._one(*self._score_call):
            raise NativeError("the library refused to score a row")
        return self._score.value

    def contributions(self, row: Floats | Sequence[float]) -> Floats:
        """Return what each column adds to the log-odds, and the base last; by walking every tree.

        Raises:
            NativeError: The library refused.
        """
        self._row[:] = row
        if self._one(*self._parts_call):
            raise NativeError("the library refused to explain a row")
        return self._parts.copy()

    def log_odds_of(self, rows: Floats) -> Floats:
        """Return the log-odds of many rows; lets other threads run.

        Raises:
            NativeError: The library refused.
        """
        return self._predict(rows, _RAW, 1)[:, 0]

    def contributions_of(self, rows: Floats) -> Floats:
        """Return what each column adds to the log-odds of many rows, and the base last; lets other threads run.

        Raises:
            NativeError: The library refused.
        """
        return self._predict(rows, _CONTRIBUTIONS, self.features + 1)

    def check(self, rows: Floats, log_odds: Floats) -> None:
        """Compare with the log-odds that training kept of some rows, on every way there is to score.

        Raises:
            NativeError: A score differs: this library must not serve this model.
        """
        kept = np.asarray(log_odds)
        singly = np.array([self.log_odds(row) for row in rows])
        summed = np.array([self.contributions(row).sum() for row in rows[:3]])
        if not np.array_equal(singly, self.log_odds_of(rows)) or not np.allclose(singly, kept, rtol=0.0, atol=_EXACT):
            raise NativeError("the shared library does not give the scores that training gave")
        if not np.allclose(summed, kept[:3], rtol=0.0, atol=_EXACT):
            raise NativeError("the contributions of the shared library do not sum to the score")

    def close(self) -> None:
        """Free what the library holds; the model must not be used any more."""
        for config in self._fast:
            self._many.LGBM_FastConfigFree(config)
        self._fast.clear()
        if self._handle.value:
            self._many.LGBM_BoosterFree(self._handle)
            self._handle = c_void_p()

    def __del__(self) -> None:
        self.close()

    def _prepare(self, kind: int) -> c_void_p:
        config = c_void_p()
        _call(
            self._many, "LGBM_BoosterPredictForMatSingleRowFastInit",
            self._handle, c_int(kind), c_int(0), c_int(_ALL), c_int(_FLOAT64), c_int32(self.features), _ONE_THREAD,
            byref(config),
        )  # fmt: skip
        self._fast.append(config)
        return config

    def _predict(self, rows: Floats, kind: int, width: int) -> Floats:
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise ValueError(f"the model has {self.features} columns")
        given = np.ascontiguousarray(rows, dtype=np.float64)
        found = np.zeros((len(given), width))
        if len(given):
            _call(
                self._many, "LGBM_BoosterPredictForMat",
                self._handle, c_void_p(given.ctypes.data), c_int(_FLOAT64), c_int32(len(given)), c_int32(self.features),
                c_int(1), c_int(kind), c_int(0), c_int(_ALL), _ONE_THREAD, byref(self._length),
                found.ctypes.data_as(POINTER(c_double)),
            )  # fmt: skip
        return found
