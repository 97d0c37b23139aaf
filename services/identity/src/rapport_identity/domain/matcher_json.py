"""A matcher as JSON and back: plain data, no code, the same bytes for the same matcher."""

import json
from hashlib import sha256
from typing import Any as Json
from typing import Final

from rapport_identity.domain.comparisons import Comparison, Level
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.splink_conditions import parse_condition

FORMAT: Final = 1


def dump(matcher: Matcher) -> str:
    """Return the matcher as JSON; conditions are written in SQL, the form that Splink is given."""
    return json.dumps(
        {
            "format": FORMAT,
            "prior": matcher.prior,
            "household_odds": matcher.household_odds,
            "join": matcher.join,
            "fracture": matcher.fracture,
            "largest_component": matcher.largest_component,
            "comparisons": [
                {"name": comparison.name, "levels": [_level(level) for level in comparison.levels]}
                for comparison in matcher.comparisons
            ],
            "frequencies": matcher.frequencies,
            "unseen": matcher.unseen,
        },
        indent=1,
        sort_keys=True,
    )


def digest(matcher: Matcher) -> bytes:
    """Return the SHA-256 over all that decides: the same digest joins the same records."""
    return sha256(dump(matcher).encode()).digest()


def load(text: str) -> Matcher:
    """Return the matcher of a JSON text.

    Raises:
        ValueError: It is no matcher, or one of a format that this release does not know.
        UntranslatableModelError: A condition is not made of the known parts.
    """
    raw = json.loads(text)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f"not a matcher of format {FORMAT}")
    try:
        return Matcher(
            comparisons=tuple(
                Comparison(comparison["name"], tuple(_read_level(level) for level in comparison["levels"]))
                for comparison in raw["comparisons"]
            ),
            prior=raw["prior"],
            household_odds=raw["household_odds"],
            frequencies=raw["frequencies"],
            unseen=raw["unseen"],
            join=raw["join"],
            fracture=raw["fracture"],
            largest_component=raw["largest_component"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a matcher: {error!r}") from error


def _level(level: Level) -> dict[str, Json]:
    raw = {
        "label": level.label,
        "condition": level.condition.sql(),
        "m": level.m,
        "u": level.u,
        "h": level.h,
        "term": level.term,
        "term_weight": level.term_weight if level.term else None,
        "term_floor": level.term_floor or None,
        "term_u": level.term_u,
        "veto": level.veto or None,
    }
    return {name: value for name, value in raw.items() if value is not None}


def _read_level(raw: dict[str, Json]) -> Level:
    return Level(
        raw["label"],
        parse_condition(raw["condition"]),
        m=raw.get("m"),
        u=raw.get("u"),
        h=raw.get("h"),
        term=raw.get("term"),
        term_weight=raw.get("term_weight", 1.0),
        term_floor=raw.get("term_floor", 0.0),
        term_u=raw.get("term_u"),
        veto=raw.get("veto", False),
    )
