"""Messages written by the process that renders."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_notification.app.carriers import Texts
from rapport_notification.app.previewing import Job, NotWritten
from rapport_notification.templates import worker as rendering


class Writing:
    """Writes messages.

    Args:
        worker: Renders.
    """

    def __init__(self, worker: rendering.RenderWorker) -> None:
        self._worker = worker

    async def write(self, jobs: Sequence[Job]) -> list[Texts | NotWritten]:
        """Return for each message its texts, or why there are none."""
        found = await self._worker.render([rendering.Job(*job) for job in jobs])
        return [
            Texts(each.subject, each.text, each.html) if isinstance(each, rendering.Rendered) else NotWritten(str(each))
            for each in found
        ]
