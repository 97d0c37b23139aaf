"""What a gate can be told from outside."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from rapport_chassis.settings import (
    ClientSettings,
    NatsSettings,
    PositiveSeconds,
    SettingsGroup,
    TelemetrySettings,
    TlsFiles,
)

from rapport_privacy.freshness import BOUND_S, CONTINUATION_S


class GateSettings(SettingsGroup):
    """A gate in a process that is not the consent service."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    """Who holds it: the last part of the certificate's URI, which is also the user at NATS. Required."""
    tls: TlsFiles
    """Certificate shown to the consent service and to NATS. Required."""
    consent: str
    """Where the consent service is, for example "dns:///consent:50051". Required."""
    server_name: str | None = None
    """Name the consent service's certificate must carry, where it differs from the host in `consent`."""
    nats: str | None = None
    """NATS servers, separated by commas; absent: changes are asked for over gRPC alone."""
    stream_prefix: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")] = "RAPPORT"
    """First part of every stream's name."""
    domain: str | None = None
    """JetStream domain."""
    bound_s: PositiveSeconds = BOUND_S
    """Longest time a decision may be out of date."""
    continuation_s: Annotated[float, Field(gt=0, le=CONTINUATION_S)] = CONTINUATION_S
    """How long contract and legal duty go on after the replica was last fresh."""
    head_every_s: PositiveSeconds = 0.25
    """How often the head of the ledger is asked for."""
    ask_s: PositiveSeconds = 0.5
    """How long `ask` waits for the consent service where the gate itself does not know."""

    def client(self) -> ClientSettings:
        """Return how the consent service is called."""
        return ClientSettings(target=self.consent, tls=self.tls, server_name=self.server_name)

    def broker(self) -> NatsSettings | None:
        """Return how NATS is reached; None without it."""
        if self.nats is None:
            return None
        return NatsSettings(url=self.nats, tls=self.tls, stream_prefix=self.stream_prefix, domain=self.domain)


class ParticipantSettings(SettingsGroup):
    """A service's part in privacy requests."""

    signing_folder: Path
    """Folder of the Ed25519 keys that sign answers; retired keys stay in it. Required."""
    eraser: TlsFiles | None = None
    """Certificate of the user that may delete messages of the service's stream; absent: that of the service's own."""
    look_every_s: PositiveSeconds = 0.25
    """How often tasks are looked for."""


class GateProcessSettings(BaseSettings):
    """A process whose only part of Rapport is a gate: variables such as RAPPORT_GATE__CONSENT."""

    model_config = SettingsConfigDict(
        env_prefix="RAPPORT_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    gate: GateSettings
    """The gate."""
    environment: Literal["local", "test", "production"] = "local"
    """What this installation is."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Where the gate's traces and metrics go; the `OTEL_*` variables are honoured."""
