"""The page of all events for people: ``python -m patchline_kit.event_pages write|check FILE``."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from patchline_kit.catalog import consumers, producers, schema_of, services
from patchline_kit.service import Service
from patchline_kit.transport.topics import declared_topics
from patchline_schemas import Event, event_types
from patchline_schemas.examples import examples

HEAD = """\
# Events

Made from the code by `make docs`. Each event is a CloudEvent in Kafka's binary mode: attributes in `ce_`
headers, JSON as the value. Topics are without the installation's prefix. Delivery is at least once: the
same event has the same `ce_id`. Events of one key keep their order within a topic; between topics nothing
is promised. A field that is null is absent.
"""
ROLE = re.compile(r":\w+:`+([^`]+)`+")
"""A cross-reference in a docstring, of which a reader of Markdown needs the name only."""


def page(of: Iterable[Service]) -> str:
    """The whole page, in Markdown."""
    all_services = tuple(of)
    kinds = sorted(event_types().values(), key=lambda kind: kind.TOPIC)
    contents = "\n".join(f"- [{kind.TOPIC}](#{_anchor(kind.TOPIC)}): {_summary(kind)}" for kind in kinds)
    return "\n".join([HEAD, contents, "", *(_section(kind, all_services) for kind in kinds)])


def _section(kind: type[Event], of: tuple[Service, ...]) -> str:
    schema = schema_of(kind)
    topic = declared_topics()[kind.TOPIC]
    keep = "for ever" if topic.keep is None else f"{topic.keep.days} days"
    compacted = ", and the newest of each key for ever" if topic.compacted else ""
    urgent = f", and `{kind.topics()[0]}`, which is read first" if kind.HAS_URGENT_LANE else ""
    example = examples()[kind].usual.model_dump_json(exclude_none=True)
    return "\n".join(
        [
            f"## {kind.TOPIC}",
            "",
            _markdown(inspect.getdoc(kind) or ""),
            "",
            f"- Type `{kind.TYPE}`, topic `{kind.TOPIC}`{urgent}; kept {keep}{compacted}.",
            f"- Published by {_names(producers(kind, of)) or 'nobody yet'};"
            f" handled by {_names(consumers(kind, of)) or 'nobody yet'}.",
            f"- [JSON Schema](../schemas/exported/schemas/{_file(kind)}.json),"
            f" examples: [usual](../schemas/exported/examples/{_file(kind)}.usual.json),"
            f" [edge](../schemas/exported/examples/{_file(kind)}.edge.json)",
            "",
            "| field | type | meaning |",
            "|---|---|---|",
            *_rows(schema),
            "",
            "```json",
            json.dumps(json.loads(example), indent=2, ensure_ascii=False),
            "```",
            "",
        ]
    )


def _rows(schema: Mapping[str, Any]) -> Iterable[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        meaning = " ".join(_markdown(str(field.get("description", ""))).replace("|", "\\|").split())
        absent = "" if name in required else ", or absent"
        yield f"| `{name}` | {_type(field)}{absent} | {meaning} |"


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("format") or field.get("const") or field.get("type") or "any")


def _summary(kind: type[Event]) -> str:
    return _markdown((inspect.getdoc(kind) or "").partition("\n")[0])


def _markdown(docstring: str) -> str:
    return ROLE.sub(r"`\1`", docstring).replace("``", "`")


def _file(kind: type[Event]) -> str:
    return kind.TYPE.removeprefix("dev.patchline.")


def _names(names: list[str]) -> str:
    return ", ".join(names)


def _anchor(heading: str) -> str:
    return heading.replace(".", "")


def main(arguments: list[str]) -> int:
    """``write FILE`` or ``check FILE``; 0 when the page is as the code says."""
    action, file = arguments
    text = page(services())
    if action == "write":
        Path(file).write_text(text)
        return 0
    if Path(file).read_text() == text:
        return 0
    print(f"{file} is not what the code says: run `make docs`", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
