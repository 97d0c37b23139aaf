from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import nats as client_library
import pytest
from nats.aio.client import Client
from nats.errors import Error, NoRespondersError
from rapport_testing.child import ProcessError
from rapport_testing.nats import NatsServer, NatsUser
from rapport_testing.pki import IssuedFiles, LocalAuthority
from rapport_testing.waiting import eventually

Connect = Callable[..., Any]


def user(name: str, **permissions: Any) -> NatsUser:
    return NatsUser(f"spiffe://rapport.local/{name}", **permissions)


def tls(files: IssuedFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.authorities)
    context.load_cert_chain(files.certificate, files.key)
    return context


@pytest.fixture
async def errors() -> list[str]:
    return []


@pytest.fixture
async def connect(errors: list[str]) -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    async def make(url: str, **options: Any) -> Client:
        options = {"allow_reconnect": False, "connect_timeout": 5, "error_cb": note, **options}
        clients.append(await client_library.connect(url, **options))
        return clients[-1]

    yield make
    for each in clients:
        if not each.is_closed:
            await each.close()


@pytest.fixture
def authority(tmp_path: Path) -> LocalAuthority:
    return LocalAuthority(tmp_path / "pki")


@pytest.fixture
def secured(tmp_path: Path, authority: LocalAuthority) -> Any:
    servers: list[NatsServer] = []

    def make(users: Sequence[NatsUser]) -> NatsServer:
        servers.append(NatsServer(tmp_path / "nats", users=users, tls=authority.issue("nats")))
        servers[-1].start()
        return servers[-1]

    yield make
    for each in servers:
        each.stop()


async def test_messages_and_ports_survive_a_kill(nats: NatsServer, connect: Connect) -> None:
    before = await connect(nats.url)
    await before.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    for number in range(100):
        await before.jetstream().publish("kept.it", str(number).encode())
    url = nats.url

    nats.kill()
    await eventually(lambda: before.is_closed)
    nats.start()

    assert nats.url == url
    after = await connect(url)
    assert (await after.jetstream().stream_info("KEPT")).state.messages == 100


async def test_a_client_reconnects_after_a_restart(nats: NatsServer, connect: Connect) -> None:
    client = await connect(nats.url, allow_reconnect=True, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    nats.restart()
    await eventually(lambda: client.is_connected and client.stats["reconnects"] >= 1)
    await client.flush()


async def test_a_foreign_subject_is_denied(secured: Any, authority: LocalAuthority, connect: Connect) -> None:
    server = secured([user("consent", publish=["rapport.consent.>"], subscribe=["_INBOX.>"]), user("churn")])
    denied: list[str] = []

    async def note(error: Exception) -> None:
        denied.append(str(error))

    consent = await connect(server.url, tls=tls(authority.issue("consent")), error_cb=note)

    await consent.publish("rapport.consent.v1.granted.00", b"")
    await consent.flush()
    assert denied == []

    await consent.publish("rapport.churn.v1.score_updated.00", b"")
    await consent.flush()
    await eventually(lambda: any("publish" in text and "rapport.churn" in text for text in denied))

    await consent.subscribe("rapport.churn.>")
    await consent.flush()
    await eventually(lambda: any("subscription" in text and "rapport.churn" in text for text in denied))


async def test_who_is_granted_nothing_may_do_nothing(
    secured: Any, authority: LocalAuthority, connect: Connect, errors: list[str]
) -> None:
    server = secured([user("idle")])
    idle = await connect(server.url, tls=tls(authority.issue("idle")))
    await idle.publish("anything", b"")
    await idle.subscribe("anything")
    await idle.flush()
    await eventually(lambda: len(errors) == 2)
    assert all("permissions violation" in text for text in errors)


async def test_an_answer_is_allowed_where_nothing_else_is(tmp_path: Path, connect: Connect, errors: list[str]) -> None:
    asker = NatsUser("asker", publish=["question"], subscribe=["_INBOX.>"], password="a")
    answerer = NatsUser("answerer", subscribe=["question"], allow_responses=True, password="b")
    with NatsServer(tmp_path / "nats", users=[asker, answerer]) as server:
        asking, answering = await connect(server.url_for(asker)), await connect(server.url_for(answerer))

        async def answer(message: Any) -> None:
            await answering.publish(message.reply, b"yes")
            await answering.publish("elsewhere", b"no")

        await answering.subscribe("question", cb=answer)

        async def asked() -> Any:
            # Nothing says when the subscription is there: the client's flush sends its PING ahead of what waits.
            with contextlib.suppress(NoRespondersError):
                return await asking.request("question", b"", timeout=5)

        assert (await eventually(asked)).data == b"yes"
        await eventually(lambda: len(errors) == 1)
        assert "elsewhere" in errors[0]
        for each in (asking, answering):
            await each.close()


async def test_the_user_is_the_uri_of_the_certificate_not_its_host_or_subject(
    secured: Any, authority: LocalAuthority, connect: Connect
) -> None:
    server = secured([user("consent", publish=[">"], subscribe=[">"])])
    # The same subject and host names, another URI.
    impostor = authority.issue("consent", uris=["spiffe://rapport.local/pricing"])
    with pytest.raises(Error, match="Authorization Violation"):
        await connect(server.url, tls=tls(impostor))
    # Another subject, the right URI.
    renamed = authority.issue("renamed", uris=["spiffe://rapport.local/consent"])
    client = await connect(server.url, tls=tls(renamed))
    await client.flush()


async def test_without_a_certificate_of_the_authority_nobody_connects(
    secured: Any, authority: LocalAuthority, tmp_path: Path, connect: Connect
) -> None:
    server = secured([user("consent", publish=[">"])])
    bare = ssl.create_default_context(cafile=authority.bundle_file)
    with pytest.raises((Error, OSError)):
        await connect(server.url, tls=bare)
    foreign = LocalAuthority(tmp_path / "foreign").issue("consent")
    context = ssl.create_default_context(cafile=authority.bundle_file)
    context.load_cert_chain(foreign.certificate, foreign.key)
    with pytest.raises((Error, OSError)):
        await connect(server.url, tls=context)


async def test_the_authority_rotates_under_an_open_connection(
    secured: Any, authority: LocalAuthority, connect: Connect
) -> None:
    server = secured([user("consent", publish=[">"], subscribe=[">"])])
    old_files = authority.issue("consent")
    old_context = tls(old_files)
    open_connection = await connect(server.url, tls=old_context)

    authority.rotate_authority()
    server.reload()
    await (await connect(server.url, tls=old_context)).flush()

    new_context = tls(authority.issue("consent"))
    authority.issue("nats")
    server.reload()
    await (await connect(server.url, tls=new_context)).flush()
    await open_connection.flush()

    authority.retire_previous()
    server.reload()
    await (await connect(server.url, tls=tls(authority.files("consent")))).flush()
    with pytest.raises((Error, OSError)):
        await connect(server.url, tls=old_context)


async def test_a_removed_user_is_disconnected_and_the_others_stay(tmp_path: Path, connect: Connect) -> None:
    stays = NatsUser("stays", publish=[">"], password="a")
    goes = NatsUser("goes", publish=[">"], password="b")
    with NatsServer(tmp_path / "nats", users=[stays, goes]) as server:
        staying, going = await connect(server.url_for(stays)), await connect(server.url_for(goes))
        server.reload([stays])
        await eventually(lambda: going.is_closed)
        await staying.flush()
        await staying.close()


async def test_accounts_share_nothing(tmp_path: Path, connect: Connect) -> None:
    users = [NatsUser(n, (">",), (">",), password=n, account=n.upper()) for n in ("one", "two")]
    with NatsServer(tmp_path / "nats", users=users) as server:
        one, two = [await connect(server.url_for(each)) for each in users]
        await one.jetstream().add_stream(name="S", subjects=["same.subject"])
        await two.jetstream().add_stream(name="S", subjects=["same.subject"])
        await one.jetstream().publish("same.subject", b"")
        counts = [(await each.jetstream().stream_info("S")).state.messages for each in (one, two)]
        assert counts == [1, 0]
        for each in (one, two):
            await each.close()


async def test_nothing_answers_while_suspended(nats: NatsServer, connect: Connect) -> None:
    client = await connect(nats.url)
    nats.suspend()
    flushed = asyncio.ensure_future(client.flush(timeout=60))
    done, _ = await asyncio.wait([flushed], timeout=0.3)
    assert not done
    nats.resume()
    await flushed


def test_a_refused_configuration_is_reported(nats: NatsServer) -> None:
    with pytest.raises(ProcessError, match="did not take up its configuration"):
        nats.reload([NatsUser("a", publish=["not a subject"], password="a")])


def test_a_taken_port_is_reported(nats: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="address already in use"):
        NatsServer(tmp_path / "other", port=nats.port).start()
