"""The churn service with its neighbours: servers, the ledger that its gate follows, and who may call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import rapport_churn
from churn_events import ANALYTICS, DELIVERY, days_ago
from churn_model import artefact
from rapport.churn.v1 import model_pb2
from rapport.consent.v1 import purpose_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.events import topology
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.models import Stored
from rapport_testing.installation import Installation, TestedService, tls_files
from rapport_testing.ledger_service import LedgerService, gate_settings

PROFILING: Final = "profiling.churn"
CONSENT: Final = purpose_pb2.LEGAL_BASIS_CONSENT
PURPOSES: Final = {PROFILING: CONSENT, ANALYTICS: CONSENT, DELIVERY: purpose_pb2.LEGAL_BASIS_CONTRACT}
SHOP: Final = "shop"
OFFICE: Final = "office"
ANALYST: Final = "analyst"
STREAM: Final = "RAPPORT_CHURN"
CHURN: Final = TestedService(
    "churn",
    migrations=Path(rapport_churn.__file__).parent / "migrations",
    topology=topology.DECLARED,
    settings={
        "MODELS__FOLDER": "{folder}/models",
        "MODELS__WORK_FOLDER": "{folder}/work",
        "PRIVACY__SIGNING_FOLDER": "{folder}/signing",
        "PROFILING__CURRENCY": "GBP",
        "RESCORING__SHARE": "0.9",
    },
)


class ChurnInstallation(Installation):
    """Servers with the ledger that the service's gate follows.

    Attributes:
        ledger: What people decided.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        super().__init__(service, folder, durable=durable)
        self.ledger = LedgerService(self, PURPOSES)

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers."""
        self.ledger.start()
        (self.folder / "own" / "signing").mkdir(exist_ok=True)
        super().start(provisioned=provisioned, migrated=migrated)

    def stop(self) -> None:
        """Stop them."""
        super().stop()
        self.ledger.stop()

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        eraser = tls_files(self.certificate("churn-eraser")).model_dump()
        own = gate_settings(self, self.ledger)
        own |= {f"{group}eraser__{name}": str(path) for group in ("", "privacy__") for name, path in eraser.items()}
        return super().variables() | {self._variable(name.upper()): value for name, value in own.items()}


def start_installation(folder: Path, *, durable: bool = False) -> ChurnInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = ChurnInstallation(CHURN, folder, durable=durable)
    installation.grant(SHOP, ["churn.scores.create", "churn.ranks.read", "churn.explanations.read"])
    installation.grant(OFFICE, ["churn.*", "chassis.operations.use"])
    installation.grant_role(ANALYST, ["churn.*"])
    installation.start()
    return installation


@asynccontextmanager
async def open_database(installation: ChurnInstallation) -> AsyncIterator[Database]:
    """Look into the service's database."""
    database = Database(installation.database_settings(), service="test")
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def register(
    installation: ChurnInstallation,
    files: Mapping[str, bytes] | None = None,
    *,
    gates: Mapping[str, bool] | None = None,
    log_position: int = 2**40,
) -> str:
    """Put a model into the registry that was not trained here, and return its id."""
    files = files or artefact()
    digest = Registry(installation.folder / "own" / "models").put(files)
    model = model_pb2.Model(model_id=new_id("model"), artefact_sha256=digest, horizon_days=90)
    model.trained_until.CopyFrom(stamp(days_ago(10)))
    for name, passed in (gates or {}).items():
        model.gates.add(name=name, passed=passed)
    async with open_database(installation) as database, database.transaction() as connection:
        row = await (await connection.execute("SELECT epoch FROM log_head")).fetchone()
        assert row is not None
        stored = Stored(model.model_id, digest, model.SerializeToString(), row[0], log_position, datetime.now(UTC))
        await DatabaseModels(connection).add(stored)
    return model.model_id
