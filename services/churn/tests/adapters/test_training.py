"""From events to an artefact that scores: the recipe, its cold starts, the job and what it leaves behind."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rapport_churn.adapters.native import NativeError, load_scorer
from rapport_churn.app.gates import Champion, gates_of
from rapport_churn.domain.drift import Distribution, look
from rapport_churn.domain.facts import DAY, FactKind
from rapport_churn.domain.features import Summary
from rapport_churn.domain.judged import Judged
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.membership import Membership, is_absent, is_present
from rapport_churn.domain.parts import UnusableArtefactError
from rapport_churn.domain.stack import Member
from rapport_churn.training import backtest
from rapport_churn.training.artefact import Scope, write_artefact
from rapport_churn.training.frame import Frame
from rapport_churn.training.job import Refused, _load, train
from rapport_churn.training.looking import Effort
from rapport_churn.training.members import folds_of, usable_columns
from rapport_churn.training.recipe import NotLearnableError, learn

NOW = 500 * DAY
PEOPLE = 350
EFFORT = {"draws": 2, "bag": 1, "origins": 2, "search_rows": 1500, "rows": 2500, "rounds": 60, "cutoffs": 10}
SMALL = Effort(draws=2, seeds=(1,), origins=2, search_rows=1500, rows=2500, rounds=60)


def orders(seed: int, people: int):
    """Yield who ordered when and for how much: rates and lifetimes differ, and the fickle return things first."""
    draw = np.random.default_rng(seed)
    for number in range(people):
        at, rate, stops = draw.uniform(0, 350), draw.gamma(1.2, 1 / 25.0), draw.beta(1.0, 5.0)
        worth = draw.gamma(4.0, 900.0)
        while at < 500:
            yield f"prf_{number:04}", FactKind.ORDER, at, int(draw.gamma(3.0, worth / 3.0)) + 100
            if draw.random() < stops:
                yield f"prf_{number:04}", FactKind.RETURNED, at + 1, 500
                break
            at += draw.exponential(1 / rate)


def write_job(folder: Path, people: int, header: dict | None = None, seed: int = 1) -> Path:
    (folder / "events").mkdir(parents=True)
    with (folder / "events" / "part-0.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            [
                "fact_id",
                "profile_id",
                "owner_version",
                "kind",
                "occurred_at",
                "arrived_at",
                "value",
                "quantity",
                "channel",
            ]
        )
        for number, (profile_id, kind, day, value) in enumerate(orders(seed, people)):
            at = int(day * DAY)
            rows.writerow([f"f{number}", profile_id, 1, int(kind), at, at, value, 1, 0])
    (folder / "header.json").write_text(json.dumps({"as_of": NOW, "effort": EFFORT, **(header or {})}))
    return folder


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = write_job(tmp_path_factory.mktemp("job"), PEOPLE)
    train(folder)
    return folder


@pytest.fixture(scope="module")
def files(job):
    return {path.name: path.read_bytes() for path in (job / "artefact").iterdir()}


@pytest.fixture(scope="module")
def frames(job):
    about = json.loads((job / "built" / "about.json").read_bytes())
    return _load(job / "built" / "frame.npz", about), _load(job / "built" / "newest.npz", about), about


def summaries(frame: Frame) -> list[Summary]:
    columns = (frame.frequency, frame.recency, frame.tenure, frame.mean_value)
    return [Summary(int(a), int(b), int(c), float(d)) for a, b, c, d in zip(*columns, strict=True)]


def test_reasons_sum_to_the_score_and_chances_never_cross(files, frames):
    scorer, newest = load_scorer(files), frames[1]
    for row, summary in zip(newest.values[:100], summaries(newest), strict=False):
        score = scorer.score(row.tolist(), summary)
        assert score.base + sum(score.reasons.values()) == pytest.approx(score.log_odds, abs=1e-12)
        chances = [score.churn[days] for days in sorted(score.churn)]
        assert chances == sorted(chances, reverse=True)
        assert score.churn[scorer.horizon_days] == pytest.approx(1 / (1 + np.exp(-score.log_odds)))
        assert score.value is not None
        assert 0.0 <= score.value.low <= score.value.mean <= score.value.high
        assert 0.0 <= score.rank <= 1.0
        assert score.segment
        assert score.tier


def test_one_at_a_time_and_all_at_once_score_the_same(files, frames):
    scorer, newest = load_scorer(files), frames[1]
    told = summaries(newest)
    at_once = scorer.log_odds_of(newest.values, told)
    singly = [scorer.score(row, summary).log_odds for row, summary in zip(newest.values, told, strict=True)]
    assert singly == pytest.approx(at_once, abs=1e-9)


def test_scores_tell_leavers_from_stayers_in_windows_that_taught_nothing(files):
    card = json.loads(files["card.json"])
    by_name = {each["name"]: each for each in card["metrics"]}
    assert by_name["auc"]["value"] > 0.65
    assert by_name["auc"]["value"] > by_name["auc"]["reference"] - 0.01
    assert by_name["ece"]["value"] < by_name["ece"]["reference"] + 0.08


def test_the_card_shows_whom_the_model_learned_from_and_whom_not(files, tmp_path):
    card = json.loads(files["card.json"])
    members, salt, root = (
        Membership.load(files["members.bin"]),
        bytes.fromhex(card["salt"]),
        bytes.fromhex(card["rows_root"]),
    )
    present = next(f"prf_{at:04}" for at in range(PEOPLE) if _is_member(members, f"prf_{at:04}", salt))
    assert is_present(present, salt, card["people"], root, members.presence(present, salt))
    few = {
        "erased": [present],
        "effort": {**EFFORT, "draws": 1, "origins": 1, "rounds": 5, "cutoffs": 4, "people": 250},
    }
    train(without := write_job(tmp_path / "without", PEOPLE, few))
    files = {path.name: path.read_bytes() for path in (without / "artefact").iterdir()}
    card, members = json.loads(files["card.json"]), Membership.load(files["members.bin"])
    salt, root = bytes.fromhex(card["salt"]), bytes.fromhex(card["rows_root"])
    assert is_absent(present, salt, card["people"], root, members.absence(present, salt))
    assert 100 < card["people"] <= 250


def _is_member(members: Membership, profile_id: str, salt: bytes) -> bool:
    try:
        members.presence(profile_id, salt)
    except ValueError:
        return False
    return True


def test_no_row_of_anybody_is_in_the_artefact(files, frames):
    told = json.loads(files["model.json"])
    own = {tuple(row[~np.isnan(row)]) for row in frames[1].values[:, told["used"]]}
    assert not own & {tuple(value for value in row if value == value) for row in told["probes"]["rows"]}
    assert b"prf_" not in b"".join(files.values())


def test_the_kept_distributions_find_no_drift_where_there_is_none(files, frames):
    reference = [Distribution(**each) for each in json.loads(files["reference.json"])]
    assert not any(each.drifted for each in look(reference, frames[1].values))


def test_the_newest_window_looked_back_at_is_kept_for_the_gates_beside_the_artefact(job, files):
    judged = Judged.load((job / "judged.npz").read_bytes())
    scorer = load_scorer(files)
    metrics = json.loads(files["card.json"])["metrics"]
    passed = {gate.name: gate.passed for gate in gates_of(metrics, scorer, judged, Champion(scorer, judged.cutoff + 1))}
    assert passed["gain_over_champion"]  # over itself nothing is lost
    assert "judged.npz" not in files


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rapport_churn.training", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.timeout(300)  # a process of the lowest priority waits for whatever else runs
def test_a_job_ends_with_its_parent_and_goes_on_where_it_was_to_the_same_bytes(files, tmp_path):
    folder = write_job(tmp_path / "again", PEOPLE)
    with start(folder) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told = [json.loads(next(child.stdout))]
        while told[-1]["phase"] != "search":
            told.append(json.loads(next(child.stdout)))
        child.stdin.close()
        assert child.wait() == 1
    assert not (folder / "artefact").exists()
    assert {each["phase"] for each in told} == {"reading", "features", "search"}
    (folder / "events" / "part-0.csv").unlink()  # what is read is not read again
    with start(folder) as child:
        assert child.stdout is not None
        told = [json.loads(line) for line in child.stdout]
        assert child.wait() == 0
    phases = {each["phase"] for each in told[:-1]}
    assert phases >= {"search", "backtest", "fit"}
    assert not phases & {"reading", "features"}
    assert told[-1] == {"result": str(folder / "artefact")}
    assert {path.name: path.read_bytes() for path in (folder / "artefact").iterdir()} == files


def test_too_few_purchases_are_refused_with_a_reason(tmp_path):
    with pytest.raises(Refused) as refused:
        train(write_job(tmp_path / "job", 3))
    assert refused.value.reason == "TOO_FEW_GAPS"


def test_without_labels_the_rhythm_scores_alone(frames):
    frame, newest, about = frames
    horizon = Horizon(**about["horizon"])
    nobody = np.zeros(len(frame), dtype=bool)
    learned = learn(frame.rows(nobody), newest, horizon, SMALL)
    assert learned.stack.weights == {Member.BGNBD: 1.0}
    scope = Scope(about["feature_set"], horizon, PopulationRule(**about["population"]))
    scorer = load_scorer(write_artefact(frame.rows(nobody), newest, learned, None, scope))
    score = scorer.score(newest.values[0], summaries(newest)[0])
    assert {group for group, added in score.reasons.items() if added} == {"buying_rhythm"}
    assert score.base + sum(score.reasons.values()) == pytest.approx(score.log_odds)


def test_with_few_labels_logistic_regression_joins(frames):
    frame, newest, about = frames
    learned = learn(frame.rows(np.arange(0, len(frame), 5)[:600]), newest, Horizon(**about["horizon"]), SMALL)
    assert learned.trees is None
    assert set(learned.stack.weights) <= {Member.LOGISTIC, Member.BGNBD}
    assert learned.stack.weights[Member.LOGISTIC] > 0


def test_in_a_race_only_the_best_on_few_rows_are_tried_on_more(frames):
    frame, newest, about = frames
    effort = Effort(draws=6, seeds=(1,), origins=2, search_rows=1200, rows=1500, rounds=8, race=True)
    findings = learn(frame, newest, Horizon(**about["horizon"]), effort).findings
    rows = [each["tried_on"] for each in findings["tried"]]
    assert rows == [1200] * 4 + [300] * 2
    chosen = next(each for each in findings["tried"] if findings["settings"].items() <= each.items())
    assert chosen["tried_on"] == 1200
    assert chosen["log_loss"] <= 1.001 * min(each["log_loss"] for each in findings["tried"][:4])


def test_nothing_known_teaches_nothing(frames):
    frame = frames[0].rows(np.zeros(len(frames[0]), dtype=bool))
    with pytest.raises(NotLearnableError):
        learn(frame, None, Horizon(90, 180), SMALL)


def test_open_windows_teach_nothing_at_an_origin(frames):
    frame, _, about = frames
    horizon = Horizon(**about["horizon"])
    for origin in backtest.origins(frame, horizon, 4):
        used = frame.cutoffs[backtest.trainable(frame, origin, horizon)]
        assert all(horizon.is_closed(int(cutoff), origin) for cutoff in np.unique(used))
        assert origin not in used


def test_rows_of_one_person_are_in_one_fold(frames):
    fold = folds_of(frames[0].profiles, 5)
    for profile in np.unique(frames[0].profiles)[:50]:
        assert len(set(fold[frames[0].profiles == profile])) == 1


def test_a_column_that_only_tells_the_date_is_not_learned_from(frames):
    frame = frames[0]
    names = [column.name for column in frame.columns]
    assert "month" not in [names[at] for at in usable_columns(frame)]


def test_an_artefact_that_is_damaged_or_does_not_score_as_in_training_is_refused(files):
    with pytest.raises(UnusableArtefactError):
        load_scorer({name: content for name, content in files.items() if name != "model.json"})
    with pytest.raises(UnusableArtefactError):
        load_scorer({**files, "model.json": files["model.json"][:-9]})
    told = json.loads(files["model.json"])
    if "model.txt" in files:
        told["probes"]["log_odds"]["model.txt"][0] += 1e-3
        with pytest.raises(NativeError):
            load_scorer({**files, "model.json": json.dumps(told).encode()})
