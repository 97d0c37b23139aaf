"""What a service is configured with here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from rapport_chassis.cli import ServiceDefinition
from rapport_chassis.settings import NatsSettings
from rapport_local import access, broker
from rapport_local.environment import Environment
from rapport_local.service_settings import Connections, DatabaseAccess, prepare_files, variables
from rapport_local.services import SERVICES, LocalService

PORTS = {service.name: 4000 + at for at, service in enumerate(SERVICES)}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_provisions_what_the_environment_itself_provisions(
    environment: Environment, service: LocalService
) -> None:
    url = "nats://127.0.0.1:4222"
    given = variables(service, environment, Connections(url, PORTS))
    group = service.prefix + "NATS__"
    named = {name.removeprefix(group).lower(): value for name, value in given.items() if name.startswith(group)}
    configured = NatsSettings.model_validate({name: value for name, value in named.items() if "__" not in name})
    expected = broker.settings_for(environment, url, service.name)
    assert configured == expected.model_copy(update={"tls": None})


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_finds_every_database_it_migrates_and_serves_without_the_password_of_an_owner(
    environment: Environment, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition: ServiceDefinition[Any] = import_module(f"{service.module}.bootstrap").DEFINITION
    databases = {
        each: DatabaseAccess(f"dbname={each.name}", f"dbname={each.name} user=x") for each in service.databases
    }
    prepare_files(service, environment, databases)

    def settings(*, migrating: bool) -> Any:
        given = variables(service, environment, Connections("nats://127.0.0.1:4222", PORTS), migrating=migrating)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return definition.settings_class()

    owner = settings(migrating=True)
    migrated = [(owner.database, definition.migrations), *definition.further_migrations(owner)]
    assert [(each.owner_dsn.get_secret_value(), folder) for each, folder in migrated] == [
        (reached.owner_dsn, service.migrations(database)) for database, reached in databases.items()
    ]
    serving = settings(migrating=False)
    found = [(serving.database, None), *definition.further_migrations(serving)]
    assert [each.dsn.get_secret_value() for each, _ in found] == [reached.dsn for reached in databases.values()]
    assert [each.owner_dsn for each, _ in found] == [None] * len(found)


def test_a_service_with_a_gate_is_told_where_the_ledger_is_and_may_follow_it(environment: Environment) -> None:
    policy = access.read_policy(environment)
    for service in SERVICES:
        given = variables(service, environment, Connections("nats://127.0.0.1:4222", PORTS))
        consent = f"127.0.0.1:{PORTS['consent']}" if service.gate else None
        assert given.get(f"{service.prefix}GATE__CONSENT") == consent
        held = policy.certificates.get(access.caller(service.name), ())
        requests = set(access.RUN_REQUESTS) if service.name == "consent" else set()
        assert set(held) - requests == ({*access.HOLD_GATE, *service.may} if service.gate else set())


def test_a_participant_of_privacy_requests_has_keys_to_sign_with_and_an_eraser_that_is_not_itself(
    environment: Environment,
) -> None:
    for service in SERVICES:
        given = variables(service, environment, Connections("nats://127.0.0.1:4222", PORTS))
        eraser = given.get(f"{service.prefix}PRIVACY__ERASER__CERTIFICATE", "")
        assert (f"{service.name}-eraser" in eraser) == service.participant
        assert (f"{service.prefix}PRIVACY__SIGNING_FOLDER" in given) == service.participant
