import json
from datetime import UTC, datetime

import pytest

from patchline_schemas import Envelope, EnvelopeError, decode, encode, updates
from patchline_schemas.envelope import MAX_MESSAGE_BYTES, derived_id
from patchline_schemas.examples import examples

EVENT = examples()[updates.UpdateRejected].usual
ENVELOPE = Envelope(
    id="e1",
    source="planning",
    type=EVENT.TYPE,
    subject=EVENT.subject(),
    time=datetime(2026, 3, 1, 12, tzinfo=UTC),
    causationid="e0",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def headers_without(name):
    return tuple(header for header in encode(EVENT, ENVELOPE).headers if header[0] != name)


def test_binary_mode_keeps_attributes_in_headers():
    record = encode(EVENT, ENVELOPE)
    assert dict(record.headers)["ce_type"] == b"dev.patchline.updates.rejected.v1"
    assert dict(record.headers)["ce_time"] == b"2026-03-01T12:00:00Z"
    assert (record.topic, record.key) == ("updates.rejected", EVENT.update_id.encode())


def test_structured_mode_is_accepted():
    document = {
        "specversion": "1.0",
        "id": "e1",
        "source": "planning",
        "type": EVENT.TYPE,
        "time": "2026-03-01T12:00:00Z",
        "data": json.loads(EVENT.model_dump_json()),
    }
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    envelope, event = decode(headers, json.dumps(document).encode())
    assert (envelope.id, event) == ("e1", EVENT)


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_specversion", "ce_type"])
def test_a_missing_attribute_is_named(name):
    with pytest.raises(EnvelopeError, match=name.removeprefix("ce_")):
        decode(headers_without(name), b"{}")


def test_a_bad_body_names_type_id_and_field():
    with pytest.raises(EnvelopeError, match=r"updates\.rejected\.v1 e1: update_id: Field required"):
        decode(encode(EVENT, ENVELOPE).headers, b"{}")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-03-01T12:00:00"),
        ("ce_specversion", b"0.3"),
        ("ce_id", b"\xff"),
    ],
)
def test_an_unusable_attribute_is_an_error(header, value):
    with pytest.raises(EnvelopeError):
        decode((*headers_without(header), (header, value)), b"{}")


def test_an_unknown_type_is_an_error():
    with pytest.raises(EnvelopeError, match=r"unknown event type 'dev\.example'"):
        decode((*headers_without("ce_type"), ("ce_type", b"dev.example")), b"{}")


def test_fields_of_a_later_schema_are_ignored():
    body = json.loads(EVENT.model_dump_json()) | {"added_later": 1}
    assert decode(encode(EVENT, ENVELOPE).headers, json.dumps(body).encode())[1] == EVENT


def test_an_event_that_is_too_long_is_refused():
    long = EVENT.model_copy(update={"reason": "x" * MAX_MESSAGE_BYTES})
    with pytest.raises(EnvelopeError, match="at most"):
        encode(long, ENVELOPE)


def test_ids_follow_from_cause_type_and_part():
    assert derived_id("e1", "t", "a") == derived_id("e1", "t", "a")
    assert len({derived_id("e1", "t", "a"), derived_id("e1", "t", "b"), derived_id("e2", "t", "a")}) == 3
