"""What the demo told, on one page: figures first, then scene by scene with every check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from rapport_local.demo.story import Chart, Check, Decided, Lines, Part, Rows, Said, Scene, Story, Timeline
from rapport_local.reports.page import (
    Html,
    checks,
    contents,
    figure,
    folded,
    lines,
    notes,
    page,
    pairs,
    paragraph,
    part,
    section,
    table,
    text,
    tiles,
    verdict,
)
from rapport_local.reports.plots import shares, timeline

_TITLE: Final = "Rapport: what a customer allows is what happens, and it can be proven"


def demo_page(story: Story, following: Sequence[tuple[str, str]]) -> str:
    """Return the page of a telling.

    Args:
        story: What was told.
        following: Commands to try next, each with what it shows.
    """
    chapters = [(title, list(scenes)) for title, scenes in groupby(story.scenes, lambda each: each.chapter)]
    sections = [
        part(_anchor(title), title, *(_scene(number, scene) for number, scene in _numbered(story, scenes)))
        for title, scenes in chapters
    ]
    following_rows = [[Html(f"<code>{text(command)}</code>"), text(meaning)] for command, meaning in following]
    return page(
        _TITLE,
        f"The main job on real PostgreSQL, real NATS and five services, told in {len(story.scenes)} scenes and "
        f"{story.took_s:.0f} seconds. Everybody in it is made up.",
        [
            tiles((each.name, each.value, each.note) for each in story.figures),
            section("In short", notes([_held(story), *_broken(story)])),
            contents((_anchor(title), title) for title, _ in chapters),
            *sections,
            part("next", "Where to look next", table(["try", "it shows"], following_rows)),
        ],
    )


def _held(story: Story) -> Html:
    total = len(story.checks)
    return verdict(not story.broken, f"{story.held} of {total} checks held.")


def _broken(story: Story) -> list[Html]:
    return [verdict(False, f"Did not hold: {what}") for what in story.broken]


def _numbered(story: Story, scenes: Iterable[Scene]) -> Iterator[tuple[int, Scene]]:
    return ((story.scenes.index(scene) + 1, scene) for scene in scenes)


def _scene(number: int, scene: Scene) -> Html:
    shown = {Check: _checks, Decided: _decided}
    content = [shown.get(kind, _each)(parts) for kind, parts in groupby(scene.parts, type)]
    return folded(f"{number}. {scene.title}", f"{scene.took_s:.1f} s", *content)


def _each(parts: Iterable[Part]) -> Html:
    return Html("".join(_part(each) for each in parts))


def _checks(parts: Iterable[Part]) -> Html:
    return checks((each.holds, each.what) for each in parts if isinstance(each, Check))


def _decided(parts: Iterable[Part]) -> Html:
    rows = [
        [
            text(each.who),
            text(each.purpose),
            verdict(each.answer == "PERMIT", each.answer),
            text(each.reason),
            text(each.basis),
        ]
        for each in parts
        if isinstance(each, Decided)
    ]
    return table(["who", "purpose", "answer", "because", "legal basis"], rows)


def _part(shown: Part) -> Html:
    match shown:
        case Said(said):
            return paragraph(said)
        case Lines(title, kept):
            return lines(kept, title)
        case Rows(rows, heading):
            return _table(rows, heading=heading)
        case Chart(title, bars):
            return figure(shares([(each.name, each.value, each.label) for each in bars], title=title), title)
        case Timeline(title, lanes):
            return figure(timeline(lanes, title=title), title)
    return Html("")


def _table(rows: Sequence[Sequence[str]], *, heading: bool) -> Html:
    cells = [[text(each) for each in row] for row in rows]
    return table(rows[0], cells[1:]) if heading else pairs(cells)


def _anchor(title: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in title.lower())
