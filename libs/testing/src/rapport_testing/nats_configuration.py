"""What a NATS server is told: addresses, streams, TLS, users and their subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport_testing.pki import IssuedFiles


@dataclass(frozen=True)
class NatsUser:
    """A user of the server and the subjects open to it; what is not named is denied.

    Attributes:
        name: With TLS, the URI of the client certificate, such as `spiffe://rapport.local/consent`; else the login.
        publish: Subjects it may publish to; `>` for all.
        subscribe: Subjects it may subscribe to; `>` for all.
        deny_publish: Exceptions from `publish`.
        deny_subscribe: Exceptions from `subscribe`.
        allow_responses: Whether it may answer, once, on the reply subject of a message it received.
        password: The password, where the server runs without TLS.
        account: The account it belongs to: accounts see nothing of one another. Either all users name one or none.
    """

    name: str
    publish: Sequence[str] = ()
    subscribe: Sequence[str] = ()
    deny_publish: Sequence[str] = ()
    deny_subscribe: Sequence[str] = ()
    allow_responses: bool = False
    password: str | None = None
    account: str | None = None

    def configuration(self) -> dict[str, Any]:
        """Return the user as an entry of the server's configuration."""
        permissions: dict[str, Any] = {
            "publish": _subjects(self.publish, self.deny_publish),
            "subscribe": _subjects(self.subscribe, self.deny_subscribe),
        }
        if self.allow_responses:
            permissions["allow_responses"] = True
            if not self.publish:
                # Here an empty list means none but answers, and an explicit denial would deny these too.
                permissions["publish"] = {"allow": [], "deny": list(self.deny_publish)}
        return {
            "user": self.name,
            **({"password": self.password} if self.password is not None else {}),
            "permissions": permissions,
        }


def server_configuration(
    *,
    listen: str,
    monitoring: str,
    store_folder: Path,
    max_payload: int,
    sync_interval: str | None,
    tls: IssuedFiles | None,
    users: Sequence[NatsUser],
) -> dict[str, Any]:
    """Return the configuration of a server; without users everybody may do everything."""
    jetstream: dict[str, Any] = {"store_dir": str(store_folder)}
    if sync_interval is not None:
        jetstream["sync_interval"] = sync_interval
    configuration: dict[str, Any] = {
        "server_name": "rapport-local",
        "listen": listen,
        "http": monitoring,
        "max_payload": max_payload,
        "jetstream": jetstream,
    }
    if tls is not None:
        configuration["tls"] = {
            "cert_file": str(tls.certificate),
            "key_file": str(tls.key),
            "ca_file": str(tls.authorities),
            "verify": True,
            # The first e-mail, DNS or URI name of the certificate that is a user's name, in this order.
            "verify_and_map": bool(users),
            "timeout": 5,
        }
    accounts = sorted({user.account for user in users if user.account is not None})
    if accounts:
        configuration["accounts"] = {
            account: {
                "jetstream": "enabled",
                "users": [user.configuration() for user in users if user.account == account],
            }
            for account in accounts
        }
    elif users:
        configuration["authorization"] = {"users": [user.configuration() for user in users]}
    return configuration


def _subjects(allow: Sequence[str], deny: Sequence[str]) -> dict[str, list[str]]:
    """An empty list of allowed subjects would allow all of them to the server: nothing allowed is all denied."""
    return {"allow": list(allow), "deny": list(deny)} if allow else {"allow": [], "deny": [">"]}
