"""The model ledger does what every source of a replica must do."""

import pytest
from rapport.consent.v1 import purpose_pb2
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.ledger_sources import LedgerSourcesSuite, SuppliedLedger


class ModelLedger:
    """The model as a ledger under test: each write does another thing."""

    person = "prf_a"

    def __init__(self) -> None:
        self.model = LedgerModel()
        self.heads = self.changes = self.snapshots = self.model
        self.model.define("mail", purpose_pb2.LEGAL_BASIS_CONSENT)
        self.model.define("profiling", purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, direct_marketing=True)

    async def write(self) -> None:
        writes = [
            lambda: self.model.grant("prf_a", "mail"),
            lambda: self.model.deny("prf_b", "profiling", 4),
            lambda: self.model.merge("prf_a", "prf_b"),
            lambda: self.model.restrict("prf_c"),
            lambda: self.model.split("prf_b"),
            lambda: self.model.fence("prf_d"),
        ]
        writes[self.model.position % len(writes)]()

    async def erase(self) -> None:
        self.model.grant(self.person, "mail")
        self.model.fence(self.person)


class TestModelLedger(LedgerSourcesSuite):
    """The suite, on the model."""

    @pytest.fixture
    def ledger(self) -> SuppliedLedger:
        return ModelLedger()
