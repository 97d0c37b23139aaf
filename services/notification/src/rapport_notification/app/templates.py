"""Templates in force, ready to be rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rapport_notification.domain.contents import Kind, Template, Variable
from rapport_notification.domain.vocabulary import Channel

OWN: Final[Mapping[str, Variable]] = {
    "recipient_given_name": Variable(Kind.TEXT),
    "recipient_family_name": Variable(Kind.TEXT),
    "unsubscribe_url": Variable(Kind.URL),
}
"""What every template may use, filled in at the send."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version of a template.

    Attributes:
        template: It, with what every template may use among its variables.
        html: By language; empty where it has no such part.
        channels: It is written for.
        sms_segments: Most segments of a text message.
    """

    template: Template
    html: Mapping[str, str]
    channels: tuple[Channel, ...]
    sms_segments: int

    @property
    def declared(self) -> dict[str, Variable]:
        """The variables of its own."""
        return {name: each for name, each in self.template.variables.items() if name not in OWN}


def filled(declared: Mapping[str, Any], *, given: str, family: str, unsubscribe_url: str) -> dict[str, Any]:
    """Return checked values with what every template may use."""
    return {
        **declared,
        "recipient_given_name": one_line(given),
        "recipient_family_name": one_line(family),
        "unsubscribe_url": unsubscribe_url,
    }


def one_line(text: str) -> str:
    """Return a name as it may stand in a message: one printable line of at most 100 characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:100]
