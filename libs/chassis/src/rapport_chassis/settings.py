"""What a service can be told from outside: one frozen class per service, built from these groups.

Values come from environment variables (`RAPPORT_<SERVICE>_GROUP__FIELD`), from secret files (a folder named by
`RAPPORT_<SERVICE>_SECRETS_FOLDER` with files called like `database__dsn`); environment variables win. Telemetry also
honours the standard `OTEL_*` variables.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

Port = Annotated[int, Field(ge=0, le=65535)]
PositiveSeconds = Annotated[float, Field(gt=0)]


class SettingsGroup(BaseModel):
    """Base of a nested group: frozen, and refusing names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TlsFiles(SettingsGroup):
    """Paths of PEM files that may change at any time."""

    certificate: Path
    """Certificate chain, leaf first."""
    key: Path
    """Private key of the leaf."""
    authorities: Path
    """Bundle of the authorities whose certificates are trusted."""


class GrpcSettings(SettingsGroup):
    """The gRPC listener."""

    host: str = "127.0.0.1"
    """Address to bind."""
    port: Port = 0
    """Port to bind; 0 takes any free one."""
    tls: TlsFiles
    """Server certificate; clients must show one of the authorities'."""
    reflection: bool = True
    """Whether the descriptors can be asked for, by callers that may (`chassis.reflection.read`)."""
    max_in_flight: Annotated[int, Field(gt=0)] = 100
    """Calls answered at the same time; more are refused, never queued."""
    max_message_bytes: Annotated[int, Field(gt=0)] = 4 * 1024 * 1024
    """Largest message accepted."""
    default_deadline_s: PositiveSeconds = 5.0
    """Deadline of a unary call that came without one."""
    drain_s: Annotated[float, Field(ge=0)] = 5.0
    """How long to go on serving after readiness was taken back at shutdown."""
    stop_grace_s: PositiveSeconds = 20.0
    """How long calls in flight may take to finish after that."""
    address_file: Path | None = None
    """File that gets the bound "host:port", atomically, once calls are served."""


class DatabaseSettings(SettingsGroup):
    """PostgreSQL."""

    dsn: SecretStr
    """Connection string of the run-time role, through a pooler if there is one. Required."""
    direct_dsn: SecretStr | None = None
    """Connection string that reaches the server itself (LISTEN, advisory locks); absent: the same as `dsn`."""
    owner_dsn: SecretStr | None = None
    """Connection string of the owner role; needed by `migrate` only."""
    pool_min: Annotated[int, Field(ge=0)] = 2
    """Connections kept open."""
    pool_max: Annotated[int, Field(gt=0)] = 10
    """Most connections open."""
    statement_timeout_s: PositiveSeconds = 5.0
    """Longest a statement may run."""
    prepared_statements: bool = True
    """Whether statements are prepared; off behind a pooler that cannot keep them."""

    @property
    def direct(self) -> SecretStr:
        """The connection string that reaches the server itself."""
        return self.direct_dsn or self.dsn


class NatsSettings(SettingsGroup):
    """NATS JetStream."""

    url: str = "nats://127.0.0.1:4222"
    """Servers, separated by commas."""
    tls: TlsFiles | None = None
    """Client certificate, which is also the user; absent: without TLS, in tests."""
    stream_prefix: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")] = "RAPPORT"
    """First part of every stream's name: installations may share an account."""
    domain: str | None = None
    """JetStream domain."""
    replicas: Annotated[int, Field(ge=1, le=5)] | None = None
    """Copies of each stream, when provisioning; absent: as declared."""
    stream_max_bytes: Annotated[int, Field(gt=0)] | None = None
    """Byte cap of each context's stream, when provisioning; absent: as declared."""


class AuthSettings(SettingsGroup):
    """Who may do what."""

    policy_file: Path
    """YAML file that gives certificates and roles their permissions; read again when it changes. Required."""
    issuers_file: Path | None = None
    """JSON file of the issuers of actor tokens and their keys; absent: no call of a human operator is accepted."""
    fresh_login_s: PositiveSeconds = 600.0
    """How long ago a login may be for actions that ask for a fresh one."""


class TelemetrySettings(SettingsGroup):
    """Traces, metrics and logs."""

    folder: Path | None = None
    """Folder for spans and metrics where no collector is set (`OTEL_EXPORTER_OTLP_ENDPOINT`); absent: none are kept."""
    sampling: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of traces begun here that are recorded; absent: `OTEL_TRACES_SAMPLER_ARG`, else by environment."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity logged."""


class HttpSettings(SettingsGroup):
    """The HTTP listener, of services that have one."""

    host: str = "127.0.0.1"
    """Address to bind."""
    port: Port = 0
    """Port to bind; 0 takes any free one."""
    tls: TlsFiles | None = None
    """Server certificate; absent: behind a proxy that ends TLS."""
    body_limit_bytes: Annotated[int, Field(gt=0)] = 256 * 1024
    """Largest request body accepted."""
    drain_s: Annotated[float, Field(ge=0)] = 5.0
    """How long requests in flight may take to finish at shutdown."""
    address_file: Path | None = None
    """File that gets the bound "host:port", atomically, once requests are served."""


class ClientSettings(SettingsGroup):
    """A gRPC channel to another service."""

    target: str
    """Where it is, for example "dns:///consent:50051". Required."""
    tls: TlsFiles
    """Client certificate, and the authorities whose servers are trusted."""
    server_name: str | None = None
    """Name the server's certificate must carry, where it differs from the target's host."""
    default_deadline_s: PositiveSeconds = 5.0
    """Deadline of a method that the table does not name."""
    max_attempts: Annotated[int, Field(ge=1, le=5)] = 4
    """Most attempts at an idempotent call that finds the server unavailable."""
    max_message_bytes: Annotated[int, Field(gt=0)] = 4 * 1024 * 1024
    """Largest message accepted."""


class ServiceSettings(BaseSettings):
    """Base of a service's settings.

    A subclass sets its prefix: `model_config = SettingsConfigDict(env_prefix="RAPPORT_CONSENT_")`.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    environment: Literal["local", "test", "production"] = "local"
    """What this installation is. Some things are refused in production."""
    grpc: GrpcSettings
    """The gRPC listener."""
    database: DatabaseSettings
    """PostgreSQL."""
    nats: NatsSettings = NatsSettings()
    """NATS JetStream."""
    auth: AuthSettings
    """Who may do what."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Traces, metrics and logs."""
    http: HttpSettings | None = None
    """The HTTP listener; absent for a service without one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first."""
        folder = os.environ.get(f"{cls.model_config.get('env_prefix', '')}SECRETS_FOLDER")
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_dir=folder, secrets_dir_missing="error", secrets_prefix=""
        )
        return init_settings, env_settings, secrets
