"""Whom nobody may treat: chance, the same for ever, and nothing else."""

from __future__ import annotations

import pytest
from rapport_churn.domain.holdout import is_held_out

PEOPLE = [f"prf_{number:08}" for number in range(20_000)]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_as_many_are_held_out_as_was_asked_for(share: float) -> None:
    held = sum(is_held_out(b"salt", each, share) for each in PEOPLE) / len(PEOPLE)
    assert held == pytest.approx(share, abs=0.01)
    assert share not in (0.0, 1.0) or held == share


def test_a_larger_share_holds_out_everybody_whom_a_smaller_one_does() -> None:
    small, large = ({each for each in PEOPLE if is_held_out(b"salt", each, share)} for share in (0.05, 0.1))
    assert small < large


def test_another_installation_draws_anew() -> None:
    one, other = ({each for each in PEOPLE if is_held_out(salt, each, 0.1)} for salt in (b"one", b"other"))
    assert len(one & other) / len(PEOPLE) == pytest.approx(0.01, abs=0.005)
