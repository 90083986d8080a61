"""The catalog of events: JSON Schemas, examples and one AsyncAPI document, for other languages.

Who produces and who consumes an event is taken from the services' own declarations. Run as
``python -m patchline_kit.catalog write|check|release SCHEMAS``, the folder of ``exported`` and ``released``.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from patchline_kit.catalog_releases import WAY_OUT, incompatibilities, release
from patchline_kit.host import discover_services
from patchline_kit.service import Service
from patchline_schemas import Event, event_types
from patchline_schemas.dead_letters import DeadLettered
from patchline_schemas.examples import examples

ASYNCAPI_VERSION = "3.0.0"
HEADERS: dict[str, str] = {
    "ce_specversion": "CloudEvents version, 1.0.",
    "ce_id": "Identifies the event; the same event delivered twice has the same id.",
    "ce_source": "The service that published it.",
    "ce_type": "The event's type, with its version.",
    "ce_subject": "What the event is about.",
    "ce_time": "When it was published, RFC 3339 in UTC.",
    "ce_causationid": "Id of the event that this one follows from, if any.",
    "ce_traceparent": "W3C trace context, if any.",
    "ce_onlyfor": "The one service that is to handle it: a replayed dead letter. Others pass over it.",
    "content-type": "application/json",
}


def services() -> tuple[Service, ...]:
    """Every installed service, by name."""
    return tuple(discover_services())


def files(of: Iterable[Service]) -> dict[str, str]:
    """The catalog's files: path below its folder, and text."""
    all_services = tuple(of)
    schemas = {kind: schema_of(kind) for kind in event_types().values()}
    pairs = examples()
    texts = {"asyncapi.json": _text(asyncapi(all_services, schemas))}
    for kind, schema in schemas.items():
        name = kind.TYPE.removeprefix("dev.patchline.")
        texts[f"schemas/{name}.json"] = _text(schema)
        for which, event in pairs[kind]._asdict().items():
            texts[f"examples/{name}.{which}.json"] = _text(
                json.loads(event.model_dump_json(exclude_none=True))
            )
    return texts


def schema_of(kind: type[Event]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event's body as it lies on the topic."""
    schema = kind.model_json_schema(mode="serialization")
    for part in (schema, *schema.get("$defs", {}).values()):
        absent_when_null = {name for name, field in part.get("properties", {}).items() if _may_be_null(field)}
        if "required" in part:
            part["required"] = [name for name in part["required"] if name not in absent_when_null]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": kind.TYPE, **schema}


def producers(kind: type[Event], of: Iterable[Service]) -> list[str]:
    """Names of the services that publish ``kind``. Any service may give up a record."""
    return [service.name for service in of if kind in service.emits or kind is DeadLettered]


def consumers(kind: type[Event], of: Iterable[Service]) -> list[str]:
    """Names of the services that handle ``kind``, which are their consumer groups."""
    return [service.name for service in of if kind in service.events or service.every_event is not None]


def asyncapi(of: tuple[Service, ...], schemas: Mapping[type[Event], dict[str, Any]]) -> dict[str, Any]:
    """One AsyncAPI 3 document over all services."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for kind in schemas:
        name = kind.TYPE.removeprefix("dev.patchline.")
        messages[name] = {
            "name": kind.TYPE,
            "title": kind.__name__,
            "summary": inspect.getdoc(kind) or "",
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/headers"},
            "payload": {"$ref": f"schemas/{name}.json"},
            "bindings": {"kafka": {"key": {"type": "string", "description": inspect.getdoc(kind.key) or ""}}},
        }
        for topic in kind.topics():
            channels[topic] = {
                "address": topic,
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            }
            for action, names in (("send", producers(kind, of)), ("receive", consumers(kind, of))):
                for service in names:
                    operations[f"{service}.{action}.{topic}"] = _operation(action, service, topic)
    headers = {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
        "properties": {name: {"type": "string", "description": text} for name, text in HEADERS.items()},
    }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Patchline",
            "version": "1",
            "description": "Every event of the life of an update. CloudEvents 1.0, Kafka binary mode. "
            "Addresses are without the installation's topic prefix.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"headers": headers}},
    }


def _operation(action: str, service: str, topic: str) -> dict[str, Any]:
    channel = topic.replace("~", "~0").replace("/", "~1")
    operation: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    if action == "receive":
        operation["bindings"] = {"kafka": {"groupId": {"type": "string", "const": service}}}
    return operation


def _may_be_null(field: Mapping[str, Any]) -> bool:
    return any(option.get("type") == "null" for option in field.get("anyOf", ()))


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def write(schemas: Path) -> list[str]:
    """Write the catalog into ``exported``; the reasons why it was refused, none if it was written.

    Refused is what a consumer built on one of the versions in ``released`` could not read.
    """
    texts = files(services())
    problems = incompatibilities(schemas / "released", texts)
    if problems:
        return [*problems, WAY_OUT]
    folder = schemas / "exported"
    for file in folder.rglob("*.json"):
        if str(file.relative_to(folder)) not in texts:
            file.unlink()
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return []


def check(schemas: Path) -> list[str]:
    """What consumers of a released version could not read; where ``exported`` is not what the code says."""
    texts = files(services())
    problems = incompatibilities(schemas / "released", texts)
    stale = drift(schemas / "exported", texts)
    return [
        *problems,
        *([WAY_OUT] if problems else []),
        *stale,
        *(["Run `make schemas` and look at the difference."] if stale else []),
    ]


def drift(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Where the catalog in ``folder`` is not ``texts``."""
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.json")}
    problems = [f"{path}: no event has it any more" for path in sorted(there - texts.keys())]
    for path, text in texts.items():
        if path not in there:
            problems.append(f"{path}: missing")
        elif (folder / path).read_text() != text:
            problems.append(f"{path}: differs")
    return problems


def keep_release(schemas: Path) -> list[str]:
    """Keep the catalog as the installed version of the schemas; the reasons why that was refused."""
    return check(schemas) or release(
        schemas / "exported", schemas / "released", metadata.version("patchline-schemas")
    )


ACTIONS = {"write": write, "check": check, "release": keep_release}


def main(arguments: list[str]) -> int:
    """``write|check|release SCHEMAS``; 0 when all is well, 1 with the problems on stderr."""
    action, folder = arguments
    problems = ACTIONS[action](Path(folder))
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
