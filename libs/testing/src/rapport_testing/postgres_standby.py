"""A standby that lagged: what a base backup held takes the place of a server that is lost."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from rapport_testing.child import ProcessError, launch_command
from rapport_testing.postgres import PostgresServer
from rapport_testing.postgres_binaries import choose_user, program_for


def base_backup(primary: PostgresServer, folder: Path) -> None:
    """Copy a running cluster, as of now, into a folder that does not exist yet.

    Raises:
        ProcessError: The copy failed.
    """
    run_as, access = choose_user(None), primary.access
    command = [str(program_for(run_as, "pg_basebackup")), "-D", str(folder), "-h", access.host, "-p", str(access.port)]
    command += ["-U", access.user, "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
    done = subprocess.run(  # noqa: S603 - our own binary
        launch_command(command, run_as=run_as, parent_pid=None), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ProcessError(f"the base backup failed:\n{done.stderr}")
    (folder / "standby.signal").touch()


def replace_lost(primary: PostgresServer, standby_folder: Path, lost_folder: Path) -> None:
    """Start a standby where a killed server was; what that one had goes to another folder.

    Raises:
        ProcessError: The primary still runs, or the standby did not start.
    """
    if primary.is_running:
        raise ProcessError("the primary still runs")
    shutil.move(primary.data_folder, lost_folder)
    shutil.move(standby_folder, primary.data_folder)
    primary.start()


def promote(standby: PostgresServer) -> None:
    """Let a standby take writes, on a timeline of its own."""
    standby.execute("SELECT pg_promote(true, 60)")
