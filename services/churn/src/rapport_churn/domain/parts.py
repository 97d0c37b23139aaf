"""What a trained model is made of, as its file `model.json` holds it.

An artefact is a few files: `model.json` and, where trees have a say, their text. Reading one needs no library of
training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.calibration import Calibrator
from rapport_churn.domain.gamma_gamma import GammaGamma
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.linear import Linear
from rapport_churn.domain.segments import Fifths
from rapport_churn.domain.stack import Member, Stack
from rapport_churn.domain.survival import Hazard
from rapport_churn.domain.value import ValueModel

FORMAT: Final = 1
MODEL: Final = "model.json"
TREES: Final = "model.txt"
SPENDS: Final = "value_any.txt"
SPEND: Final = "value_size.txt"
"""Names of the files of an artefact."""


class UnusableArtefactError(Exception):
    """The files are not an artefact that this program can serve."""


@dataclass(frozen=True)
class Parts:
    """What `model.json` holds.

    Attributes:
        columns: Name, group and whether it holds codes, of every column of a vector.
        used: Numbers of the columns that were learned from.
        feature_set: Digest of the feature set.
        horizon: How far labels looked ahead.
        population: Of whom the model speaks.
        stack: How the members are put together.
        centres: Mean log-odds of each member on the customers it was trained for.
        logistic: The logistic member.
        bgnbd: The member of buying rhythm; None for a plain table.
        gamma_gamma: Value of purchases.
        hazard: How the chance spreads over the horizon.
        value: How the expected spend is put together.
        ranks: Hundredths of the log-odds among customers.
        fifths: Fifths of recency, frequency and spend among customers.
        probes: Made-up rows, with the raw score that each file of trees gave in training.
    """

    columns: tuple[tuple[str, str, bool], ...]
    used: tuple[int, ...]
    feature_set: str
    horizon: Horizon
    population: PopulationRule
    stack: Stack
    centres: Mapping[Member, float]
    logistic: Linear | None
    bgnbd: BgNbd | None
    gamma_gamma: GammaGamma | None
    hazard: Hazard
    value: ValueModel | None
    ranks: tuple[float, ...]
    fifths: Fifths | None
    probes: Mapping[str, Any]

    def dump(self) -> bytes:
        """Return the file."""
        told = {
            "format": FORMAT,
            "columns": self.columns,
            "used": self.used,
            "feature_set": self.feature_set,
            "horizon": asdict(self.horizon),
            "population": asdict(self.population),
            "weights": self.stack.weights,
            "calibrator": asdict(self.stack.calibrator),
            "centres": self.centres,
            "logistic": self.logistic and self.logistic.as_json(),
            "bgnbd": self.bgnbd and asdict(self.bgnbd),
            "gamma_gamma": self.gamma_gamma and asdict(self.gamma_gamma),
            "hazard": asdict(self.hazard),
            "value": self.value and self.value.as_json(),
            "ranks": self.ranks,
            "fifths": self.fifths and asdict(self.fifths),
            "probes": self.probes,
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def load(cls, file: bytes) -> Self:
        """Read the file.

        Raises:
            UnusableArtefactError: It is damaged, or of another format.
        """
        try:
            told = json.loads(file)
            if told["format"] != FORMAT:
                raise UnusableArtefactError(f"the artefact has format {told['format']}")
            hazard, fifths = told["hazard"], told["fifths"]
            return cls(
                columns=tuple((name, group, bool(coded)) for name, group, coded in told["columns"]),
                used=tuple(told["used"]),
                feature_set=told["feature_set"],
                horizon=Horizon(**told["horizon"]),
                population=PopulationRule(**told["population"]),
                stack=Stack(
                    {Member(name): weight for name, weight in told["weights"].items()},
                    Calibrator(**told["calibrator"]),
                ),
                centres={Member(name): centre for name, centre in told["centres"].items()},
                logistic=Linear.of_json(told["logistic"]) if told["logistic"] else None,
                bgnbd=BgNbd(**told["bgnbd"]) if told["bgnbd"] else None,
                gamma_gamma=GammaGamma(**told["gamma_gamma"]) if told["gamma_gamma"] else None,
                hazard=Hazard(hazard["horizon"], tuple(hazard["days"]), tuple(hazard["shares"])),
                value=ValueModel.of_json(told["value"]) if told["value"] else None,
                ranks=tuple(told["ranks"]),
                fifths=Fifths(**{name: tuple(cuts) for name, cuts in fifths.items()}) if fifths else None,
                probes=told["probes"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableArtefactError("model.json is damaged") from error
