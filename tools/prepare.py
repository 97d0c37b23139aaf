"""Makes the files that an installation in containers needs: certificates, passwords, users of NATS, permissions.

    python tools/prepare.py deploy/compose/state

What exists stays, so that running it again adds only what is missing. In production certificates come from your own
authority and passwords from your own vault; the folder shows which are needed, and what they are called.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Final

import yaml
from manifest_table import TLS, TRUST_DOMAIN, Deployed, deployed, policy
from rapport_chassis.database.roles import ServiceDatabase
from rapport_chassis.events import topology
from rapport_chassis.events.provision import PROVISION_USER
from rapport_testing.pki import LocalAuthority

CLI: Final = "cli"
_KEY_BYTES: Final = 32
_NATS: Final = """\
server_name: nats
port: 4222
http: 127.0.0.1:8222
tls {{ cert_file: "{tls}/tls.crt", key_file: "{tls}/tls.key", ca_file: "{tls}/ca.crt", verify_and_map: true }}
jetstream {{ store_dir: "/data" }}
authorization: {users}
"""


def main() -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--postgres", default="postgres", help="host of PostgreSQL")
    options = parser.parse_args()
    prepare(options.folder, postgres=options.postgres)
    print(f"{options.folder}: ready for {', '.join(service.name for service in deployed())}")
    return 0


def prepare(folder: Path, *, postgres: str) -> None:
    """Make what is missing in a folder.

    Args:
        folder: Where.
        postgres: Host of PostgreSQL, as services reach it.
    """
    found = deployed()
    _certificates(folder / "certificates", found)
    admin = _password(folder / "admin" / "password")
    _write(folder / "admin" / "dsn", f"host={postgres} user=postgres password={admin} dbname=postgres")
    for service in found:
        for key_file in service.key_files():
            path = folder / "keys" / service.name / key_file
            if not path.exists():
                _write(path, secrets.token_hex(_KEY_BYTES))
        for database in service.local.databases:
            names = ServiceDatabase.of(database.name)
            owner, runtime = (_password(folder / "passwords" / database.name / role) for role in ("owner", "runtime"))
            dsn = f"host={postgres} dbname={names.name} user={names.runtime_role} password={runtime}"
            owner_dsn = f"host={postgres} dbname={names.name} user={names.owner_role} password={owner}"
            for phase, kinds in (("run", {"dsn": dsn}), ("migrate", {"dsn": dsn, "owner_dsn": owner_dsn})):
                for kind, value in kinds.items():
                    _write(folder / "secrets" / service.name / phase / database.secret(kind), value)
    allowed = policy()
    allowed["certificates"][f"spiffe://{TRUST_DOMAIN}/{CLI}"] = allowed["roles"]["administrator"]
    _write(folder / "access" / "policy.yaml", yaml.safe_dump(allowed, sort_keys=False))
    _write(folder / "access" / "issuers.json", json.dumps({"issuers": []}))
    users = json.dumps(topology.load(topology.DECLARED).authorization(), indent=2)
    _write(folder / "nats" / "nats.conf", _NATS.format(tls=TLS, users=users))


def _certificates(folder: Path, found: list[Deployed]) -> None:
    authority = LocalAuthority(folder)
    for holder in ["nats", CLI, PROVISION_USER, *(each for service in found for each in service.local.certificates)]:
        if not authority.files(holder).certificate.exists():
            authority.issue(holder, dns=(holder, "localhost"), days=365)
            authority.files(holder).key.chmod(0o644)  # the container's user is another one than who runs this


def _password(path: Path) -> str:
    if not path.exists():
        _write(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
