"""What a service is configured with here."""

from __future__ import annotations

import pytest
from rapport_chassis.settings import NatsSettings
from rapport_local import broker
from rapport_local.environment import Environment
from rapport_local.services import SERVICES, Connections, LocalService, variables


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_provisions_what_the_environment_itself_provisions(
    environment: Environment, service: LocalService
) -> None:
    url = "nats://127.0.0.1:4222"
    given = variables(service, environment, Connections(dsn="", owner_dsn="", nats_url=url, port=0))
    group = service.prefix + "NATS__"
    named = {name.removeprefix(group).lower(): value for name, value in given.items() if name.startswith(group)}
    configured = NatsSettings.model_validate({name: value for name, value in named.items() if "__" not in name})
    expected = broker.settings_for(environment, url, service.name)
    assert configured == expected.model_copy(update={"tls": None})
