"""The page about one service alone: its commands, one after the other, against servers that exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rapport_chassis.events.topology import DECLARED
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation, TestedService

ROOT = Path(__file__).resolve().parents[2]


def test_commands_of_the_page_take_a_service_to_servers_that_exist(tmp_path: Path) -> None:
    text = (ROOT / "deploy/ONE_SERVICE.md").read_text(encoding="utf-8")
    script = "set -eumo pipefail\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    port = str(free_port("127.0.0.1"))
    script = script.replace("50051", port).replace("rpc.probe ", f"rpc.probe --address 127.0.0.1:{port} ")
    servers = Installation(TestedService("consent", tmp_path / "unused", DECLARED, {}), tmp_path / "servers")
    desk = tmp_path / "desk"
    desk.mkdir()
    try:
        servers.postgres.start()
        servers.nats.start()
        (desk / "admin").write_text(servers.postgres.dsn("postgres"), encoding="utf-8")
        own, _ = (servers.certificate(holder) for holder in ("consent", "provision"))
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "POSTGRES_HOST": str(servers.postgres.socket_folder),
            "ADMIN_DSN_FILE": "admin",
            "NATS_URL": servers.nats.url,
            "CERTIFICATES": str(own.certificate.parents[1]),
        }
        done = subprocess.run(
            ["bash", "-c", script], cwd=desk, env=variables, capture_output=True, text=True, check=False, timeout=90
        )
    finally:
        servers.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rapport_consent: owned by rapport_consent_owner, used by rapport_consent" in done.stdout
    assert "migrated" in done.stdout
    assert not [line for line in done.stdout.splitlines() if "password=" in line]
