"""What each channel asks of a customer, and how often it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport_identity.population.draw import Weighted


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel and the share of its sightings in which each thing is said.

    Attributes:
        source: Name of the source of its records.
        name: Given name and surname.
        middle: The middle name too, where there is one.
        birth_date: Birth date.
        address: Address.
        employer: Employer.
        email: E-mail address.
        phone: Telephone number.
        account: Customer number of the shop on the web.
        loyalty: Number of the loyalty card.
        cookie: Browser.
        device: Device with the app.
        apart: True where the middle name has a field of its own.
        heard: True where what is said is written down by somebody else.
        kiosk: True where it may happen at a terminal.
    """

    source: str
    name: float
    middle: float = 0.0
    birth_date: float = 0.0
    address: float = 0.0
    employer: float = 0.0
    email: float = 0.0
    phone: float = 0.0
    account: float = 0.0
    loyalty: float = 0.0
    cookie: float = 0.0
    device: float = 0.0
    apart: bool = False
    heard: bool = False
    kiosk: bool = False


WEB: Final = Channel(
    "web",
    name=0.75,
    middle=0.10,
    birth_date=0.20,
    address=0.45,
    employer=0.05,
    email=0.85,
    phone=0.30,
    account=0.35,
    cookie=0.90,
    apart=True,
)
SHOP: Final = Channel(
    "shop",
    name=0.90,
    middle=0.25,
    birth_date=0.30,
    address=0.45,
    employer=0.05,
    email=0.35,
    phone=0.45,
    loyalty=0.35,
    kiosk=True,
)
APP: Final = Channel(
    "app",
    name=0.55,
    middle=0.05,
    birth_date=0.35,
    address=0.15,
    email=0.65,
    phone=0.35,
    account=0.80,
    device=1.0,
    apart=True,
)
CALLS: Final = Channel(
    "call_centre",
    name=0.95,
    middle=0.15,
    birth_date=0.55,
    address=0.50,
    employer=0.10,
    email=0.20,
    phone=0.85,
    heard=True,
)

CHANNELS: Final = (WEB, SHOP, APP, CALLS)
"""Every channel."""
BY_FREQUENCY: Final = Weighted(CHANNELS, (0.40, 0.25, 0.20, 0.15))
"""The channels as often as they are used."""
