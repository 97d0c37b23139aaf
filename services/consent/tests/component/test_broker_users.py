"""At the broker everybody has a name, and does under it only what is theirs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import nats
import nats.errors
import pytest
from consent_desk import Desk, profile
from consent_events import PROFILE_CONSUMER, STREAM, Identity, merge
from rapport_chassis.events.tls import client_context
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.settings import TlsFiles
from rapport_testing.installation import Installation
from rapport_testing.pki import LocalAuthority
from rapport_testing.waiting import eventually


class Connection:
    """A client with a user's certificate, and what the broker said against it."""

    def __init__(self, installation: Installation, user: str) -> None:
        self._settings = installation.nats_settings(user)
        self._user = user
        self.violations: list[str] = []
        self._asked = 0

    async def __aenter__(self) -> Connection:
        assert self._settings.tls is not None

        async def note(error: Exception) -> None:
            self.violations.append(str(error))

        self.client = await nats.connect(
            self._settings.url,
            tls=client_context(self._settings.tls),
            inbox_prefix=f"_INBOX.{self._user}",
            error_cb=note,
            allow_reconnect=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def publishes(self, subject: str) -> bool:
        """Whether the broker takes a message on the subject from this user."""
        await self.client.publish(subject, b"{}")
        return await self._was_allowed()

    async def subscribes(self, subject: str) -> bool:
        """Whether the broker lets this user listen on the subject."""
        await self.client.subscribe(subject)
        return await self._was_allowed()

    async def _was_allowed(self) -> bool:
        """The broker says no in the order it was asked: what follows is forbidden to all, so its no comes last."""
        self._asked += 1
        last = f"forbidden.{self._asked}"
        await self.client.publish(last, b"{}")
        await eventually(lambda: any(last in each for each in self.violations))
        found, self.violations = self.violations, []
        return len(found) == 1


FOREIGN = [
    "rapport.identity.v1.profiles_merged.00",
    "rapport.pricing.v1.price_changed.00",
    "rapport.dlq.identity.consent-profiles",
    "rapport.retry.consent.consent-profiles",
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.DELETE.RAPPORT_CONSENT",
    "$JS.API.STREAM.PURGE.RAPPORT_CONSENT",
    "$JS.API.STREAM.MSG.DELETE.RAPPORT_CONSENT",
    "$JS.API.STREAM.MSG.DELETE.RAPPORT_PRICING",
    "$JS.API.CONSUMER.CREATE.RAPPORT_IDENTITY",
    "$JS.API.CONSUMER.DURABLE.CREATE.RAPPORT_CONSENT.mine",
    "$JS.API.CONSUMER.DELETE.RAPPORT_IDENTITY.consent-profiles",
    "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_PRICING.consent-profiles",
]


@pytest.mark.parametrize("subject", FOREIGN)
async def test_consent_publishes_nothing_that_is_another_s(installation: Installation, subject: str) -> None:
    async with Connection(installation, "consent") as consent:
        assert not await consent.publishes(subject)


@pytest.mark.parametrize(
    "subject", ["rapport.>", "rapport.identity.v1.>", "_INBOX.identity.>", "_INBOX.>", "$JS.>", ">"]
)
async def test_consent_hears_nothing_but_answers_to_itself(installation: Installation, subject: str) -> None:
    async with Connection(installation, "consent") as consent:
        assert not await consent.subscribes(subject)
        assert await consent.subscribes("_INBOX.consent.mine")


@pytest.mark.parametrize("user", ["identity", "churn", "pricing", "notification", "consent-eraser", "cli"])
async def test_nobody_else_publishes_consent_s_events_or_reads_its_consumer(
    installation: Installation, user: str
) -> None:
    async with Connection(installation, user) as other:
        assert not await other.publishes("rapport.consent.v1.consent_granted.00")
        assert not await other.publishes(f"$JS.API.CONSUMER.MSG.NEXT.RAPPORT_IDENTITY.{PROFILE_CONSUMER}")
        assert not await other.subscribes("_INBOX.consent.>")
        assert not await other.subscribes("rapport.consent.v1.>")


async def test_own_subjects_are_open(installation: Installation) -> None:
    async with Connection(installation, "consent") as consent:
        assert await consent.publishes(f"$JS.API.STREAM.INFO.{STREAM}")
        assert await consent.publishes(f"$JS.API.CONSUMER.INFO.RAPPORT_IDENTITY.{PROFILE_CONSUMER}")
    async with Connection(installation, "identity") as identity:
        assert await identity.publishes("rapport.identity.v1.profile_created.00")


async def test_event_of_a_stranger_never_reaches_the_ledger(desk: Desk) -> None:
    """Pricing says that two people are one: the broker does not even store it."""
    one, other = profile(), profile()
    forged = merge(one, other)
    async with Connection(desk.installation, "pricing") as pricing:
        assert not await pricing.publishes(forged.subject)
    genuine = merge(profile(), profile())
    (sequence,) = await Identity(desk.installation).publish(genuine)
    broker = desk.installation.broker()
    async with broker.api() as api:
        stored = await api.get("RAPPORT_IDENTITY", sequence)
        before = await api.get("RAPPORT_IDENTITY", sequence - 1) if sequence > 1 else None
    assert stored is not None
    assert before is None or before.headers.get("ce-id") != forged.id
    assert (await desk.state(other)).current_profile_id == other


@pytest.mark.parametrize("what", ["unknown user", "expired", "foreign authority", "no certificate"])
async def test_broker_lets_nobody_in_without_a_certificate_it_knows(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory, what: str
) -> None:
    files = installation.authority.issue("stranger")
    if what == "expired":
        files = installation.authority.issue("consent-late", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    if what == "foreign authority":
        files = LocalAuthority(tmp_path_factory.mktemp("elsewhere")).issue("consent")
    settings = installation.nats_settings("consent")
    assert settings.tls is not None
    tls = None
    if what != "no certificate":
        tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=settings.tls.authorities)
    with pytest.raises(WireError):
        await asyncio.wait_for(Wire.open(settings.model_copy(update={"tls": tls}), user="consent"), 20)
