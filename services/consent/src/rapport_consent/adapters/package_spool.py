"""What is handed to the process that renders a package, in files: the plan, and the records of each store.

The folder holds `plan.json`, one file of lines per store, and afterwards `package.zip` and `rendered.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final, Self

from rapport_consent.domain.packages import Origin, PackageKind, PackagePlan, PackageRecord, StoreInfo, StoreTally
from rapport_consent.domain.receipts import Controller, time_text

PLAN: Final = "plan.json"
ARCHIVE: Final = "package.zip"
RENDERED: Final = "rendered.json"
LETTER: Final = "letter.pdf"
"""The letter that goes with a package, in the folder and in the archive."""

_OPEN_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file in the archive.

    Attributes:
        path: Its path there.
        sha256: Its digest, in hexadecimal.
        size: Its length in bytes.
        records: Records in it; 0 for a page.
    """

    path: str
    sha256: str
    size: int
    records: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was rendered.

    Attributes:
        files: The files in the archive.
        tallies: What was found, store by store.
        peak_kib: Most memory that the process which rendered had resident; 0 where the system does not say.
    """

    files: list[RenderedFile]
    tallies: list[StoreTally]
    peak_kib: int


class Spool:
    """Writes records to the file of their store as they come; a context manager.

    Args:
        folder: An empty folder of its own.
        plan: What the package says of itself.
    """

    def __init__(self, folder: Path, plan: PackagePlan) -> None:
        self._folder = folder
        self._plan = plan
        self._files: dict[tuple[str, str], IO[str]] = {}
        self._numbers = {(store.participant, store.store): number for number, store in enumerate(plan.stores)}
        self._unplanned: list[StoreInfo] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def take(self, record: PackageRecord) -> None:
        """Write a record."""
        place = (record.participant, record.store)
        file = self._files.get(place) or self._file(place)
        line = [
            record.record_id,
            time_text(record.recorded_at) if record.recorded_at else "",
            record.json,
            list(record.redacted),
        ]
        file.write(json.dumps(line) + "\n")

    def finish(self) -> None:
        """Write the plan, once all records are taken."""
        self.__exit__()
        plan = _plan_json(self._plan, (*self._plan.stores, *self._unplanned))
        (self._folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")

    def _file(self, place: tuple[str, str]) -> IO[str]:
        """Open the file of a store; a store that its participant did not declare is planned for now."""
        if place not in self._numbers:
            self._numbers[place] = len(self._numbers)
            self._unplanned.append(StoreInfo(*place))
        if len(self._files) >= _OPEN_FILES:
            self._files.pop(next(iter(self._files))).close()
        path = records_file(self._folder, self._numbers[place])
        self._files[place] = opened = path.open("a", encoding="utf-8")
        assert isinstance(opened, TextIOWrapper)
        return opened


def records_file(folder: Path, number: int) -> Path:
    """Return where the records of a store are, by its place in the plan."""
    return folder / f"records-{number}.jsonl"


def read_plan(folder: Path) -> PackagePlan:
    """Return the plan in a folder."""
    fields = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    stores = tuple(_store(each) for each in fields["stores"])
    return PackagePlan(
        request_id=fields["request_id"],
        kind=PackageKind(fields["kind"]),
        locale=fields["locale"],
        made_at=datetime.fromisoformat(fields["made_at"]),
        controller=_controller(fields["controller"]),
        stores=stores,
        authority=tuple(fields["authority"]),
        purposes=fields["purposes"],
        history=tuple((datetime.fromisoformat(at), words) for at, words in fields["history"]),
    )


def write_rendered(folder: Path, rendered: Rendered) -> None:
    """Say what was rendered."""
    said = {
        "files": [[file.path, file.sha256, file.size, file.records] for file in rendered.files],
        "tallies": [
            [each.participant, each.store, each.records, dict(each.withheld), each.redacted, each.excluded]
            for each in rendered.tallies
        ],
        "peak_kib": rendered.peak_kib,
    }
    (folder / RENDERED).write_text(json.dumps(said), encoding="utf-8")


def read_rendered(folder: Path) -> Rendered:
    """Return what was rendered."""
    said = json.loads((folder / RENDERED).read_text(encoding="utf-8"))
    files = [RenderedFile(*each) for each in said["files"]]
    return Rendered(files, [StoreTally(*each) for each in said["tallies"]], said["peak_kib"])


def _plan_json(plan: PackagePlan, stores: tuple[StoreInfo, ...]) -> dict[str, Any]:
    controller = plan.controller
    return {
        "request_id": plan.request_id,
        "kind": plan.kind.value,
        "locale": plan.locale,
        "made_at": plan.made_at.isoformat(),
        "controller": {name: getattr(controller, name) for name in Controller.__dataclass_fields__},
        "stores": [
            {
                "participant": store.participant,
                "store": store.store,
                "category": store.category,
                "origin": store.origin.value,
                "purposes": store.purposes,
                "recipients": store.recipients,
                "kept_for_s": store.kept_for.total_seconds() if store.kept_for is not None else None,
                "source": store.source,
            }
            for store in stores
        ],
        "authority": plan.authority,
        "purposes": dict(plan.purposes),
        "history": [[at.isoformat(), words] for at, words in plan.history],
    }


def _controller(fields: dict[str, Any]) -> Controller:
    return Controller(**{**fields, "recipients": tuple(fields["recipients"]), "authority": tuple(fields["authority"])})


def _store(fields: dict[str, Any]) -> StoreInfo:
    kept_for_s = fields["kept_for_s"]
    return StoreInfo(
        participant=fields["participant"],
        store=fields["store"],
        category=fields["category"],
        origin=Origin(fields["origin"]),
        purposes=tuple(fields["purposes"]),
        recipients=tuple(fields["recipients"]),
        kept_for=timedelta(seconds=kept_for_s) if kept_for_s is not None else None,
        source=fields["source"],
    )
