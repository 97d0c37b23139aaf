"""Consent gates: who holds one, how far each has come, and what one answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2, purpose_pb2
from rapport_chassis.telemetry.metrics_export import read_snapshots
from rapport_privacy.telemetry import GATE_LAG, GATE_POSITION, GATE_STALENESS

from rapport_local import access
from rapport_local.calling import stub_of
from rapport_local.environment import STREAM_PREFIX, Environment
from rapport_local.failure import Failure
from rapport_local.status import EnvironmentStatus


class GateState(BaseModel):
    """The gate of one process, as the process measured it.

    Attributes:
        holder: Name of the process.
        pid: Its process id.
        position: Its replica knows the ledger up to here.
        lag: Positions the ledger was known to be ahead.
        staleness_s: Time since the replica was last known to be fresh.
        measured_s_ago: How old these figures are.
    """

    model_config = ConfigDict(frozen=True)

    holder: str
    pid: int
    position: int
    lag: int
    staleness_s: float
    measured_s_ago: float


def read_gates(environment: Environment) -> list[GateState]:
    """Return the gate of every process that lives and has written its metrics yet, which takes a few seconds."""
    found = []
    for snapshot in read_snapshots([environment.telemetry]):
        values = {row["name"]: row["value"] for row in snapshot["metrics"] if "value" in row}
        if GATE_LAG.name in values and psutil.pid_exists(snapshot["pid"]):
            found.append(
                GateState(
                    holder=snapshot["service"],
                    pid=snapshot["pid"],
                    position=int(values.get(GATE_POSITION.name, 0)),
                    lag=int(values[GATE_LAG.name]),
                    staleness_s=values[GATE_STALENESS.name],
                    measured_s_ago=max(0.0, time.time() - snapshot["at"]),
                )
            )
    return found


def gate_variables(environment: Environment, status: EnvironmentStatus, holder: str) -> dict[str, str]:
    """Return the environment variables with which a process of this holder opens a gate.

    Raises:
        Failure: There is no such client, it may not hold a gate, or the servers do not run.
    """
    files = access.tls_files(environment, holder)
    if holder not in access.gate_holders(environment):
        raise Failure(
            f"{holder} may not hold a gate",
            hint=f"let it: rapport client add {holder} --may {' --may '.join(access.HOLD_GATE)}",
        )
    consent, nats = status.process("consent"), status.process("nats")
    if consent is None or nats is None:
        raise Failure("the consent service does not run", hint="`rapport status` shows what does")
    return {
        "RAPPORT_GATE__NAME": holder,
        "RAPPORT_GATE__CONSENT": consent.address,
        "RAPPORT_GATE__NATS": f"tls://{nats.address}",
        "RAPPORT_GATE__STREAM_PREFIX": STREAM_PREFIX,
        "RAPPORT_GATE__TLS__CERTIFICATE": str(files.certificate),
        "RAPPORT_GATE__TLS__KEY": str(files.key),
        "RAPPORT_GATE__TLS__AUTHORITIES": str(files.authorities),
        "RAPPORT_TELEMETRY__FOLDER": str(environment.telemetry),
    }


def consent_stub(
    environment: Environment, status: EnvironmentStatus, client: str = access.CLI
) -> AbstractAsyncContextManager[consent_pb2_grpc.ConsentServiceAsyncStub]:
    """Call the consent service as a client.

    Raises:
        Failure: There is no such client, or the service does not run.
    """
    return stub_of(environment, status, "consent", consent_pb2_grpc.ConsentServiceStub, client)


def explained(decision: consent_pb2.Decision, profile_id: str) -> Iterator[tuple[str, str]]:
    """Yield what a decision rests on, as pairs for a person to read."""
    yield "reason", _word(consent_pb2.DecisionReason, decision.reason)
    if decision.basis:
        yield (
            "basis",
            f"{_word(purpose_pb2.LegalBasis, decision.basis)}, version {decision.purpose_version} of the purpose",
        )
    if decision.reference:
        yield "reference", f"{decision.reference}, {_word(ledger_pb2.EvidenceKind, decision.evidence)}"
    if decision.notice_id:
        yield "notice", f"{decision.notice_id}, version {decision.notice_version}"
    if decision.HasField("expires_at"):
        yield "expires", decision.expires_at.ToJsonString()
    if decision.HasField("reask_not_before"):
        yield "ask again", f"not before {decision.reask_not_before.ToJsonString()}"
    if decision.current_profile_id != profile_id:
        yield "stands for", decision.current_profile_id
    if decision.HasField("position"):
        yield "ledger", f"position {decision.position.position:,} of epoch {decision.position.epoch}"
    yield "as of", decision.as_of.ToJsonString()
    stale = f"{decision.staleness.ToMilliseconds()} ms" if decision.HasField("staleness") else "never fresh"
    yield "staleness", stale


def answer(decision: consent_pb2.Decision) -> str:
    """Return the answer as one word, such as PERMIT."""
    return consent_pb2.Answer.Name(decision.answer).removeprefix("ANSWER_")


def _word(enum: Any, number: int) -> str:
    """An enum value in small letters, without the name of its enum; the number of one this release does not know."""
    if number not in enum.values():
        return str(number)
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in enum.DESCRIPTOR.name).strip("_").upper()
    return str(enum.Name(number).removeprefix(f"{prefix}_").lower().replace("_", " "))
