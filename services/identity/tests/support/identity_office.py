"""The office that looks after matchers, and small models to import."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.duration_pb2 import Duration
from identity_desk import OFFICE, STEWARD, IdentityInstallation, request_id
from rapport.identity.v1 import matcher_pb2, matcher_pb2_grpc
from rapport_testing.waiting import eventually


@dataclass
class Office:
    """Where matchers are looked after."""

    matchers: matcher_pb2_grpc.MatcherServiceAsyncStub
    operations: Any

    async def ended(self, operation: operations_pb2.Operation) -> operations_pb2.Operation:
        """Return an operation when it has ended."""
        while not operation.done:
            operation = await self.operations.WaitOperation(
                operations_pb2.WaitOperationRequest(name=operation.name, timeout=Duration(seconds=5))
            )
        return operation

    async def import_model(
        self, model: dict[str, Any], terms: Sequence[tuple[str, str, float]], named: str = "", join: float | None = None
    ) -> matcher_pb2.Matcher:
        """Import a Splink model with the frequencies that belong to it."""
        header = matcher_pb2.ImportMatcherHeader(
            request_id=named or request_id(), splink_model=json.dumps(model).encode(), join_bits=join
        )
        if join is not None:
            header.fracture_bits = join - 1

        async def messages() -> AsyncIterator[matcher_pb2.ImportMatcherRequest]:
            yield matcher_pb2.ImportMatcherRequest(header=header)
            if terms:
                found = [matcher_pb2.TermFrequency(column=c, value=v, frequency=f) for c, v, f in terms]
                yield matcher_pb2.ImportMatcherRequest(frequencies=matcher_pb2.TermFrequencies(terms=found))

        return await self.matchers.ImportMatcher(messages())

    async def activate(self, matcher_id: str, most: int | None = None, named: str = "") -> matcher_pb2.Matcher:
        """Let a matcher decide."""
        return await self.matchers.ActivateMatcher(
            matcher_pb2.ActivateMatcherRequest(
                request_id=named or request_id(), matcher_id=matcher_id, max_records_moved=most, reason="tested"
            )
        )

    async def until_active(self, matcher_id: str) -> matcher_pb2.Matcher:
        """Return a matcher when all records are joined by it."""

        async def active() -> matcher_pb2.Matcher | None:
            found = await self.matchers.GetMatcher(matcher_pb2.GetMatcherRequest(matcher_id=matcher_id))
            return found if found.state == matcher_pb2.MATCHER_STATE_ACTIVE else None

        found = await eventually(active, timeout_s=40)
        assert found is not None
        return found


@asynccontextmanager
async def open_office(installation: IdentityInstallation) -> AsyncIterator[Office]:
    """Give an operator who may do all that matchers need."""
    client = installation.client(OFFICE, deadline_s=60)
    token = installation.actor_token(OFFICE, roles=[STEWARD])
    try:
        yield Office(
            client.stub(matcher_pb2_grpc.MatcherServiceStub, actor_token=token),
            client.stub(operations_pb2_grpc.OperationsStub, actor_token=token),
        )
    finally:
        await client.close()


def exact(column: str, m: float = 0.9, u: float = 0.001, **more: Any) -> dict[str, Any]:
    """A comparison of a Splink model."""
    return {
        "output_column_name": column,
        "comparison_levels": [
            {"sql_condition": f'"{column}_l" IS NULL OR "{column}_r" IS NULL', "is_null_level": True},
            {
                "sql_condition": f'"{column}_l" = "{column}_r"',
                "label_for_charts": f"Exact match on {column}",
                "m_probability": m,
                "u_probability": u,
                **more,
            },
            {"sql_condition": "ELSE", "label_for_charts": "All other", "m_probability": 1 - m, "u_probability": 1 - u},
        ],
    }


def model(*comparisons: dict[str, Any], chance: float = 0.001) -> dict[str, Any]:
    """A Splink model."""
    return {"probability_two_random_records_match": chance, "comparisons": list(comparisons)}
