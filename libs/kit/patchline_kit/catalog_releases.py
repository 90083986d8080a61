"""What was released of the catalog, and whether its consumers can read today's events.

A release is a copy of the exported catalog, kept for ever in ``FOLDER/VERSION``. Against each holds:

- a consumer built on it reads what is published today, and hears of all of it;
- today's classes read what was published then, because topics keep records for weeks, and some for ever.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from patchline_schemas import event_types
from patchline_schemas.compatibility import breaks

WAY_OUT = (
    "Leave it readable, or give the class a higher version (class X(Event, topic=..., version=2)), which is a"
    " type of its own, and keep the old class until nobody consumes it."
)


def incompatibilities(released: Path, texts: Mapping[str, str]) -> list[str]:
    """Why somebody of a release in ``released`` and somebody of today could not read each other.

    ``texts`` is today's catalog by path. Each reason names the release, the event and the field.
    """
    return [
        f"{release.name}: {problem}"
        for release in releases(released)
        for problem in (*_schemas(release, texts), *_channels(release, texts), *_records(release))
    ]


def releases(released: Path) -> list[Path]:
    """The folders of all releases, by name."""
    return sorted(folder for folder in released.iterdir() if folder.is_dir()) if released.is_dir() else []


def release(exported: Path, released: Path, version: str) -> list[str]:
    """Keep the exported catalog as ``version``; the reasons why that was refused, none if it was done."""
    folder = released / version
    if folder.exists():
        return [f"{version} is released already, and a release never changes: raise the version in schemas/"]
    shutil.copytree(exported, folder)
    return []


def _schemas(release: Path, texts: Mapping[str, str]) -> Iterator[str]:
    for file in sorted((release / "schemas").glob("*.json")):
        today = texts.get(f"schemas/{file.name}")
        if today is None:
            yield f"{file.stem}: nobody publishes this type any more, and its consumers hear nothing"
            continue
        for reason in breaks(_read(file), json.loads(today)):
            yield f"{file.stem}: {reason}"


def _channels(release: Path, texts: Mapping[str, str]) -> Iterator[str]:
    then, today = _topics(_read(release / "asyncapi.json")), _topics(json.loads(texts["asyncapi.json"]))
    for name in sorted(then.keys() & today.keys()):
        for topic in sorted(today[name] - then[name]):
            yield f"{name}: may now come on {topic}, which its consumers do not read"


def _records(release: Path) -> Iterator[str]:
    for file in sorted((release / "examples").glob("*.json")):
        name, _, which = file.stem.rpartition(".")
        kind = event_types().get(f"dev.patchline.{name}")
        if kind is None:
            continue  # told by its schema
        try:
            kind.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            yield f"{name}: its {which} example cannot be read any more: {where}: {first['msg']}"


def _topics(asyncapi: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for address, channel in asyncapi["channels"].items():
        for name in channel["messages"]:
            found.setdefault(name, set()).add(address)
    return found


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content
