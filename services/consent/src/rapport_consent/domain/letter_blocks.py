"""The parts of a letter, and how they are set as text and as a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Role = Literal["sender", "subject", "paragraph", "item", "signature"]
"""How a part is set."""

_STYLE: Final = (
    "body{font:1.1rem/1.5 Georgia,serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    ".sender{white-space:pre-line;font-size:.9rem}.edited{border-left:.2rem solid #888;padding-left:.8rem}"
    "h1{font-size:1.25rem}"
)


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a letter.

    Attributes:
        role: How it is set.
        text: Its words.
        place: Name of the marked place it came from; empty where nothing may be edited.
        tells: What it tells, as a code; empty for nothing that a law asks for.
    """

    role: Role
    text: str
    place: str = ""
    tells: str = ""


def text_of(blocks: Iterable[Block]) -> str:
    """Return a letter as plain text."""
    parts = [f"- {block.text}" if block.role == "item" else block.text for block in blocks]
    return "\n\n".join(parts) + "\n"


def page_of(blocks: Iterable[Block], *, title: str, locale: str) -> str:
    """Return a letter as a page of its own, without script; marked places are marked, nothing else can be edited."""
    body = "\n".join(map(_html, _listed(blocks)))
    return (
        f'<!doctype html>\n<html lang="{escape(locale)}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )


def _listed(blocks: Iterable[Block]) -> list[tuple[Block, ...]]:
    """Group neighbouring items, each group a list."""
    groups: list[tuple[Block, ...]] = []
    for block in blocks:
        if block.role == "item" and groups and groups[-1][0].role == "item":
            groups[-1] = (*groups[-1], block)
        else:
            groups.append((block,))
    return groups


def _html(group: tuple[Block, ...]) -> str:
    first = group[0]
    if first.role == "item":
        return f"<ul>{''.join(f'<li>{_lines(block.text)}</li>' for block in group)}</ul>"
    if first.role == "subject":
        return f"<h1>{_lines(first.text)}</h1>"
    kind = " ".join(filter(None, (first.role if first.role != "paragraph" else "", "edited" if first.place else "")))
    named = f' data-place="{escape(first.place)}"' if first.place else ""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}{named}>{_lines(first.text)}</p>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
