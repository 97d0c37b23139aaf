"""What names a requester. It is kept apart, encrypted, and destroyed once the closing notice is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a requester can be reached; empty where it is not known."""

    email: str = ""
    phone: str = ""
    postal: str = ""
    name: str = ""

    @property
    def reachable(self) -> bool:
        """Whether a notice can be sent without paper."""
        return bool(self.email)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person says of one right, in their words."""

    right: str
    words: str


@dataclass(frozen=True, slots=True)
class Vault:
    """What is kept of a requester.

    Attributes:
        contact: What they gave.
        captured: What was on file, taken before it was erased.
        hint_email: An address the person may be found by.
        hint_phone: A number the person may be found by.
        statements: What they say of single rights.
    """

    contact: Contact = Contact()
    captured: Contact = Contact()
    hint_email: str = ""
    hint_phone: str = ""
    statements: tuple[Statement, ...] = ()

    @property
    def notice(self) -> Contact:
        """Where the closing notice goes: to what was on file, if it was captured, else to what the requester gave."""
        return self.captured if self.captured.reachable else self.contact
