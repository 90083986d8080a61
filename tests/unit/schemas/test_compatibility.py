import pytest

from patchline_schemas.compatibility import breaks

BASE = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["open", "closed"], "type": "string"},
        "due": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
    },
    "$defs": {"Item": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
}


def changed(**properties):
    return {**BASE, "properties": {**BASE["properties"], **properties}}


def test_the_same_schema_breaks_nothing():
    assert breaks(BASE, BASE) == []


def test_an_added_field_breaks_nothing():
    assert breaks(BASE, changed(extra={"type": "integer"})) == []


def test_fewer_values_break_nothing():
    assert breaks(BASE, changed(state={"enum": ["open"], "type": "string"})) == []


def test_a_field_that_is_no_longer_nullable_breaks_nothing():
    assert breaks(BASE, changed(due={"type": "string"})) == []


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({**BASE, "required": ["id"]}, "state: was always there, may now be absent"),
        (changed(id={"type": "integer"}), "id: was string, is integer"),
        (changed(state={"enum": ["open", "closed", "lost"], "type": "string"}), "state: may now be lost"),
        (changed(id={"anyOf": [{"type": "string"}, {"type": "null"}]}), "id: was string, is null"),
        (
            {**BASE, "$defs": {"Item": {**BASE["$defs"]["Item"], "required": []}}},
            "items.[].name: was always there, may now be absent",
        ),
    ],
)
def test_what_a_consumer_cannot_read_is_named(schema, reason):
    assert breaks(BASE, schema) == [reason]
