"""What goes on in the background: following the log, and which models serve."""

from __future__ import annotations

from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.commits import Commits
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Meter

from rapport_churn.app.states import States
from rapport_churn.domain.holdout import is_held_out
from rapport_churn.telemetry import POSITION, STATES

_LOOK_S: Final = 10.0
_SALT: Final = "SELECT holdout_salt FROM log_head"


class Following(Background):
    """The component that keeps states current with the log.

    Args:
        states: The states.
        every_s: How often, while something is written.
        commits: Says when something was.
        meter: Is told how much there is.
    """

    name = "log"
    role: Literal["all"] = "all"

    def __init__(self, states: States, every_s: float, commits: Commits, meter: Meter) -> None:
        self._states = states
        self._every_s = every_s
        self._commits = commits
        self._followed = False
        self._position = meter.gauge(POSITION).of()
        self._held = meter.gauge(STATES).of()

    async def check(self) -> None:
        """Return once the log has been read.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._followed:
            raise CHASSIS_ERRORS.error("NOT_READY", "the event log has not been read yet")

    async def run(self) -> None:
        """Follow."""
        failing = False
        while True:
            mark = self._commits.mark
            try:
                await self._states.catch_up()
                self._followed, failing = True, False
            except RapportError as error:
                if not failing:
                    get_logger().warning("log_not_read", component=self.name, reason=error.reason.name)
                failing = True
            self._position.set(self._states.position)
            self._held.set(len(self._states))
            await self._commits.since(mark, pace_s=self._every_s, at_most_s=self._every_s if failing else _LOOK_S)


class Holdout(Background):
    """Says whom chance holds out, once it has read what the installation has drawn: `HoldsOut`.

    Args:
        database: Where that is.
        share: Share of customers who are held out.
        clock: Paces.
    """

    name = "holdout"
    role: Literal["all"] = "all"

    def __init__(self, database: Database, share: float, clock: Clock) -> None:
        self._database = database
        self._share = share
        self._clock = clock
        self._salt = b""

    def __call__(self, profile_id: str) -> bool:
        """Whether chance holds a customer out.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._salt:
            raise CHASSIS_ERRORS.error("NOT_READY", "it is not known yet whom chance holds out")
        return is_held_out(self._salt, profile_id, self._share)

    async def run(self) -> None:
        """Read it, once."""
        while not self._salt:
            try:
                async with self._database.transaction() as connection:
                    row = await (await connection.execute(_SALT)).fetchone()
            except RapportError:
                await self._clock.sleep(1.0)
            else:
                assert row is not None
                self._salt = bytes(row[0])
