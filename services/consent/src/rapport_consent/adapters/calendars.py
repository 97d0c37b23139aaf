"""Reads calendars: those that ship with the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from rapport_consent.domain.calendars import Shift, WorkingDays
from rapport_consent.domain.errors import ERRORS


@dataclass(frozen=True)
class Calendars:
    """Working days and time zones by market; a subdivision without its own has those of its country."""

    days: Mapping[str, WorkingDays]
    zones: Mapping[str, ZoneInfo]

    def working_days(self, market: str) -> WorkingDays:
        """Return the working days of a market: Mondays to Fridays where no holidays are known.

        Raises:
            RapportError: LAW_UNKNOWN.
        """
        return self.days[self._key(market)]

    def zone(self, market: str) -> ZoneInfo:
        """Return the time zone in which the days of a market are counted.

        Raises:
            RapportError: LAW_UNKNOWN.
        """
        return self.zones[self._key(market)]

    def _key(self, market: str) -> str:
        for each in (market, market[:2]):
            if each in self.days:
                return each
        raise ERRORS.error("LAW_UNKNOWN", "there is no calendar of this market", field="market")


def read_calendars(document: str | bytes) -> Calendars:
    """Return the calendars of a document.

    Raises:
        ValueError: It does not have their form.
        KeyError: A calendar has no zone.
    """
    content = json.loads(document)
    version, markets = content["version"], content["markets"]
    return Calendars(
        {market: _read(f"{market} {version}", data) for market, data in markets.items()},
        {market: ZoneInfo(data["zone"]) for market, data in markets.items()},
    )


def shipped_calendars() -> Calendars:
    """Return the calendars that come with the service."""
    return read_calendars(files("rapport_consent.domain").joinpath("data/calendars.json").read_bytes())


def _read(name: str, data: Mapping[str, Any]) -> WorkingDays:
    return WorkingDays(
        name=name if data.keys() - {"zone"} else f"{name}, weekends only",
        fixed=frozenset((int(text[:2]), int(text[3:])) for text in data.get("fixed", ())),
        easter=frozenset(data.get("easter", ())),
        nth=tuple((month, weekday, which) for month, weekday, which in data.get("nth", ())),
        after_nth=tuple((month, weekday, which) for month, weekday, which in data.get("after_nth", ())),
        shift=Shift(data.get("shift", "none")),
        days=frozenset(map(date.fromisoformat, data.get("days", ()))),
        worked=frozenset(map(date.fromisoformat, data.get("worked", ()))),
    )
