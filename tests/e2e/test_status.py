"""What a running environment says of itself, and that there is one of it."""

from __future__ import annotations

import json

from rapport_local.services import SERVICES
from suite import Suite


def test_status_shows_every_process_ready(running: Suite) -> None:
    done = running.run("status", "--json")
    assert done.exit_code == 0, done.stderr
    processes = {process["name"]: process for process in json.loads(done.stdout)["processes"]}
    assert sorted(processes) == sorted(["postgres", "nats", "mails", *(service.name for service in SERVICES)])
    for service in SERVICES:
        assert processes[service.name]["roles"] == {"api": "ready", "events": "ready", "relay": "ready"}
    table = running.run("status").stdout
    assert max(map(len, table.splitlines())) <= 80


def test_a_second_up_in_the_same_folder_is_refused(running: Suite) -> None:
    refused = running.run_apart("up")
    assert refused.returncode == 1
    assert "runs in" in refused.stderr
