"""What is declared is what there is, or the difference is named."""

import asyncio
import json
import re
import shutil

import pytest
import yaml
from rapport.churn.v1 import events_pb2 as churn
from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import events_pb2 as consent
from rapport.identity.v1 import events_pb2 as identity
from rapport.notification.v1 import events_pb2 as notification
from rapport.pricing.v1 import events_pb2 as pricing
from rapport_chassis.events import provision, topology
from rapport_chassis.events.__main__ import main
from rapport_chassis.events.contract import describe
from rapport_chassis.events.names import CONTEXTS


def events_of(module):
    for message in vars(module).values():
        if isinstance(message, type):
            try:
                yield describe(message)
            except (TypeError, AttributeError):
                continue


@pytest.fixture
async def broker(bare_broker):
    """A broker with everything that is declared."""
    await bare_broker.provision()
    return bare_broker


async def test_everything_declared_is_created_and_then_nothing_differs(bare_broker):
    missing = await bare_broker.provision()
    assert {(each.kind, each.field) for each in missing} == {("stream", ""), ("consumer", "")}
    assert len(missing) == len(bare_broker.topology.streams) + len(bare_broker.topology.consumers)
    async with bare_broker.api() as api:
        assert await provision.drift(api, bare_broker.topology) == []
    assert await bare_broker.provision() == []


async def test_drift_names_what_differs_changes_nothing_and_apply_mends_it(broker):
    stream = next(each for each in broker.topology.streams if each.name == "RAPPORT_CONSENT")
    async with broker.api() as api:
        await api.call("STREAM.UPDATE.RAPPORT_CONSENT", {**stream.config, "max_age": 3600 * 10**9, "discard": "old"})
        await api.call("CONSUMER.DELETE.RAPPORT_IDENTITY.consent-profiles")
        for _ in range(2):
            found = await provision.drift(api, broker.topology)
            assert json.loads(json.dumps([each.to_json() for each in found]))
            assert {each.describe() for each in found} == {
                "stream RAPPORT_CONSENT: max_age is 3600000000000, declared 7776000000000000",
                "stream RAPPORT_CONSENT: discard is 'old', declared 'new'",
                "consumer RAPPORT_IDENTITY/consent-profiles is missing",
            }
    assert len(await broker.provision()) == 3
    async with broker.api() as api:
        assert await provision.drift(api, broker.topology) == []


async def test_streams_of_others_are_left_alone(broker):
    async with broker.api() as api:
        await api.call("STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["other.>"]})
        assert await provision.drift(api, broker.topology) == []
        await provision.apply(api, broker.topology)
        assert (await api.stream_info("OTHER"))["config"]["subjects"] == ["other.>"]


async def test_two_installations_share_an_account_by_prefix_only_if_their_subjects_differ(declared):
    named = {each.name for each in topology.load(declared, prefix="ACME").streams}
    assert all(name.startswith("ACME_") for name in named)
    assert len(named) == 7


def test_streams_keep_ninety_days_without_compression_and_refuse_when_full(declared):
    for stream in topology.load(declared).streams:
        assert stream.config["max_age"] == 90 * 86400 * 10**9
        assert (stream.config["compression"], stream.config["discard"]) == ("none", "new")
        assert stream.config["max_bytes"] > 0


def test_each_context_has_a_stream_that_takes_all_of_its_events(declared):
    streams = {each.name: each.config["subjects"] for each in topology.load(declared).streams}
    for module, context in zip((identity, consent, churn, pricing, notification), CONTEXTS, strict=True):
        assert streams[f"RAPPORT_{context.upper()}"] == [f"rapport.{context}.v1.>"]
        for event in events_of(module):
            assert (event.context, event.version) == (context, "v1")
    assert [event.name for event in events_of(privacy_pb2)] == ["privacy_task_completed"]


def test_consumers_ask_for_events_that_exist(declared):
    known = {
        f"rapport.{event.context}.v1.{event.name}.*"
        for module in (identity, consent, churn, pricing, notification)
        for event in events_of(module)
    }
    # What every context may publish.
    known |= {f"rapport.{context}.v1.{event.name}.*" for context in CONTEXTS for event in events_of(privacy_pb2)}
    for consumer in topology.load(declared).consumers:
        filters = consumer.config.get("filter_subjects") or [consumer.config["filter_subject"]]
        if consumer.stream.endswith("_RETRY"):
            assert filters == [f"rapport.retry.{consumer.service}.{consumer.name}"]
        else:
            assert set(filters) <= known


def test_a_domain_changes_the_subjects_of_the_api_in_every_permission(declared):
    for user in topology.load(declared, domain="hub").users:
        assert not any(subject.startswith("$JS.API.") for subject in user.publish)


def test_the_configuration_of_the_broker_names_each_user_by_its_certificate(declared):
    users = topology.load(declared, trust_domain="acme.example").authorization()["users"]
    names = [user["user"] for user in users]
    assert len(set(names)) == len(names) == 2 * len(CONTEXTS) + 2
    assert all(re.fullmatch(r"spiffe://acme\.example/[a-z-]+", name) for name in names)
    assert all(user["permissions"]["subscribe"]["allow"] for user in users)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("consumers", lambda content: content["consumers"][0].update(name="profiles")),
        ("consumers", lambda content: content["consumers"][0].update(stream="elsewhere")),
        ("consumers", lambda content: content["consumers"].append(content["consumers"][0])),
        ("streams", lambda content: content["defaults"].update(max_age="90 days")),
        ("users", lambda content: content["service"]["publish"].append("{nobody}.>")),
    ],
)
def test_declarations_that_cannot_be_are_refused(declared, tmp_path, file, change):
    folder = tmp_path / "nats"
    shutil.copytree(declared, folder)
    content = yaml.safe_load((folder / f"{file}.yaml").read_text())
    change(content)
    (folder / f"{file}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(topology.TopologyError):
        topology.load(folder)


def test_a_folder_without_declarations_is_refused(tmp_path):
    with pytest.raises(topology.TopologyError):
        topology.load(tmp_path)


async def test_the_command_finds_and_mends_what_differs_for_people_and_programs(bare_broker, capsys):
    def run(*arguments):
        code = main([*arguments, "--url", bare_broker.settings.url, "--max-bytes", str(2**28)])
        return code, capsys.readouterr().out

    code, output = await asyncio.to_thread(run, "drift", "--json")
    assert code == 1
    assert {"kind": "stream", "name": "RAPPORT_DLQ"}.items() <= json.loads(output)[5].items()
    code, output = await asyncio.to_thread(run, "apply")
    assert (code, "mended: stream RAPPORT_CONSENT is missing" in output) == (0, True)
    assert await asyncio.to_thread(run, "drift") == (0, "nothing differs\n")


def test_the_command_prints_the_users_for_the_brokers_configuration(capsys):
    assert main(["users", "--gate", "sender", "--gate", "caller"]) == 0
    users = json.loads(capsys.readouterr().out)["authorization"]["users"]
    assert {f"spiffe://rapport.local/{name}" for name in ("consent", "sender", "caller")} <= {
        user["user"] for user in users
    }


@pytest.mark.parametrize("gates", [["consent"], ["cli"], ["one", "one"], ["a.b"], ["*"], [""]])
def test_a_gate_takes_nobodys_name_and_no_wildcard(declared, gates):
    with pytest.raises(topology.TopologyError):
        topology.load(declared, gates=gates)


def test_the_command_says_what_is_in_the_way(tmp_path, capsys):
    assert main(["users", "--folder", str(tmp_path)]) == 2
    assert main(["drift", "--url", "nats://127.0.0.1:1"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
