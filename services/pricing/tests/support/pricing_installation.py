"""The pricing service as tests install it: servers of its own, a ledger that its gate follows, callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import rapport_pricing
from google.protobuf.message import Message
from rapport.consent.v1 import purpose_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.events import topology
from rapport_chassis.events.contract import describe
from rapport_chassis.events.jetstream import StoredMessage
from rapport_testing.events import rows
from rapport_testing.installation import Installation, TestedService
from rapport_testing.ledger_service import LedgerService, gate_settings
from rapport_testing.waiting import eventually

T = TypeVar("T", bound=Message)

SHOP: Final = "shop"
OFFICE: Final = "office"
BUYER: Final = "buyer"
STREAM: Final = "RAPPORT_PRICING"
PRICING: Final = TestedService(
    "pricing",
    migrations=Path(rapport_pricing.__file__).parent / "migrations",
    topology=topology.DECLARED,
    settings={
        "SIGNING_FOLDER": "{folder}",
        "PERSONAL__LOOK_EVERY_S": "0.2",
        "LEARN_EVERY_S": "0.05",
        "RETENTION__PROMOTION_ID": "winback",
        "RETENTION__HOLDOUT_SHARE": "0.3",
    },
)
PERSONAL: Final = "pricing.personal"
PURPOSES: Final = {PERSONAL: purpose_pb2.LEGAL_BASIS_CONSENT}


class PricingInstallation(Installation):
    """Servers with the ledger that the service's gate follows.

    Attributes:
        ledger: What people decided.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        super().__init__(service, folder, durable=durable)
        self.ledger = LedgerService(self, PURPOSES)
        self._read = 0
        self._stored: list[StoredMessage] = []

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers."""
        self.ledger.start()
        super().start(provisioned=provisioned, migrated=migrated)

    def stop(self) -> None:
        """Stop them."""
        super().stop()
        self.ledger.stop()

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        own = gate_settings(self, self.ledger)
        return super().variables() | {self._variable(name.upper()): value for name, value in own.items()}

    async def stored(self) -> Sequence[StoredMessage]:
        """Return everything that the service has told, in order; what was read before is not read again."""
        async with self.broker().api() as api:
            last = (await api.stream_info(STREAM))["state"]["last_seq"]
            for sequence in range(self._read + 1, last + 1):
                message = await api.get(STREAM, sequence)
                self._stored += [message] if message is not None else []
            self._read = last
        return self._stored

    async def told(
        self, kind: type[T], mine: Callable[[T], bool], complete: Callable[[list[T]], bool] = bool
    ) -> list[T]:
        """Return what was told by events of a kind that are a test's own, once they are complete."""
        part = f".{describe(kind).name}."

        async def there() -> list[T]:
            events = [kind.FromString(each.data) for each in await self.stored() if part in each.subject]
            found = [each for each in events if mine(each)]
            return found if complete(found) else []

        return await eventually(there, timeout_s=20, interval_s=0.05)


def start_installation(folder: Path, *, durable: bool = False) -> PricingInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = PricingInstallation(PRICING, folder, durable=durable)
    installation.grant(SHOP, ["pricing.products.*", "pricing.prices.read", "pricing.quotes.*", "pricing.outcomes.*"])
    installation.grant(OFFICE, ["pricing.*"])
    installation.grant_role(BUYER, ["pricing.*"])
    installation.start()
    return installation


async def rows_of(installation: Installation, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
    """Return rows of the service's database, as the service reads them."""
    database = Database(installation.database_settings(), service="pricing")
    await database.open()
    try:
        return await rows(database, query, values)
    finally:
        await database.close()
