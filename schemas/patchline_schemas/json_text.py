"""JSON that somebody typed: read, or refused with the place where it ends being JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class NotJson(ValueError):
    """The text cannot be read; ``line`` is from 1, where it is known."""

    def __init__(self, explanation: str, line: int | None = None) -> None:
        super().__init__(explanation)
        self.line = line


def read_json(text: str | bytes) -> Any:
    """What ``text`` says. Raises :class:`NotJson`."""
    if not text.strip():
        raise NotJson("no JSON: it is empty")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"no JSON: {error.msg} in {where}", error.lineno) from error
    except RecursionError as error:
        raise NotJson("nested too deeply") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """One object. Who says a thing twice in it does not say which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the key {double!r} is there twice in one object")
    return found
