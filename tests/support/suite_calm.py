"""The main job as it goes when nothing goes wrong, once for all tests: what they compare with, and people they know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from suite import Suite
from suite_authoring import author
from suite_job import MainJob
from suite_people import Person
from suite_shop import open_shop
from suite_state import State, observe


@dataclass(frozen=True)
class Calm:
    """An undisturbed run.

    Attributes:
        base: The time that everything was counted back from.
        people: Who took part, by number.
        ids: For each of them, the ids that were issued: "crm" or "app" -> profile id.
        states: What every service holds of them.
    """

    base: datetime
    people: Mapping[str, Person]
    ids: Mapping[str, Mapping[str, str]]
    states: Mapping[str, State]


async def undisturbed(suite: Suite, people: int, base: datetime) -> Calm:
    """Author what is needed, and run the main job."""
    async with open_shop(suite) as shop:
        await author(shop)
        job = MainJob(shop, "calm", people, base)
        await job.run()
        observed = await observe(shop, job.names(), base)
    return Calm(
        base,
        {str(person.number): person for person in job.people},
        {str(person.number): job.ids[person.key] for person in job.people},
        observed.states,
    )
