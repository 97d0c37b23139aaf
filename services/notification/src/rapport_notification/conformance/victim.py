"""A sender that is made to be killed: the rules of the ledger, a journal on disk and an adapter, in one process.

    python -m rapport_notification.conformance.victim JOURNAL HOST PORT MESSAGES CONNECTIONS [lookup]

It sends every message of the journal that is not at its end, and leaves when all are. The journal has a line for each
step, written and synced before the step is acted on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import aiosmtplib

from rapport_notification.domain import ledger
from rapport_notification.domain.entries import FINAL, WAITING, Entry, Limits, State, Verdict
from rapport_notification.domain.resolution import BLIND, Capability, Way, resolution
from rapport_notification.domain.vocabulary import MessageClass
from rapport_notification.sending.fields import Address
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings

LIMITS = Limits(lease_us=1_500_000, transfer_us=700_000, margin_us=100_000)
ASKABLE = Capability(look_up_for_us=3_600_000_000)
ENVELOPE = Envelope(Address("b@conformance.example"), Address("a@conformance.example"))


class Journal:
    """The entries of all messages, on disk."""

    def __init__(self, path: Path, messages: int) -> None:
        """Read what is there; a last line that was cut off by a kill was not acted on."""
        self.entries = dict.fromkeys(range(messages), Entry(MessageClass.MARKETING))
        lines = path.read_text(encoding="ascii").split("\n") if path.exists() else []
        for line in lines[:-1]:
            number, fields = json.loads(line)
            fields["message_class"] = MessageClass(fields["message_class"])
            fields["state"] = State(fields["state"])
            fields["verdict"] = Verdict(fields["verdict"]) if fields["verdict"] else None
            self.entries[number] = Entry(**fields)
        # A line that was cut off goes: what follows must begin on a line of its own.
        path.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="ascii")
        self._file = path.open("a", encoding="ascii")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, changes: dict[int, Entry]) -> None:
        """Write steps, and return when they are on disk."""
        for number, entry in changes.items():
            self._file.write(json.dumps([number, asdict(entry)]) + "\n")
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self.entries.update(changes)


class Victim:
    """Sends."""

    def __init__(self, journal: Journal, settings: SmtpSettings, capability: Capability) -> None:
        """Take up what the one before left."""
        self._journal = journal
        self._settings = settings
        self._capability = capability
        self._pool = SmtpPool(settings)

    async def run(self) -> None:
        """Send until every message is at its end."""
        while any(entry.state not in FINAL for entry in self._journal.entries.values()):
            if not await self._send_some():
                await self._settle_some()
        await self._pool.close()

    async def _send_some(self) -> bool:
        """Claim and send as many as there are connections: no more intents can be in doubt at once."""
        now = _now()
        waiting = [
            number
            for number, entry in self._journal.entries.items()
            if entry.state in WAITING and entry.due_us <= now and entry.leased_until_us <= now
        ][: self._settings.connections]
        if not waiting:
            return False
        begun = {}
        for number in waiting:
            claimed = ledger.claim(self._journal.entries[number], now, LIMITS)
            begun[number] = ledger.begin(claimed, claimed.fence, now, LIMITS, "sink")
        self._journal.write(begun)
        handed = await asyncio.gather(*(self._hand_over(number, entry) for number, entry in begun.items()))
        steps = {}
        for (number, entry), outcome in zip(begun.items(), handed, strict=True):
            if outcome is Handed.SENT:
                steps[number] = ledger.sent(entry, entry.fence)
            elif outcome is Handed.UNKNOWN:
                steps[number] = ledger.unknown(entry, entry.fence)
            else:
                steps[number] = ledger.not_sent(entry, entry.fence, retry_us=_now())
        self._journal.write(steps)
        return True

    async def _hand_over(self, number: int, entry: Entry) -> Handed:
        mail = f"Message-ID: <{number}@conformance.example>\r\n\r\n{number}\r\n".encode()
        outcome = await self._pool.send(ENVELOPE, mail, lambda: ledger.may_begin(entry, entry.fence, _now(), LIMITS))
        return outcome.handed

    async def _settle_some(self) -> None:
        now, steps = _now(), {}
        for number, entry in self._journal.entries.items():
            if entry.state is State.INTENT and entry.leased_until_us <= now:
                steps[number] = ledger.recover(entry, now)
            elif entry.state is State.UNKNOWN:
                found = resolution(entry, self._capability, now, LIMITS)
                if found.way is Way.GIVE_UP:
                    steps[number] = ledger.settled_as_ambiguous(entry, entry.fence)
                elif found.way is Way.ASK:
                    seen = await self._ask(number)
                    again = ledger.send_again(entry, entry.fence)
                    steps[number] = ledger.settled_as_sent(entry, entry.attempt) if seen else again
        if steps:
            self._journal.write(steps)
        else:
            await asyncio.sleep(0.02)

    async def _ask(self, number: int) -> bool:
        async with aiosmtplib.SMTP(hostname=self._settings.host, port=self._settings.port, start_tls=False) as client:
            answer = await client.execute_command(b"VRFY", f"{number}@conformance.example".encode())
            return answer.code == 250


def _now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    path, host, port, messages, connections, *can = sys.argv[1:]
    smtp = SmtpSettings(host, int(port), tls="never", connections=int(connections), timeout_s=0.15)
    victim = Victim(Journal(Path(path), int(messages)), smtp, ASKABLE if can else BLIND)
    asyncio.run(victim.run())
