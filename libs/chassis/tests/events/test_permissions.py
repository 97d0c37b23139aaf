"""Users of the broker as declared: each service can do what it needs, and nothing to another's subjects."""

import asyncio
import contextlib
import dataclasses

import nats
import pytest
from rapport.identity.v1 import events_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.events import provision, topology
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.dead_letters import DeadLetters
from rapport_chassis.events.eraser import Eraser
from rapport_chassis.events.jetstream import JetStreamApi, JetStreamError
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.events.tls import client_context
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.settings import NatsSettings, TlsFiles
from rapport_testing.events import append, count, granted, profiles_merged
from rapport_testing.nats import NatsServer, NatsUser
from rapport_testing.pki import LocalAuthority
from rapport_testing.waiting import eventually

PEOPLE = ("consent", "identity", "churn", "pricing", "consent-eraser", "provision", "cli", "sender", "stranger")


@dataclasses.dataclass
class Secured:
    """A broker with TLS and the declared users."""

    server: NatsServer
    authority: LocalAuthority

    def settings(self, name):
        files = self.authority.files(name)
        tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
        return NatsSettings(url=self.server.url, tls=tls, stream_max_bytes=2**28)

    async def refusal(self, name, subject):
        """Send a request as a user, and return what is said about it where it is not answered."""
        wire = await Wire.open(self.settings(name), user=name)
        try:
            with pytest.raises(RapportError) as refused:
                await wire.request(subject, b"{}")
        finally:
            wire.close()
        return refused.value.message

    async def connect(self, name, **options):
        settings = self.settings(name)
        return await nats.connect(
            settings.url, tls=client_context(settings.tls), inbox_prefix=f"_INBOX.{name}", **options
        )


@contextlib.contextmanager
def secured_broker(folder, declared):
    authority = LocalAuthority(folder / "authority")
    for name in ("nats", *PEOPLE):
        authority.issue(name)
    users = [
        NatsUser(user.uri, user.publish, user.subscribe) for user in topology.load(declared, gates=["sender"]).users
    ]
    server = NatsServer(folder / "nats", users=users, tls=authority.files("nats"))
    server.start()
    broker = Secured(server, authority)
    asyncio.run(provision.provision(broker.settings("provision"), declared, check=False))
    yield broker
    server.stop()


@pytest.fixture(scope="module")
def closed(tmp_path_factory, declared):
    """A broker for those who are refused, and so leave it as it was."""
    with secured_broker(tmp_path_factory.mktemp("closed"), declared) as broker:
        yield broker


@pytest.fixture
def secured(tmp_path, declared):
    with secured_broker(tmp_path, declared) as broker:
        yield broker


@pytest.mark.parametrize(
    ("who", "subject"),
    [
        ("consent", "rapport.identity.v1.profiles_merged.01"),
        ("consent", "rapport.dlq.churn.churn-features"),
        ("consent", "rapport.retry.consent.consent-profiles"),
        ("consent", "$JS.API.STREAM.DELETE.RAPPORT_CONSENT"),
        ("consent", "$JS.API.STREAM.PURGE.RAPPORT_CONSENT"),
        ("consent", "$JS.API.STREAM.UPDATE.RAPPORT_CONSENT"),
        ("consent", "$JS.API.STREAM.CREATE.MINE"),
        ("consent", "$JS.API.STREAM.MSG.DELETE.RAPPORT_CONSENT"),
        ("consent", "$JS.API.CONSUMER.DURABLE.CREATE.RAPPORT_IDENTITY.consent-profiles"),
        ("consent", "$JS.API.CONSUMER.CREATE.RAPPORT_IDENTITY"),
        ("consent", "$JS.API.CONSUMER.DELETE.RAPPORT_IDENTITY.consent-profiles"),
        ("churn", "rapport.consent.v1.consent_granted.01"),
        ("churn", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_IDENTITY.consent-profiles"),
        ("churn", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_RETRY.consent-profiles"),
        ("churn", "$JS.ACK.RAPPORT_IDENTITY.consent-profiles.1.1.1.1.0"),
        ("churn", "$JS.API.CONSUMER.CREATE.RAPPORT_CONSENT.name.rapport.consent.v1.>"),
        ("churn", "$JS.API.CONSUMER.DURABLE.CREATE.RAPPORT_CONSENT.mine"),
        ("churn", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_CONSENT.other"),
        ("identity", "$JS.API.STREAM.MSG.GET.RAPPORT_CHURN"),
        ("identity", "$JS.API.STREAM.MSG.GET.RAPPORT_PRICING"),
        ("pricing", "$JS.API.STREAM.MSG.GET.RAPPORT_NOTIFICATION"),
        ("consent-eraser", "$JS.API.STREAM.MSG.DELETE.RAPPORT_IDENTITY"),
        ("consent-eraser", "rapport.consent.v1.consent_granted.01"),
        ("cli", "$JS.API.STREAM.MSG.DELETE.RAPPORT_CONSENT"),
        ("cli", "rapport.consent.v1.consent_granted.01"),
        ("provision", "rapport.consent.v1.consent_granted.01"),
        ("sender", "rapport.consent.v1.consent_granted.01"),
        ("sender", "rapport.dlq.consent.consent-profiles"),
        ("sender", "$JS.API.CONSUMER.CREATE.RAPPORT_IDENTITY"),
        ("sender", "$JS.API.CONSUMER.DURABLE.CREATE.RAPPORT_CONSENT.mine"),
        ("sender", "$JS.API.STREAM.MSG.GET.RAPPORT_CONSENT"),
        ("sender", "$JS.API.STREAM.INFO.RAPPORT_IDENTITY"),
    ],
)
async def test_what_is_not_a_users_own_is_closed_to_it(closed, who, subject):
    assert "Permissions Violation" in await closed.refusal(who, subject)


async def test_nobody_listens_to_anothers_answers_or_events(closed):
    errors = []

    async def refused(error):
        errors.append(str(error))

    client = await closed.connect("churn", error_cb=refused)
    for subject in ("_INBOX.consent.>", "_INBOX.>", "rapport.>", "$JS.API.>", ">"):
        await client.subscribe(subject)
    await client.flush()
    try:
        await eventually(
            lambda: sum("permissions violation for subscription" in error.lower() for error in errors) == 5
        )
    finally:
        await client.close()


async def test_answers_to_anothers_inbox_cannot_be_asked_for(closed):
    with pytest.raises(WireError):
        await Wire.open(closed.settings("churn"), user="consent")


async def test_a_durable_cannot_be_made_or_changed_through_the_subject_of_ephemeral_ones(closed):
    wire = await Wire.open(closed.settings("churn"), user="churn")
    api = JetStreamApi(wire)
    durable = {"stream_name": "RAPPORT_CONSENT", "config": {"durable_name": "mine", "ack_policy": "explicit"}}
    with pytest.raises(JetStreamError):
        await api.call("CONSUMER.CREATE.RAPPORT_CONSENT", durable)
    wire.close()


@pytest.mark.parametrize("name", ["stranger", None])
async def test_a_certificate_that_names_no_user_and_none_at_all_are_turned_away(closed, name):
    settings = closed.settings(name) if name else NatsSettings(url=closed.server.url)
    with pytest.raises(WireError):
        await Wire.open(settings, user=name or "consent")


async def test_a_service_publishes_takes_in_gives_up_and_erases_with_its_own_certificates(
    secured, service_database, telemetry
):
    taken = []

    async def handler(event, connection):
        taken.append(event.id)
        if len(taken) == 1:
            raise LookupError

    connection = NatsConnection(secured.settings("consent"), user="consent")
    relay = Relay("consent", database=service_database, nats=secured.settings("consent"), telemetry=telemetry)
    consumer = Consumer(
        "consent-profiles",
        "identity",
        handler,
        context="consent",
        events=[events_pb2.ProfilesMerged, events_pb2.ProfileSplit],
        nats=connection,
        database=service_database,
        telemetry=telemetry,
        release="1",
        nak_delays_s=(0.05,),
    )
    parts = (connection, relay, consumer)
    for part in parts:
        await part.start()
    event = profiles_merged()
    broken = profiles_merged()
    broken.message.cause = 0  # type: ignore[attr-defined]
    for each in (event, broken):
        identity = await Wire.open(secured.settings("identity"), user="identity")
        await JetStreamApi(identity).publish(each.subject, each.payload(), each.headers())
        identity.close()
    await append(service_database, granted("prf_" + "e" * 22))

    async def is_done():
        return taken == [event.id] * 2 and await count(service_database, "published") == 1

    await eventually(is_done, 20)
    cli = await Wire.open(secured.settings("cli"), user="cli")
    letters = DeadLetters(JetStreamApi(cli), prefix="RAPPORT")

    async def given_up():
        return [letter.reason for letter in await letters.list()] == ["EVENT_INVALID"]

    await eventually(given_up, 20)
    (letter,) = await letters.list()
    assert (await letters.original(letter)).headers["ce-id"] == broken.id
    await letters.replay(letter.number)

    async def came_back():
        return [found.number > letter.number for found in await letters.list()] == [True]

    await eventually(came_back, 20)
    cli.close()
    eraser = Eraser("consent", database=service_database, nats=secured.settings("consent-eraser"))
    assert (await eraser.erase(["prf_" + "e" * 22])).deleted == 1
    for part in reversed(parts):
        await part.stop()


async def test_every_service_may_follow_the_consent_stream_by_an_ordered_consumer(secured):
    consent = await Wire.open(secured.settings("consent"), user="consent")
    event = granted()
    await JetStreamApi(consent).publish(event.subject, event.payload(), event.headers())
    consent.close()
    client = await secured.connect("churn")
    found = []

    async def take(message):
        found.append(message.headers["ce-id"])

    subscription = await client.jetstream().subscribe(
        "rapport.consent.v1.>", stream="RAPPORT_CONSENT", ordered_consumer=True, cb=take
    )
    await eventually(lambda: found == [event.id])
    await subscription.unsubscribe()
    await client.close()


async def test_provisioning_again_finds_nothing_to_mend_and_a_service_may_not_provision(secured, declared):
    assert await provision.provision(secured.settings("provision"), declared, check=True) == []
    with pytest.raises((RapportError, WireError)):
        await provision.provision(secured.settings("consent"), declared, check=False)


async def test_a_renewed_certificate_is_used_for_the_next_connection(secured):
    connection = NatsConnection(secured.settings("consent"), user="consent")
    await connection.start()
    await connection.client()
    secured.authority.rotate_authority()
    for name in ("nats", "consent"):
        secured.authority.issue(name)
    secured.authority.retire_previous()
    await asyncio.to_thread(secured.server.restart)

    async def is_back():
        return connection.is_connected and await connection.jetstream.stream_info("RAPPORT_CONSENT")

    await eventually(is_back, 20)
    await connection.stop()
