"""One event's page for people, in Markdown, from its class and the services' declarations."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from patchline_kit.catalog import HEADERS, consumers, producers, schema_of
from patchline_kit.event_cautions import cautions
from patchline_kit.service import Service
from patchline_kit.transport.topics import Topic, declared_topics
from patchline_schemas import Event
from patchline_schemas.examples import examples

ROLE = re.compile(r":\w+:`+([^`]+)`+")
"""A cross-reference in a docstring, of which a reader of Markdown needs the name only."""
FORMATS = {
    "date-time": "time (RFC 3339, UTC)",
    "duration": "duration (ISO 8601)",
    "date": "date",
}
BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


def page(kind: type[Event], of: tuple[Service, ...]) -> str:
    """The whole page."""
    sections = (
        [f"# {kind.TOPIC}", markdown(inspect.getdoc(kind) or "")],
        [facts(kind, of)],
        ["## Headers", _headers(kind, of)],
        ["## Fields", *_fields(schema_of(kind))],
        *(
            [f"## {title}", _json(event)]
            for title, event in zip(("The usual one", "One at the edge"), examples()[kind], strict=True)
        ),
        [
            "## Do not assume",
            "\n".join(f"- {caution}" for caution in cautions(kind, producers(kind, of))),
        ],
        ["## A subscriber to copy", _subscriber(kind)],
    )
    return "\n\n".join(part for section in sections for part in section) + "\n"


def facts(kind: type[Event], of: tuple[Service, ...]) -> str:
    """Where it is and who has to do with it, as a table."""
    topic = declared_topics()[kind.TOPIC]
    urgent = f", and `{kind.topics()[0]}`, which is read first" if kind.HAS_URGENT_LANE else ""
    base = "../../schemas/exported"
    rows = {
        "class": f"`{kind.__name__}` in `{kind.__module__}`",
        "type": f"`{kind.TYPE}`",
        "topic": f"`{kind.TOPIC}`{urgent}, behind the installation's prefix",
        "key": made_of(kind.key),
        "subject": made_of(kind.key if kind.subject is Event.subject else kind.subject),
        "order": "events of one key keep their order within the topic; nothing is promised between topics",
        "delivery": "at least once; the same event has the same `ce_id`",
        "retention": retention(topic),
        "published by": ", ".join(producers(kind, of)) or "nobody yet",
        "handled by": ", ".join(consumers(kind, of)) or "nobody yet",
        "for programs": f"[JSON Schema]({base}/schemas/{file_stem(kind)}.json),"
        f" [usual]({base}/examples/{file_stem(kind)}.usual.json)"
        f" and [edge]({base}/examples/{file_stem(kind)}.edge.json) example,"
        f" [AsyncAPI]({base}/asyncapi.json)",
        "to look at": f"`patchline events tail --topic {kind.TOPIC}`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


def retention(topic: Topic) -> str:
    """How long a record stays, in words."""
    if topic.keep is None:
        return "for ever"
    kept = f"{topic.keep.days} days (`PATCHLINE_KEEP`)"
    return f"the newest of each key for ever, older ones {kept}" if topic.compacted else kept


def made_of(method: Callable[[Any], str]) -> str:
    """What a key or subject is: the method's own docstring, or else the expression that it returns."""
    if method.__doc__:
        return markdown(inspect.cleandoc(method.__doc__))
    [function] = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    if len(returned) != 1 or returned[0] is None:
        raise TypeError(f"{method.__qualname__} needs a docstring that says what it returns")
    text = ast.unparse(returned[0]).replace("self.", "")
    return " or ".join(f"`{part}`" for part in text.split(" or ")).replace("'", '"')


def summary(kind: type[Event]) -> str:
    """When it happens, in one line."""
    return markdown((inspect.getdoc(kind) or "").partition("\n")[0])


def file_stem(kind: type[Event]) -> str:
    """The name of the event's exported files, without ending."""
    return kind.TYPE.removeprefix("dev.patchline.")


def markdown(docstring: str) -> str:
    """A docstring's reStructuredText as Markdown."""
    return ROLE.sub(r"`\1`", docstring).replace("``", "`")


def _headers(kind: type[Event], of: tuple[Service, ...]) -> str:
    known = {"ce_specversion": "1.0", "ce_type": kind.TYPE, "content-type": "application/json"}
    if len(names := producers(kind, of)) == 1:
        known["ce_source"] = names[0]
    known["ce_subject"] = examples()[kind].usual.subject()
    rows = (
        f"| `{name}` | {'' if text == known.get(name) else text} | {_code(known.get(name))} |"
        for name, text in HEADERS.items()
    )
    return "\n".join(["| header | meaning | here |", "|---|---|---|", *rows])


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield _table(schema)
    for name, part in schema.get("$defs", {}).items():
        yield f"### {name}"
        if meaning := part.get("description"):
            yield markdown(meaning)
        yield _table(part)


def _table(schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *_rows(schema, required)])


def _rows(schema: Mapping[str, Any], required: set[str]) -> Iterable[str]:
    for name, field in schema.get("properties", {}).items():
        meaning = " ".join(markdown(str(field.get("description", ""))).replace("|", "\\|").split())
        absent = "" if name in required else ", or absent"
        yield f"| `{name}` | {_type(field)}{absent} | {meaning} |"


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if values := field.get("enum", [field["const"]] if "const" in field else []):
        return ", ".join(f"`{value}`" for value in values)
    bounds = "".join(f", {text.format(field[name])}" for name, text in BOUNDS.items() if name in field)
    return f"{_plain_type(field)}{bounds}"


def _plain_type(field: Mapping[str, Any]) -> str:
    if field.get("type") == "array":
        pair = field.get("prefixItems")
        return f"list of {len(pair)}" if pair else f"list of {_type(field.get('items', {}))}"
    if isinstance(values := field.get("additionalProperties"), Mapping):
        return f"object whose values are: {_type(values)}"
    plain = str(field.get("format") or field.get("type") or "anything")
    return FORMATS.get(plain, plain)


def _json(event: Event) -> str:
    body = json.loads(event.model_dump_json(exclude_none=True))
    return f"```json\n{json.dumps(body, indent=2, ensure_ascii=False)}\n```"


def _subscriber(kind: type[Event]) -> str:
    name = kind.__name__
    handler = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return (
        f"""\
```python
from patchline_kit import Context, Document, Service
from patchline_kit.main import run
from {kind.__module__} import {name}

service = Service("my-service", emits=[])


class Note(Document, collection="notes"):
    times: int = 0


@service.on({name})
async def on_{handler}(event: {name}, ctx: Context) -> None:
    note = await ctx.load(Note, event.subject()) or ctx.create(Note(id=event.subject()))
    note.times += 1
    ctx.log.info("%s about %s", event.TOPIC, note.id)


if __name__ == "__main__":
    run(service)
```

`patchline new-service my-service --on {name}` writes the same with a test and a container around it
([tutorial](../tutorial-new-service.md))""".rstrip()
        + "."
    )
