"""Sends to people who allow it, and to nobody else: a program of a platform team, with a consent gate inside.

    python -m rapport_privacy.examples.sender PURPOSE PERSON… [--brand BRAND] [--rounds N] [--every SECONDS]

It goes round its people, and prints a line of JSON whenever the answer about one of them has changed. Where the ledger
is, and with which certificate it may be followed, is said by the variables RAPPORT_GATE__….
"""

import argparse
import asyncio
import json
import sys
import time

from rapport_chassis.telemetry.logs import configure_logging

from rapport_privacy.decision import Decision
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.telemetry import LOG_KEYS
from rapport_privacy.vocabulary import Answer, Reason


async def main() -> None:
    """Go round."""
    options = _options()
    configure_logging("sender", "1", stream=sys.stderr, keys=LOG_KEYS)
    seen: dict[str, int] = {}
    async with ConsentGate.open() as gate:
        # It would be right without waiting, too: a gate that does not know yet denies.
        await gate.ready()
        for _ in range(options.rounds):
            for person in options.people:
                # Asked at the instant of the effect, and anew for each: an answer is worth nothing later.
                decision = gate.check(person, options.purpose, brand_id=options.brand)
                if decision:
                    send(person, because_of=decision.reference)
                if seen.get(person) != decision.answer:
                    seen[person] = decision.answer
                    print(_line(person, decision), flush=True)
            await asyncio.sleep(options.every)


def send(person: str, *, because_of: str) -> None:
    """Send. A real sender keeps the reference, `position` and `as_of` of the decision beside what it sent."""


def _line(person: str, decision: Decision) -> str:
    return json.dumps(
        {
            "at": time.clock_gettime(time.CLOCK_BOOTTIME),
            "person": person,
            "answer": Answer(decision.answer).name,
            "reason": Reason(decision.reason).name,
            "reference": decision.reference,
            "position": decision.position,
        }
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("purpose")
    parser.add_argument("people", nargs="+", metavar="PERSON")
    parser.add_argument("--brand", default="")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--every", type=float, default=0.001)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
