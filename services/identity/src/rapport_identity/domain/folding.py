"""A record as the columns that comparisons, blocking and training look at: the only place where a raw value is read.

Every column is a text or a tuple of texts; None and the empty tuple say that nothing is known. Training in Splink gets
these very columns, so a weight means the same offline and online.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from rapport_identity.domain import identifiers
from rapport_identity.domain.names import fold, roots, scripts, sound, split_suffix, without_titles
from rapport_identity.domain.records import Address, IdentifierKind, Record

Column = str | tuple[str, ...] | None
Columns = Mapping[str, Column]
Values = tuple[Column, ...]
"""All columns of a record, in the order in which they are folded."""

STREET_WORDS: Final[Mapping[str, str]] = {
    "street": "st", "strasse": "st", "str": "st", "road": "rd", "avenue": "av", "ave": "av", "drive": "dr", "drv": "dr",
    "lane": "ln", "court": "ct", "crt": "ct", "place": "pl", "boulevard": "blvd", "circle": "cir", "terrace": "ter",
    "tce": "ter", "crescent": "cr", "cres": "cr", "parkway": "pkwy", "highway": "hwy", "square": "sq", "trail": "trl",
    "close": "cl", "north": "n", "south": "s", "east": "e", "west": "w", "northeast": "ne", "northwest": "nw",
    "southeast": "se", "southwest": "sw", "way": "wy", "saint": "st", "mount": "mt",
}  # fmt: skip
"""Usual short forms of the words of a street."""

_STREET_ENDS: Final = frozenset(STREET_WORDS.values()) - {"n", "s", "e", "w", "ne", "nw", "se", "sw", "mt"}

UNIT_WORDS: Final = frozenset({
    "apt", "apartment", "unit", "suite", "ste", "flat", "no", "number", "aprt", "room", "bldg",
})  # fmt: skip
"""Words beside the number of a unit."""

MAX_TEXT: Final = 200
"""Signs of a value that are looked at; no person's name or street is longer."""

_LETTERS = re.compile(r"[^a-z]+")
_DATE = re.compile(r"^\s*(\d{1,4})[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ](\d{1,4})")
_MONTHS: Final[Mapping[str, int]] = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_ISO_LENGTH = 8


def fold_record(record: Record) -> dict[str, Column]:
    """Return the columns of a record."""
    columns: dict[str, Column] = {}
    columns.update(_name_columns(record))
    columns.update(_date_columns(record.birth_date))
    columns.update(_address_columns(record.address or Address()))
    columns["birth_place"] = _text(record.birth_place)
    columns["employer"] = _text(record.employer)
    columns.update(_identifier_columns(record))
    if _made_of(columns["email_local"], columns["given"], columns["surname"]):
        columns["email_local"] = None
    return columns


def _made_of(local: Column, given: Column, surname: Column) -> bool:
    """Whether what stands before the @ is the name again, with or without its other letters: no evidence beside it."""
    if not (isinstance(local, str) and isinstance(given, str) and isinstance(surname, str)):
        return False
    letters, family = _LETTERS.sub("", local), surname.replace(" ", "")
    return letters in {one + other for g in (given, given[0], "") for one, other in ((g, family), (family, g))}


def _text(value: str | None) -> str | None:
    folded = fold(value[:MAX_TEXT]) if value else None
    return None if folded in identifiers.PLACEHOLDERS else folded


def _name_columns(record: Record) -> dict[str, Column]:
    given_words = without_titles((_text(record.given_name) or "").split())
    middle_words = without_titles((_text(record.middle_names) or "").split())
    surname_words = without_titles((_text(record.surname) or "").split())
    surname_words, suffix = split_suffix(surname_words)
    if suffix is None:
        given_words, suffix = split_suffix(given_words)
    given = given_words[0] if given_words else None
    rest = given_words[1:] + middle_words
    return {
        "given": given,
        "given_roots": roots(given) if given and len(given) > 1 else (),
        "given_letter": given if given and len(given) == 1 else None,
        "given_initial": given[0] if given else None,
        "middle": " ".join(rest) or None,
        "middle_roots": tuple(sorted({root for word in rest if len(word) > 1 for root in roots(word)})),
        "middle_initial": rest[0][0] if rest else None,
        "surname": " ".join(surname_words) or None,
        "surname_parts": tuple(sorted({word for word in surname_words if len(word) > 2})),
        "surname_sound": sound(surname_words[-1]) if surname_words and surname_words[-1].isascii() else None,
        "suffix": suffix,
        "name_scripts": scripts(" ".join((*given_words, *middle_words, *surname_words))),
    }


def parse_date(text: str | None) -> tuple[str, str, str] | None:
    """Return year, month and day as digits, also where they make no date; None if they cannot be told apart.

    Eight digits are year, month, day. Where day and month could be either, the first is the month; a comparison
    level for interchanged parts catches the other reading. Two digits of a year are taken as the last hundred years'
    before 2030 by a fixed pivot, so that the result never depends on the day it is computed.
    """
    if not text:
        return None
    bare = text.strip()
    if len(bare) == _ISO_LENGTH and bare.isdigit():
        return bare[:4], bare[4:6], bare[6:]
    found = _DATE.match(bare)
    words = bare.split() if found is None else []
    if found is None:
        if len(words) == 3 and words[0][:3].casefold() in _MONTHS:
            first, second, third = words[1].strip(","), words[0], words[2]
        else:
            return None
    else:
        first, second, third = found.groups()
    if second[:3].casefold() in _MONTHS:
        day, month, year = first, str(_MONTHS[second[:3].casefold()]), third
    elif second.isalpha():
        return None
    elif len(first) == 4:
        year, month, day = first, second, third
    else:
        month, day, year = first, second, third
        if int(month) > 12 >= int(day):
            month, day = day, month
    if len(year) <= 2:
        year = str(1900 + int(year) if int(year) >= 30 else 2000 + int(year))
    return year.zfill(4), month.zfill(2)[:2], day.zfill(2)[:2]


def _date_columns(text: str | None) -> dict[str, Column]:
    parts = parse_date(text)
    if parts is None:
        return dict.fromkeys(("dob", "dob_turned", "birth_year", "year_month", "year_day", "month_day"))
    year, month, day = parts
    return {
        "dob": f"{year}-{month}-{day}",
        "dob_turned": f"{year}-{day}-{month}",
        "birth_year": year,
        "year_month": f"{year}-{month}",
        "year_day": f"{year}-{day}",
        "month_day": f"{month}-{day}",
    }


def _address_columns(address: Address) -> dict[str, Column]:
    words = (_text(address.street) or "").split()
    house = _text(address.house)
    if house is None and len(words) > 1 and words[0][0].isdigit():
        house, words = words[0], words[1:]
    elif house is None and (at := _after_building(words)):
        house, words = words[at], words[at + 1 :]
    street = " ".join(STREET_WORDS.get(word, word) for word in words) or None
    box = _text(address.po_box)
    if box:
        box = "box " + box.split()[-1]
    unit_words = [word for word in (_text(address.unit) or "").split() if word not in UNIT_WORDS]
    whole = " ".join(part for part in (house, street) if part) if street else box
    postcode, area = _postcode(address.postcode)
    return {
        "address": whole,
        "house": house,
        "street": street,
        "unit": " ".join(unit_words) or None,
        "city": _text(address.city),
        "region": _text(address.region),
        "postcode": postcode,
        "postcode_area": area,
    }


def _after_building(words: Sequence[str]) -> int:
    """Return where the number stands if a building's name comes before number and street; 0 if none does."""
    if not words or STREET_WORDS.get(words[-1], words[-1]) not in _STREET_ENDS:
        return 0
    return next((at for at, word in enumerate(words[:-2]) if at and word.isdigit()), 0)


def _postcode(text: str | None) -> tuple[str | None, str | None]:
    """Return the whole code and its leading part; one sign repeated is a placeholder."""
    words = (_text(text) or "").split()
    whole = "".join(words)
    if len(set(whole)) < 2:
        return None, None
    return whole, words[0] if len(words) > 1 else whole[:3]


def _identifier_columns(record: Record) -> dict[str, Column]:
    emails = identifiers.distinct(identifiers.email(text) for text in record.emails)
    phones = identifiers.distinct(identifiers.phone(text, record.region) for text in record.phones)
    issued: list[str | None] = []
    accounts: list[str | None] = []
    devices: list[str | None] = []
    for identifier in record.identifiers:
        kind, value = identifier.kind, identifiers.exact(identifier)
        if kind is IdentifierKind.NATIONAL_ID:
            issued.append(value)
        elif kind is IdentifierKind.ACCOUNT:
            accounts.append(value)
        else:
            devices.append(value)
    national = identifiers.distinct(issued)
    return {
        "emails": emails,
        "email": emails[0] if len(emails) == 1 else None,
        "email_local": emails[0].split("@")[0] if len(emails) == 1 else None,
        "phones": phones,
        "phone_tails": identifiers.distinct(value[-7:] for value in phones),
        "national_ids": national,
        "national_id": national[0] if len(national) == 1 else None,
        "national_spaces": identifiers.distinct(value.split(":")[0] for value in national),
        "accounts": identifiers.distinct(accounts),
        "devices": identifiers.distinct(devices),
    }
