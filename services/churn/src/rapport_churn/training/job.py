"""What a training does: the process `python -m rapport_churn.training FOLDER`.

The folder holds `header.json` and the events; what is made is put there too. Progress is told as lines of JSON on
standard output, the last of which names the result or the refusal. The process runs at the lowest priority and ends
when its parent closes standard input. What a phase has finished is kept in the folder: started again, it goes on there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from rapport_churn.domain.drift import Distribution
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.labels import Horizon, PopulationRule, TooFewGapsError, closed_cutoffs, derive
from rapport_churn.training.artefact import Scope, write_artefact
from rapport_churn.training.boosting import Settings
from rapport_churn.training.card import CARD, MEMBERS, REFERENCE, Origins, judged_of, members_of, write_card
from rapport_churn.training.frame import Column, Frame
from rapport_churn.training.log import EventLog
from rapport_churn.training.looking import Effort
from rapport_churn.training.offline import rebuild
from rapport_churn.training.recipe import NotLearnableError, learn
from rapport_churn.training.spending import learn_spending

HEADER: Final = "header.json"
EVENTS: Final = "events"
ARTEFACT: Final = "artefact"
JUDGED: Final = "judged.npz"
_BUILT: Final = "built"
_LOWEST_PRIORITY: Final = 19
_EVERY_DAYS: Final = 14
_STEPS: Final = 1000
_BAG: Final = 3
_SEEDS: Final = 1 << 31


@dataclass(frozen=True)
class Header:
    """What is to be trained.

    Attributes:
        as_of: What has arrived by then is known, in microseconds.
        seed: Of the salt and the draws; the same seed and events give the same files.
        arrival_assumed_before: What arrived before was loaded from history, in microseconds.
        redirects: The current id of each id that another one stands for.
        erased: Ids of which nothing may be used.
        memory_mb: Memory for reading events, before they spill to the folder.
        effort: Overrides of `Effort`, by name; `bag` is how many fits are put together.
        like: Settings of trees to take instead of searching, and their rounds.
    """

    as_of: int
    seed: int = 0
    arrival_assumed_before: int = 0
    redirects: Mapping[str, str] | None = None
    erased: tuple[str, ...] = ()
    memory_mb: int = 1024
    effort: Mapping[str, Any] | None = None
    like: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> Header:
        """Read the header of a folder.

        Raises:
            OSError: There is none.
            ValueError: It is damaged.
            TypeError: It names what does not exist.
        """
        told = json.loads((folder / HEADER).read_bytes())
        return cls(**{**told, "erased": tuple(told.get("erased", ()))})


class Refused(Exception):  # noqa: N818 - not an error of the program
    """The events teach no model; the reason is for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def tell(**said: Any) -> None:
    """Tell the parent, one line of JSON."""
    sys.stdout.write(json.dumps(said, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def told(phase: str, share: float) -> None:
    """Tell how far a phase is."""
    tell(phase=phase, done=round(share * _STEPS), total=_STEPS)


def train(folder: Path) -> Path:
    """Train on the events of a folder and return the folder of the artefact; what exists already is not made anew.

    Raises:
        Refused: TOO_FEW_GAPS, NOT_LEARNABLE.
    """
    done = folder / ARTEFACT
    if done.is_dir():
        return done
    header = Header.read(folder)
    built = folder / _BUILT
    if not (built / "about.json").is_file():
        _build(folder, header, built)
    about = json.loads((built / "about.json").read_bytes())
    frame, newest = _load(built / "frame.npz", about), _load(built / "newest.npz", about)
    horizon, population = Horizon(**about["horizon"]), PopulationRule(**about["population"])
    scope = Scope(about["feature_set"], horizon, population)
    try:
        effort = Effort(**_effort(header))
        # A log so large that people were drawn is searched by a race.
        effort = replace(effort, race=len(about["people"]) >= effort.people)
        learned = learn(frame, newest, horizon, effort, told)
    except NotLearnableError:
        raise Refused("NOT_LEARNABLE") from None
    told("fitting", 0.5)
    spending = learn_spending(frame, newest, learned.rhythm, horizon, learned.used)
    told("registering", 0.0)
    files = write_artefact(frame, newest, learned, spending, scope)
    salt = sha256(json.dumps([header.seed, header.as_of, about["data"]]).encode()).digest()
    members = members_of([frame, newest], about["people"], salt)
    origins = Origins(about["data"], header.as_of, header.arrival_assumed_before, header.seed, salt.hex())
    files[CARD] = write_card(frame, learned, spending, scope, origins, members)
    files[MEMBERS] = members.dump()
    files[REFERENCE] = _reference(newest)
    if (judged := judged_of(frame, learned)) is not None:
        (folder / JUDGED).write_bytes(judged.dump())
    making = folder / f"{ARTEFACT}.new"
    making.mkdir(exist_ok=True)
    for name, content in files.items():
        (making / name).write_bytes(content)
    making.rename(done)
    return done


def _effort(header: Header) -> dict[str, Any]:
    """Return the effort: the seeds of the bag follow from the seed of the training."""
    given = dict(header.effort or {})
    if header.like is not None:
        given["like"] = (Settings(**header.like["settings"]), int(header.like["rounds"]))
    bag = int(given.pop("bag", _BAG))
    return {**given, "seeds": tuple((header.seed + at) % _SEEDS for at in range(1, bag + 1))}


def _build(folder: Path, header: Header, built: Path) -> None:
    """Read the events, and keep the rows to learn from."""
    files = sorted(path for path in (folder / EVENTS).iterdir() if path.is_file())
    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    for left_over in spill.iterdir():
        left_over.unlink()
    digests = {}
    with EventLog(spill, header.memory_mb) as log:
        for number, path in enumerate(files):
            told("reading", number / len(files))
            log.add_file(path)
            with path.open("rb") as file:
                digests[path.name] = file_digest(file, "sha256").hexdigest()
        effort = Effort(**_effort(header))
        log.settle(header.redirects, header.erased, header.arrival_assumed_before, effort.people)
        told("features", 0.0)
        now = header.as_of
        try:
            horizon, population = derive(log.gaps(now), log.delays(now))
        except TooFewGapsError:
            raise Refused("TOO_FEW_GAPS") from None
        cutoffs = closed_cutoffs(log.span()[0] + horizon.days * DAY // 2, now, horizon, _EVERY_DAYS)[-effort.cutoffs :]
        rows = effort.rows
        frame = rebuild(
            log, DEFAULT_FEATURES, cutoffs, horizon,
            now=now, population=population, most_rows=rows, progress=lambda share: told("features", 0.9 * share),
        )  # fmt: skip
        newest = rebuild(log, DEFAULT_FEATURES, [now], horizon, now=now, population=population, most_rows=rows)
        people = log.people()
    built.mkdir(exist_ok=True)
    _save(built / "frame.npz", frame)
    _save(built / "newest.npz", newest)
    about = {
        "columns": newest.columns,
        "feature_set": DEFAULT_FEATURES.digest,
        "horizon": {field.name: getattr(horizon, field.name) for field in fields(horizon)},
        "population": {field.name: getattr(population, field.name) for field in fields(population)},
        "data": digests,
        "people": people,
    }
    # Written last: it says that the rest is whole.
    partial = built / "about.json.new"
    partial.write_text(json.dumps(about), encoding="utf-8")
    partial.rename(built / "about.json")
    for left_over in spill.iterdir():
        left_over.unlink()


def _save(path: Path, frame: Frame) -> None:
    arrays = {field.name: getattr(frame, field.name) for field in fields(frame) if field.name != "columns"}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _load(path: Path, about: Mapping[str, Any]) -> Frame:
    columns = tuple(Column(*each) for each in about["columns"])
    with np.load(path, allow_pickle=False) as arrays:
        return Frame(columns=columns, **{name: arrays[name] for name in arrays.files})


def _reference(newest: Frame) -> bytes:
    features = [
        Distribution.of(column.name, newest.values[:, at]).as_json() for at, column in enumerate(newest.columns)
    ]
    return json.dumps(features, separators=(",", ":")).encode()


def main() -> int:
    """Train, and tell how it went."""
    folder = Path(sys.argv[1])
    os.nice(_LOWEST_PRIORITY)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        tell(result=str(train(folder)))
    except Refused as refusal:
        tell(refused=refusal.reason)
        return 1
    return 0


def _end_with_parent() -> None:
    # Not by the buffered reader: the interpreter cannot end while a thread waits in it.
    while os.read(sys.stdin.fileno(), 1 << 16):
        pass
    os._exit(1)
