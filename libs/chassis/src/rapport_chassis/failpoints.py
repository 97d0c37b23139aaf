"""Named places where a test can kill, stop or fail a real process.

A failpoint that is not armed costs one look at an empty dict.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

VARIABLE: Final = "RAPPORT_FAILPOINTS"
"""Environment variable that arms failpoints: `name=kill;other=raise@3`."""

_SPEC: Final = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<action>kill|stop|raise)(?:@(?P<passage>[1-9][0-9]*))?")


class FailpointError(Exception):
    """Raised at a failpoint armed with `raise`."""


@dataclass(slots=True)
class _Armed:
    action: Literal["kill", "stop", "raise"]
    at_passage: int | None
    passages: int = 0


_armed: dict[str, _Armed] = {}


def failpoint(name: str) -> None:
    """Do nothing, unless a test armed this name: then kill or stop this process, or raise.

    Raises:
        FailpointError: Armed with `raise`.
    """
    if _armed:
        _pass(name)


def arm(specification: str) -> None:
    """Arm failpoints of this process, in place of those armed before.

    Args:
        specification: `name=action` or `name=action@n`, separated by `;`. Actions: `kill` (SIGKILL to itself), `stop`
            (SIGSTOP to itself), `raise`. With `@n` only the n-th passage acts; without, each does.

    Raises:
        ValueError: The specification cannot be read.
    """
    armed: dict[str, _Armed] = {}
    for part in filter(None, (piece.strip() for piece in specification.split(";"))):
        match = _SPEC.fullmatch(part)
        if match is None:
            raise ValueError(f"not a failpoint: {part!r}; expected name=kill|stop|raise[@n]")
        passage = match["passage"]
        armed[match["name"]] = _Armed(match["action"], int(passage) if passage else None)  # type: ignore[arg-type]
    _armed.clear()
    _armed.update(armed)


def disarm() -> None:
    """Make every failpoint of this process a no-op again."""
    _armed.clear()


def arm_from_environment(environment: str, variables: Mapping[str, str] = os.environ) -> None:
    """Arm what the environment variable names.

    Args:
        environment: The installation's environment; "production" arms nothing.
        variables: Where to look; the process's environment variables.

    Raises:
        ValueError: The variable is set in production, or cannot be read.
    """
    specification = variables.get(VARIABLE, "")
    if not specification:
        return
    if environment == "production":
        raise ValueError(f"{VARIABLE} is refused in production")
    arm(specification)


def _pass(name: str) -> None:
    armed = _armed.get(name)
    if armed is None:
        return
    armed.passages += 1
    if armed.at_passage is not None and armed.passages != armed.at_passage:
        return
    if armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        raise FailpointError(name)
