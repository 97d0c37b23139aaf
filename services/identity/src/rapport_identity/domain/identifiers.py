"""E-mail addresses, telephone numbers, other exact identifiers: normalised, checked, known when they name nobody."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from rapport_identity.domain.records import Identifier

PLACEHOLDERS: Final = frozenset({
    "0", "1", "-", "n a", "na", "nan", "none", "null", "nil", "undefined", "unknown", "anonymous", "guest", "test",
    "tester", "object object", "not available", "not provided", "not applicable", "no name", "noname", "xxx", "xxxx",
    "tbd", "tbc", "empty", "missing", "customer", "user", "admin", "asdf", "false", "true",
})  # fmt: skip
"""Folded values that forms and programs leave where nothing was known."""

ROLE_MAILBOXES: Final = frozenset({
    "abuse", "accounts", "admin", "administrator", "billing", "booking", "bookings", "contact", "enquiries", "finance",
    "hello", "help", "helpdesk", "hr", "info", "information", "jobs", "mail", "marketing", "no-reply", "noreply",
    "office", "orders", "postmaster", "reception", "reservations", "sales", "secretary", "service", "support", "team",
    "webmaster",
})  # fmt: skip
"""Local parts of mailboxes that an office reads; RFC 2142 and common usage."""

EXAMPLE_DOMAINS: Final = frozenset({"example.com", "example.org", "example.net", "test.com", "none.com", "invalid.com"})
"""Domains that stand for no mailbox; RFC 2606 and common usage."""

MAX_LENGTH: Final = 320
_SQUEEZED: Final = frozenset(value.replace(" ", "") for value in PLACEHOLDERS)
_PLAIN: Final = re.compile(
    r"(?P<local>[a-z0-9]{1,30}(?:[._-][a-z0-9]{1,30})?)(?:\+[a-z0-9]{1,30})?"
    r"@(?P<domain>(?:[a-z0-9]{1,30}\.){1,3}(?!(?:arpa|invalid|local|localhost|onion|test)$)[a-z]{2,10})"
)
"""Addresses that are right at a glance: most of all, at a twentieth of the cost of looking closely."""

RECENT: Final = 2000
"""How many identifiers are kept as they were read last: that of one record is asked for several times."""

_ANGLE = re.compile(r"<([^<>]*)>\s*$")
_DIGITS = re.compile(r"\D+")
_SIGNS = re.compile(r"[^0-9a-z]+")


@lru_cache(RECENT)
def email(text: str) -> str | None:
    """Return the address in its usual form, or None if it is none or names nobody.

    A display name is cut off and a subaddress (`+tag`) too: both reach the same person. No name server is asked.
    """
    found = _ANGLE.search(text)
    candidate = (found.group(1) if found else text).strip()
    if len(candidate) > MAX_LENGTH:
        return None
    if (plain := _PLAIN.fullmatch(candidate)) is not None:
        local, domain = plain["local"], plain["domain"]
    else:
        try:
            checked = validate_email(candidate, check_deliverability=False, allow_smtputf8=True)
        except EmailNotValidError:
            return None
        local = checked.local_part.casefold().split("+", 1)[0]
        domain = (checked.ascii_domain or checked.domain).casefold()
    if domain in EXAMPLE_DOMAINS or local in PLACEHOLDERS or not local:
        return None
    return f"{local}@{domain}"


def is_role_mailbox(address: str) -> bool:
    """Whether a normalised address is that of an office rather than of a person."""
    return address.split("@", 1)[0] in ROLE_MAILBOXES


@lru_cache(RECENT)
def phone(text: str, region: str | None = None) -> str | None:
    """Return the number as E.164, or as bare digits where no country makes sense of it; None if it names nobody.

    Args:
        text: As it was written.
        region: Two-letter country whose rules hold for a number without a prefix.
    """
    if len(text) > MAX_LENGTH:
        return None
    digits = _DIGITS.sub("", unicodedata.normalize("NFKC", text))
    if not 6 <= len(digits) <= 15 or len(set(digits)) < 3 or digits in "01234567890123456789":
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return digits
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        return digits
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def exact(identifier: Identifier) -> str | None:
    """Return an identifier as one comparable text `namespace:value`, or None if it names nobody."""
    value = _SIGNS.sub("", identifier.value.casefold()) if len(identifier.value) <= MAX_LENGTH else ""
    if not value or value in _SQUEEZED or len(set(value)) == 1:
        return None
    return f"{identifier.namespace.casefold()}:{value}"


def distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the values that are there, each once, sorted."""
    found = {value for value in values if value}
    return tuple(sorted(found)) if found else ()
