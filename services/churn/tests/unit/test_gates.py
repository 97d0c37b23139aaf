"""What a model must pass before it may serve, and that each of it can refuse one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from churn_model import PARTS
from rapport_churn.app import gates
from rapport_churn.app.gates import Champion, gates_of
from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.calibration import Calibrator
from rapport_churn.domain.features import Summary
from rapport_churn.domain.judged import Judged
from rapport_churn.domain.scoring import Score, Scorer
from rapport_churn.domain.stack import Member, Stack

WELL = [{"name": "auc", "value": 0.8, "reference": 0.8}, {"name": "ece", "value": 0.03, "reference": 0.02}]
PEOPLE = 2000
USUAL = BgNbd(0.8, 40.0, 0.5, 2.5)


def scorer(bgnbd: BgNbd = USUAL, *, shift: float = 0.0) -> Scorer:
    stack = Stack({Member.BGNBD: 1.0}, Calibrator(1.0, shift))
    return Scorer(replace(PARTS, bgnbd=bgnbd, stack=stack), {}, lambda text: pytest.fail("it has no trees"))


def judged(model: Scorer, said_shift: Callable[[str], float] = lambda group: 0.0) -> Judged:
    """People who do just what a model says, and what another would have told of them, group by group."""
    draw = np.random.default_rng(3)
    tenure = draw.integers(90, 360, PEOPLE)
    recency = (tenure * draw.random(PEOPLE)).astype(int)
    summaries = np.column_stack([draw.integers(0, 9, PEOPLE), recency, tenure, np.full(PEOPLE, 100.0)]).astype(float)
    people = [Summary(int(x), int(last), int(now), mean) for x, last, now, mean in summaries]
    values = np.zeros((PEOPLE, len(PARTS.columns)))
    odds = model.log_odds_of(values, people)
    labels = (draw.random(PEOPLE) < 1 / (1 + np.exp(-odds))).astype(float)
    groups = np.array(["online", "store"])[draw.integers(0, 2, PEOPLE)]
    return Judged(1000, values, summaries, labels, odds + np.vectorize(said_shift)(groups), groups)


def verdicts(model: Scorer, rows: Judged | None = None, champion: Champion | None = None) -> Mapping[str, bool]:
    return {gate.name: gate.passed for gate in gates_of(WELL, model, rows, champion)}


def test_a_model_that_does_well_passes_everything() -> None:
    model = scorer()
    found = verdicts(model, judged(model), Champion(scorer(BgNbd(0.3, 90.0, 0.9, 1.5)), 2000))
    assert found == dict.fromkeys(
        [
            "not_below_baselines",
            "calibration",
            "gain_over_champion",
            "fairness_caught",
            "fairness_false_alarms",
            "fairness_calibration",
            "latency",
        ],
        True,
    )


@pytest.mark.parametrize(("name", "value"), [("auc", 0.79), ("ece", 0.09)])
def test_one_below_its_baselines_or_that_does_not_mean_what_it_says_is_refused(name: str, value: float) -> None:
    metrics: list[dict[str, Any]] = [{**each, "value": value} if each["name"] == name else each for each in WELL]
    failed = [gate.name for gate in gates_of(metrics, scorer()) if not gate.passed]
    assert failed == [{"auc": "not_below_baselines", "ece": "calibration"}[name]]


def test_one_that_tells_worse_than_the_champion_is_refused_and_one_as_good_is_not() -> None:
    champion, worse = scorer(), scorer(shift=1.0)
    rows = judged(champion)
    knew = Champion(champion, 2000)
    assert not verdicts(worse, rows, knew)["gain_over_champion"]
    assert verdicts(champion, rows, knew)["gain_over_champion"]
    # What a model would have told then counts where the champion did not know the window either.
    late = replace(rows, said=rows.said + 1.0)
    assert not verdicts(champion, late, Champion(champion, 500))["gain_over_champion"]


def test_one_that_means_other_things_by_the_same_chance_for_some_people_is_refused() -> None:
    model = scorer()
    rows = judged(model, lambda group: 3.0 if group == "store" else 0.0)
    coins = np.random.default_rng(4).integers(0, 2, PEOPLE).astype(float)
    found = verdicts(model, replace(rows, labels=coins))
    assert [name for name, passed in found.items() if not passed] == [
        "fairness_caught",
        "fairness_false_alarms",
        "fairness_calibration",
    ]


def test_one_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr(gates, "perf_counter", lambda: float(next(ticks)))
    assert not verdicts(scorer())["latency"]


def test_a_window_is_written_and_read_as_it_was() -> None:
    rows = judged(scorer())
    read = Judged.load(rows.dump())
    assert read.cutoff == rows.cutoff
    assert read.groups.tolist() == rows.groups.tolist()
    assert all(np.array_equal(getattr(read, name), getattr(rows, name)) for name in ("values", "labels", "said"))
    assert isinstance(scorer().score(read.values[0], read.purchases()[0]), Score)
