"""A model that needs no training: the published parameters of a shop of music, put together as an artefact."""

from __future__ import annotations

import json
from dataclasses import replace

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.gamma_gamma import GammaGamma
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.parts import MODEL, Parts
from rapport_churn.domain.segments import Fifths
from rapport_churn.domain.stack import Member, Stack
from rapport_churn.domain.survival import Hazard
from rapport_churn.domain.value import ValueModel

PARTS = Parts(
    columns=tuple((each.name, each.group.value, each.categorical) for each in DEFAULT_FEATURES),
    used=(),
    feature_set=DEFAULT_FEATURES.digest,
    horizon=Horizon(90, 180),
    population=PopulationRule(365),
    stack=Stack({Member.BGNBD: 1.0}),
    centres={Member.BGNBD: 0.4},
    logistic=None,
    bgnbd=BgNbd(0.243, 4.414 * 7, 0.793, 2.426),
    gamma_gamma=GammaGamma(6.25, 3.74, 1544.0),
    hazard=Hazard(90, (30.0, 90.0), (0.4, 1.0)),
    value=ValueModel(180, 1.0, 0.0, 1.0, 1.0, 100.0, 0.2, 1.9),
    ranks=tuple(at / 10 for at in range(-20, 20)),
    fifths=Fifths((10.0, 30.0, 60.0, 120.0), (1.0, 2.0, 4.0, 8.0), (500.0, 2000.0, 5000.0, 10000.0)),
    probes={},
)
"""It speaks of whoever has bought within a year, by the rhythm of purchases alone."""


def artefact(parts: Parts = PARTS, **changes: object) -> dict[str, bytes]:
    """The files of such a model, with some parts changed."""
    made = replace(parts, **changes)  # type: ignore[arg-type] # fields of the parts
    return {MODEL: made.dump(), "card.json": json.dumps({"made": "by hand"}).encode()}
