"""Time zones by name, and those of a market: which country has which is in the time zone database itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_COUNTRY: Final = 2


def zones_of(names: Sequence[str], markets: Sequence[str]) -> tuple[tzinfo, ...]:
    """Return where somebody may be: the zones that are named, else those of the countries of the markets.

    A name that is in no database is passed over, as is a market of which no country is known.
    """
    named = [zone for name in names if (zone := _zone(name)) is not None]
    return tuple(named) or tuple(
        dict.fromkeys(zone for market in markets for zone in _of_country().get(market[:_COUNTRY], ()))
    )


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def _of_country() -> Mapping[str, tuple[ZoneInfo, ...]]:
    found: dict[str, list[ZoneInfo]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            if (zone := _zone(name)) is not None:
                found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}
