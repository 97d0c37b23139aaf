"""Named points at which a service under test is made to fail: what the harness puts into its environment."""

from __future__ import annotations

import re

from rapport_chassis.failpoints import VARIABLE

_ARMED = re.compile(r"[a-z][a-z0-9_.-]*=(kill|stop|raise)(@[1-9][0-9]*)?")


def failpoint_variables(*failpoints: str) -> dict[str, str]:
    """Return the environment variables that arm these failpoints, each `name=action` or `name=action@passage`.

    Actions are those of `rapport_chassis.failpoints`: `kill`, `stop` and `raise`.

    Raises:
        ValueError: One is malformed: the service would refuse to start, far from the mistake.
    """
    for each in failpoints:
        if not _ARMED.fullmatch(each):
            raise ValueError(f"not a failpoint: {each!r}; expected name=kill|stop|raise[@n]")
    return {VARIABLE: ";".join(failpoints)} if failpoints else {}
