"""`python -m rapport_chassis.database NAME`: makes a database and its two roles on a server that exists.

NAME is a service, or another database of one, such as `identity_keys`. What exists is brought to the same state. The
passwords come from files, so that none is in a command line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from rapport_chassis.database.roles import RolePasswords, create_service_database


def main(arguments: Sequence[str] | None = None) -> int:
    """Make it and return the exit code: 1 where the server refused or could not be reached."""
    parser = argparse.ArgumentParser(prog="python -m rapport_chassis.database", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--admin-dsn-file", type=Path, required=True, help="who may create databases and roles")
    parser.add_argument("--passwords", type=Path, required=True, help="folder with the files `owner` and `runtime`")
    options = parser.parse_args(arguments)
    owner, runtime = ((options.passwords / role).read_text(encoding="utf-8").strip() for role in ("owner", "runtime"))
    admin_dsn = options.admin_dsn_file.read_text(encoding="utf-8").strip()
    try:
        made = create_service_database(admin_dsn, options.name, RolePasswords(owner=owner, runtime=runtime))
    except psycopg.Error as error:
        sys.stderr.write(f"{options.name}: {type(error).__name__} {error.sqlstate or ''}\n")
        return 1
    sys.stdout.write(f"{made.name}: owned by {made.owner_role}, used by {made.runtime_role}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
