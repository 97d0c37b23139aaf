from __future__ import annotations

import json
from pathlib import Path

from rapport_testing.prove import Progress, Scale, record_figures


def test_each_scale_picks_its_size() -> None:
    assert Scale("small").pick(small=5, full=100) == 5
    assert Scale("full").pick(small=5, full=100) == 100


def test_figures_are_merged_into_one_file(tmp_path: Path) -> None:
    record_figures(tmp_path / "prove", "kills", {"kills": 3, "lost": 1})
    path = record_figures(tmp_path / "prove", "kills", {"lost": 0, "doubled": 0})
    assert json.loads(path.read_text()) == {"kills": 3, "lost": 0, "doubled": 0}


def test_a_bar_reports_each_tenth_where_there_is_no_terminal(tmp_path: Path) -> None:
    written: list[str] = []
    bar = Progress(50, "writes", written.append, is_terminal=False)
    for _ in range(50):
        bar.advance()
    assert len(written) == 10
    assert written[0].startswith("writes [###")
    assert "50/50" in written[-1]


def test_a_bar_on_a_terminal_repaints_one_line_and_ends_it() -> None:
    written: list[str] = []
    bar = Progress(2, "writes", written.append, is_terminal=True)
    bar.advance(2)
    assert "".join(written).startswith("\r")
    assert "".join(written).endswith("\n")
