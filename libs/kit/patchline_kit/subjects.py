"""What a span is about: the update, wave and target of an event, a message or a document."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

NAMES = {"update": "update.id", "wave": "wave.id", "target": "target.id"}
"""The attribute of a span for each subject."""
HOLDERS = ("", "order.", "assignment.")
"""Where the id may stand: in the thing itself, in its wave's order, in its target's assignment."""


def subjects(thing: object) -> dict[str, Any]:
    """The ids by which a trace is found again, by attribute."""
    found = {}
    kind: Any = type(thing)
    for name, get in _getters(kind):
        value = get(thing)
        if isinstance(value, str) and value:
            found[name] = value
    return found


@cache
def _getters(kind: Any) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    found: dict[str, Callable[[Any], object]] = {}
    id_of = getattr(kind, "ID_OF", None)
    for subject, name in NAMES.items():
        if id_of == subject:
            found[name] = attrgetter("id")
            continue
        for holder in HOLDERS:
            if _has(kind, f"{holder}{subject}_id"):
                found[name] = attrgetter(f"{holder}{subject}_id")
                break
    return tuple(found.items())


def _has(kind: Any, path: str) -> bool:
    first, _, rest = path.partition(".")
    if not rest:
        return hasattr(kind, first) or first in getattr(kind, "model_fields", {})
    field = getattr(kind, "model_fields", {}).get(first)
    inner = field.annotation if field is not None else None
    return isinstance(inner, type) and issubclass(inner, BaseModel) and _has(inner, rest)
