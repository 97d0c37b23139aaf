"""Reads the reference data that ships with the service: quiet hours, holidays, zones of countries."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rapport_notification.domain.quiet_hours import QuietHours


def load_json(name: str) -> Any:
    """Return a data file of the package."""
    return json.loads(files("rapport_notification").joinpath("data", name).read_text(encoding="utf-8"))


def load_quiet_hours(own: Path | None = None) -> QuietHours:
    """Return the rules that ship, or those of the installation.

    Args:
        own: File of the installation's rules, in the form of those that ship; None for these.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not in order, which the rules of no release are.
    """
    rules = load_json("quiet_hours.json") if own is None else json.loads(own.read_text(encoding="utf-8"))
    return QuietHours.parse(rules, load_json("holidays.json"), zones_of_countries(), clocks_of)


def zones_of_countries() -> dict[str, tuple[str, ...]]:
    """Return the zones of each country, by ISO 3166 code, from the time zone database."""
    found = defaultdict(list)
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found[country].append(zone)
    return {country: tuple(zones) for country, zones in found.items()}


@lru_cache(maxsize=1024)
def clocks_of(zone: str) -> ZoneInfo:
    """Return a zone of the time zone database that this release was installed with.

    `ZoneInfo(name)` looks at the machine's own database first, which may be years older, or absent.

    Raises:
        KeyError: There is no such zone.
    """
    parts = zone.split("/")
    if not all(part.replace("_", "").replace("-", "").replace("+", "").isalnum() for part in parts):
        raise KeyError(zone)
    try:
        with files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=zone)
    except (OSError, ValueError) as error:
        raise KeyError(zone) from error
