"""What consent says in the message that goes ahead of a letter is what notification's template of it asks for."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from rapport_consent.domain.letters import ANNOUNCED, LetterKind


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    """The templates that ship, by name."""
    data = files("rapport_notification").joinpath("data/templates.json").read_text(encoding="utf-8")
    return {each["template_id"]: each["terms"] for each in json.loads(data)["templates"]}


@pytest.mark.parametrize("kind", ANNOUNCED)
def test_each_letter_is_announced_with_what_its_template_asks_for(
    kind: LetterKind, shipped: dict[str, dict[str, Any]]
) -> None:
    terms = shipped[f"privacy_{kind.lower()}"]
    assert set(terms["variables"]) == {"request_id", *ANNOUNCED[kind]}
    assert set(terms["texts"]) == set(shipped["privacy_code"]["texts"])
