"""What services hold of people, in a form in which two runs can be compared, and whether anything is under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import psycopg
from rapport.churn.v1 import churn_pb2
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import profile_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_local.databases import database_settings
from rapport_local.services import service_named
from suite import SERVICE_NAMES, Suite
from suite_authoring import PURPOSES
from suite_shop import Shop
from suite_streams import Streams

Names: TypeAlias = Mapping[str, str]
"""Every profile id that was issued for a person -> what a test calls it, such as "crm"."""

State: TypeAlias = dict[str, Any]
"""What is held of a person, without ids and times of the run."""

_UNDER_WAY: Final[Mapping[str, Mapping[str, str]]] = {
    "identity": {"purposes to be decided on": "SELECT count(*) FROM undecided_purposes"},
    "churn": {
        "rescorings of whom was heard": "SELECT count(*) FROM rescoring, log_head"
        " WHERE rescoring.position < log_head.position",
        "scores that are due": "SELECT count(*) FROM scores WHERE rescore_at <= now()",
    },
    "notification": {
        # taken on, being handed over, or in doubt
        "messages to be sent": "SELECT count(*) FROM notifications WHERE state IN (1, 3, 5)"
        " AND due_us <= 1000000 * extract(epoch FROM now())",
    },
}
"""What each service has still to do, beside publishing: in words, and how it is counted."""
_SENT: Final = 4
_SETTLED: Final = 6
PURPOSES_OF: Final = (
    "(SELECT string_agg(permit ->> 'purpose', ' ' ORDER BY permit ->> 'purpose')"
    " FROM jsonb_array_elements(permits) AS permit)"
)
"""The purposes that a touchpoint of identity's may serve, in SQL."""
_OWN_PURPOSES: Final = ", ".join(f"'{each}'" for each in PURPOSES)  # other tests author others


async def rows(suite: Suite, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query in a service's database, read as its owner."""
    found = service_named(service)
    assert found is not None
    dsn = database_settings(suite.environment, found).owner_dsn
    assert dsn is not None
    async with await psycopg.AsyncConnection.connect(dsn.get_secret_value(), connect_timeout=5) as connection:
        return await (await connection.execute(query.encode(), values or None)).fetchall()


async def unsettled(suite: Suite) -> list[str]:
    """Return what is on its way: of the first service that has any, else events that are not delivered yet."""
    for service in SERVICE_NAMES:
        counts = {"events to be published": "SELECT count(*) FROM outbox", **_UNDER_WAY.get(service, {})}
        query = ", ".join(f"({each})" for each in counts.values())
        (found,) = await rows(suite, service, f"SELECT {query}")
        if any(found):
            return [f"{service}: {count} {what}" for what, count in zip(counts, found, strict=True) if count]
    return await Streams(suite).undelivered()


async def scored(suite: Suite, profile_ids: Sequence[str]) -> int:
    """Return how many of these profiles have a score."""
    query = "SELECT count(*) FROM scores WHERE profile_id = ANY (%s) AND model_id <> ''"
    return int((await rows(suite, "churn", query, list(profile_ids)))[0][0])


@dataclass(frozen=True)
class Observed:
    """What every service holds of some people.

    Attributes:
        states: By person.
        dead_letters: How many there are.
    """

    states: Mapping[str, State]
    dead_letters: int


async def observe(shop: Shop, people: Mapping[str, Names], as_of: datetime) -> Observed:
    """Return what every service holds of people.

    Args:
        shop: Asks.
        people: The ids of each.
        as_of: The time that features are of.
    """
    held = _Held(shop, {each for names in people.values() for each in names})
    await held.read()
    states = {person: await held.state(names, as_of) for person, names in people.items()}
    return Observed(states, await Streams(shop.suite).dead())


class _Held:
    """The rows of all services about some ids, read at once, and a person's part of them."""

    def __init__(self, shop: Shop, ids: Collection[str]) -> None:
        self._shop = shop
        self._ids = sorted(ids)
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    async def read(self) -> None:
        for what, service, query in (
            (
                "touchpoints",
                "identity",
                f"SELECT profile_id, type, occurred_at, {PURPOSES_OF} FROM facts WHERE profile_id = ANY (%s)",
            ),
            (
                "ledger",
                "consent",
                # A split that is heard of before the merge leaves no row of the merge, and the same consents.
                "SELECT named_id, kind, purpose_id, brand_id FROM ledger WHERE named_id = ANY (%s)"
                f" AND kind NOT IN ('merge', 'split') AND purpose_id IN ({_OWN_PURPOSES})",
            ),
            (
                "log",
                "churn",
                "SELECT profile_id, kind, occurred_at, value FROM facts WHERE profile_id = ANY (%s) AND kind <= 6",
            ),
            ("effects", "churn", "SELECT profile_id, kind FROM facts WHERE profile_id = ANY (%s) AND kind > 6"),
            ("risk", "churn", "SELECT profile_id, risk, segment, tier FROM scores WHERE profile_id = ANY (%s)"),
            (
                "offers",
                "pricing",
                # Of one who takes everything back it ends because of that, or because the risk does.
                "SELECT profile_id, CASE WHEN state IN ('withdrawn', 'not_permitted') THEN 'ended' ELSE state END,"
                " treatment, promotion_id FROM offers WHERE profile_id = ANY (%s)",
            ),
            (
                "messages",
                "notification",
                "SELECT recipient_id, notification_id, template_id, state FROM notifications"
                " WHERE recipient_id = ANY (%s)",
            ),
        ):
            self._rows[what] = await rows(self._shop.suite, service, query, self._ids)

    async def state(self, names: Names, as_of: datetime) -> State:
        profiles = {
            each: await self._shop.identity.GetProfile(profile_pb2.GetProfileRequest(profile_id=each)) for each in names
        }
        current = {each: names[profile.profile_id] for each, profile in profiles.items()}
        consents = {
            name: (await self._shop.consent.GetConsentState(consent_pb2.GetConsentStateRequest(profile_id=each))).states
            for each, name in names.items()
        }
        return {
            "profiles": {names[each]: (current[each], profiles[each].state.record_count) for each in names},
            "consents": {
                name: sorted((k.purpose_id, k.brand_id, k.status) for k in found if k.purpose_id in PURPOSES)
                for name, found in consents.items()
            },
            "touchpoints": self._counted("touchpoints", names),
            "ledger": self._counted("ledger", names),
            "log": self._counted("log", names),
            "effects": self._counted("effects", names),
            "risk": self._counted("risk", names),
            "offers": self._counted("offers", names),
            "messages": self._counted("messages", names, skip=1),
            "mails": self._mails(names, _SENT),
            "doubted mails": self._mails(names, _SETTLED),
            "features": {
                name: await self._features(each, as_of) for each, name in names.items() if current[each] == name
            },
        }

    def _counted(self, what: str, names: Names, *, skip: int = 0) -> Counter[tuple[Any, ...]]:
        """How often each row is there, of which the id says whom it is about."""
        return Counter((names[row[0]], *row[1 + skip :]) for row in self._rows[what] if row[0] in names)

    def _mails(self, names: Names, state: int) -> Counter[tuple[str, int]]:
        """How many mails have gone out for each message that is in this state."""
        folder = self._shop.suite.environment.mails
        return Counter(
            (names[row[0]], len(list(folder.glob(f"{row[1]}.*.eml"))))
            for row in self._rows["messages"]
            if row[0] in names and row[3] == state
        )

    async def _features(self, profile_id: str, as_of: datetime) -> Sequence[tuple[str, float | None]]:
        request = churn_pb2.GetFeaturesRequest(profile_id=profile_id, as_of=stamp(as_of))
        try:
            found = await self._shop.churn.GetFeatures(request)
        except RemoteError as refused:
            return [(refused.reason.name, None)]
        return [(each.name, each.value if each.HasField("value") else None) for each in found.features]
