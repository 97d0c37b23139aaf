"""Full scale, resumable: only tests that have a full size are run, less those that passed at this commit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

_NOTHING_TO_RUN: Final = pytest.ExitCode.NO_TESTS_COLLECTED


class Resume:
    """A pytest plugin, registered at full scale.

    Args:
        root: The checkout; what has passed is kept in its `build/prove`.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / "build" / "prove" / "passed.json"
        self._commit = _commit(root)
        self._passed = self._read()
        self._left_out = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what has a full size and was not proven yet."""
        wanted = [item for item in items if has_full_size(item)]
        kept = [item for item in wanted if item.nodeid not in self._passed]
        self._left_out = len(items) - len(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what passed, at once: the run may be interrupted."""
        if report.when != "call" or not report.passed or self._commit is None:
            return
        self._passed = {*self._read(), report.nodeid}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({"commit": self._commit, "passed": sorted(self._passed)}, indent=2))
        partial.replace(self._file)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Count it as well when nothing was left to run."""
        if exitstatus == _NOTHING_TO_RUN and self._left_out:
            session.exitstatus = pytest.ExitCode.OK

    def _read(self) -> set[str]:
        try:
            kept: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return set()
        return set(kept["passed"]) if kept.get("commit") == self._commit else set()


def has_full_size(item: pytest.Item) -> bool:
    """Whether a test takes its size from the scale: by the fixture, or as a property tried on more examples."""
    return "scale" in getattr(item, "fixturenames", ()) or bool(
        getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    )


def _commit(root: Path) -> str | None:
    """The commit that is proven; None where the tree differs from it, so that nothing is taken as proven."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)  # noqa: S603
        return done.stdout.strip()

    try:
        return None if git("status", "--porcelain") else git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return None
