"""Where the owner of a telephone number may be: what the number says, which is little.

A number of a line in a house is where the house is. Any other moves with its owner: it stands for every zone of every
country that shares its calling code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import phonenumbers
from phonenumbers import timezone

from rapport_notification.domain.whereabouts import Evidence

SOURCE: Final = "phone"

_UNKNOWN: Final = "Etc/Unknown"


def evidence_of(number: str, zones: Mapping[str, tuple[str, ...]]) -> Evidence:
    """Return where the owner of a number may be.

    Args:
        number: In E.164.
        zones: Of each country.

    Returns:
        Evidence without a candidate for what is no number.
    """
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return Evidence(SOURCE, frozenset())
    if phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.FIXED_LINE:
        country = phonenumbers.region_code_for_number(parsed) or ""
        there = [zone for zone in timezone.time_zones_for_number(parsed) if zone != _UNKNOWN]
        if there:
            return Evidence(SOURCE, frozenset((zone, country) for zone in there))
    countries = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    return Evidence(SOURCE, frozenset((zone, country) for country in countries for zone in zones.get(country, ())))
