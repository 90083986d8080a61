import json
from datetime import UTC, datetime

import jsonschema
import pytest

from patchline_kit.catalog import schema_of
from patchline_schemas import Envelope, decode, encode, event_types
from patchline_schemas.examples import examples

PAIRS = [
    pytest.param(kind, event, id=f"{kind.TOPIC}-{which}")
    for kind, pair in examples().items()
    for which, event in pair._asdict().items()
]


def test_every_event_has_examples():
    assert set(examples()) == set(event_types().values())


@pytest.mark.parametrize(("kind", "event"), PAIRS)
def test_an_example_fits_its_exported_schema(kind, event):
    body = json.loads(event.model_dump_json(exclude_none=True))
    jsonschema.Draft202012Validator(schema_of(kind)).validate(body)


@pytest.mark.parametrize(("kind", "event"), PAIRS)
def test_an_example_survives_the_wire(kind, event):
    envelope = Envelope(
        id="e1", source="test", type=kind.TYPE, subject=event.subject(), time=datetime(2026, 3, 1, tzinfo=UTC)
    )
    record = encode(event, envelope)
    assert decode(record.headers, record.value) == (envelope, event)


def test_the_two_examples_of_an_event_differ():
    assert [kind for kind, pair in examples().items() if pair.usual == pair.edge] == []
