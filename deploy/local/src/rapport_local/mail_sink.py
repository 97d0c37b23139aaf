"""The mail server of the local environment: it takes every mail, and puts it into a folder to be looked at.

`python -m rapport_local.mail_sink PORT FOLDER`
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from rapport_notification.conformance.smtp_sink import SmtpSink

from rapport_local.environment import HOST


async def serve(port: int, folder: Path) -> None:
    """Take mails until SIGTERM or SIGINT."""
    sink = SmtpSink(dsn=True, folder=folder)
    sink.address = (HOST, port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with sink:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
