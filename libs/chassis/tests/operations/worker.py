"""A process that works on operations until it is killed: `python worker.py DSN`."""

import asyncio
import sys

from google.protobuf.message import Message
from pydantic import SecretStr
from rapport_chassis.database.engine import Database
from rapport_chassis.operations import OperationRunner, Running
from rapport_chassis.settings import DatabaseSettings


async def _never_ends(running: Running) -> Message:
    await running.report(0.25)
    return await asyncio.get_running_loop().create_future()


async def _main(dsn: str) -> None:
    database = Database(DatabaseSettings(dsn=SecretStr(dsn)), service="sample")
    await database.open()
    runner = OperationRunner(database, lease_s=1, poll_s=0.05)
    runner.register("sample.v1.Sample/Train", _never_ends)
    await runner.start()
    await asyncio.get_running_loop().create_future()


asyncio.run(_main(sys.argv[1]))
