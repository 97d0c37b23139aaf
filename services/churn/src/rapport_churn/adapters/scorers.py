"""Makes of an artefact what scores."""

from __future__ import annotations

from collections.abc import Mapping

from rapport_churn.adapters.native import NativeError, load_scorer
from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.parts import UnusableArtefactError
from rapport_churn.domain.scoring import Scorer


def load(files: Mapping[str, bytes]) -> Scorer:
    """Return what an artefact becomes in memory.

    Raises:
        RapportError: MODEL_UNUSABLE.
    """
    try:
        scorer = load_scorer(files)
    except (UnusableArtefactError, NativeError) as error:
        raise ERRORS.error("MODEL_UNUSABLE", str(error)) from error
    if scorer.parts.feature_set != DEFAULT_FEATURES.digest:
        raise ERRORS.error("MODEL_UNUSABLE", "the model was trained on features that are declared otherwise now")
    return scorer
