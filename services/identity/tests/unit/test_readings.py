from datetime import UTC, datetime
from itertools import islice

import pytest
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_identity.app.stored import HeldRecord
from rapport_identity.population import Population
from rapport_identity.population.messages import message_of
from rapport_identity.translate import readings
from rapport_identity.translate.records import indexed_of, submission_of

NOW = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)


def held(message, *, reading=None):
    """The record as it is read from storage, with the reading that it was stored with if none is given."""
    draft = submission_of(message, NOW).draft
    return HeldRecord(7, "prf_a", "prf_a", 1, 3, NOW, draft.payload, draft.reading if reading is None else reading)


def messages(count):
    return [message_of(each) for each in islice(Population(5).sightings(count), count)]


def test_a_reading_says_what_the_payload_says():
    for message in messages(400):
        assert held(message).reading
        assert indexed_of(held(message)) == indexed_of(held(message, reading=b""))


def test_a_record_that_is_not_dated_counts_from_when_it_was_recorded():
    (message,) = messages(1)
    message.ClearField("occurred_at")
    found = indexed_of(held(message)).content
    assert found is not None
    assert found.facet.occurred_at == NOW


def test_an_empty_record_is_read_as_it_is():
    message = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id="1"))
    assert indexed_of(held(message)) == indexed_of(held(message, reading=b""))


@pytest.mark.parametrize("sign", ["\x1e", "\x1f"])
@pytest.mark.parametrize("field", ["namespace", "source_record_id", "locale"])
def test_what_does_not_fit_the_form_is_read_from_the_payload(sign, field):
    (message,) = messages(1)
    odd = f"a{sign}b"
    if field == "namespace":
        message.person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_ACCOUNT, namespace=odd, value="c-1")
    elif field == "source_record_id":
        message.key.source_record_id = odd
    else:
        message.locale = odd
    draft = submission_of(message, NOW).draft
    assert not draft.reading
    assert indexed_of(held(message)).content is not None


def test_a_reading_of_another_release_is_not_used(monkeypatch):
    (message,) = messages(1)
    stored = held(message)
    assert readings.content_in(stored.reading, NOW) is not None
    monkeypatch.setattr(readings, "_stamp", lambda: "another")
    assert readings.content_in(stored.reading, NOW) is None
    assert indexed_of(stored) == indexed_of(held(message, reading=b""))
