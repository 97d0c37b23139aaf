"""Who may do what on the local NATS server."""

from __future__ import annotations

from rapport_testing.nats import NatsUser

from rapport_local.access import caller
from rapport_local.services import PROVISIONER, SERVICES


def nats_users() -> list[NatsUser]:
    """Return the users."""
    return [NatsUser(caller(name), (">",), (">",)) for name in (PROVISIONER, *(each.name for each in SERVICES))]
