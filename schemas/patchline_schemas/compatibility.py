"""Whether a consumer built on one JSON Schema can read what follows another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})


def breaks(old: Schema, new: Schema) -> list[str]:
    """Why a consumer of ``old`` could not read events of ``new``; empty if it can.

    It can read added fields (it ignores them) and stricter values. It cannot read a field that it
    requires and that may now be absent, a type or format it does not know, or a value outside its
    enumeration or bounds.
    """
    return list(_Comparison(old.get("$defs", {}), new.get("$defs", {})).of(old, new))


@dataclass(frozen=True, slots=True)
class _Comparison:
    old_definitions: Schema
    new_definitions: Schema
    where: str = ""
    seen: frozenset[tuple[str | None, str | None]] = frozenset()
    """References being compared already: a schema may contain itself."""

    def of(self, old: Schema, new: Schema) -> Iterator[str]:
        references = (old.get("$ref"), new.get("$ref"))
        if references != (None, None):
            if references not in self.seen:
                deeper = _Comparison(
                    self.old_definitions, self.new_definitions, self.where, self.seen | {references}
                )
                yield from deeper.of(
                    _resolved(old, self.old_definitions), _resolved(new, self.new_definitions)
                )
        elif "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(old, new)
        elif "type" in old and old["type"] != new.get("type"):
            yield f"{self.where or 'the event'}: was {old['type']}, is {new.get('type', 'anything')}"
        else:
            yield from self._enumeration(old, new)
            yield from self._bounds(old, new)
            yield from self._fields(old, new)

    def _alternatives(self, old: Schema, new: Schema) -> Iterator[str]:
        readable = old.get("anyOf", [old])
        for alternative in new.get("anyOf", [new]):
            attempts = [list(self.of(one, alternative)) for one in readable]
            if all(attempts):
                yield min(attempts, key=len)[0]

    def _enumeration(self, old: Schema, new: Schema) -> Iterator[str]:
        added = _values(new) - _values(old)
        if _values(old) and (added or not _values(new)):
            yield f"{self.where or 'the event'}: may now be {', '.join(sorted(added)) or 'anything'}"

    def _bounds(self, old: Schema, new: Schema) -> Iterator[str]:
        where = self.where or "the event"
        for name in ("format", "pattern"):
            if name in old and old[name] != new.get(name):
                yield f"{where}: was in the {name} {old[name]}, is in {new.get(name, 'any')}"
        for name, bound in old.items():
            allowed = new.get(name)
            if name in LOWER and (allowed is None or allowed < bound):
                yield f"{where}: was at least {bound} ({name}), may now be less"
            if name in UPPER and (allowed is None or allowed > bound):
                yield f"{where}: was at most {bound} ({name}), may now be more"

    def _fields(self, old: Schema, new: Schema) -> Iterator[str]:
        for name in old.get("required", ()):
            if name not in new.get("required", ()):
                yield f"{self._below(name).where}: was always there, may now be absent"
        for name, schema in old.get("properties", {}).items():
            if name in new.get("properties", {}):
                yield from self._below(name).of(schema, new["properties"][name])
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), Mapping) and isinstance(new.get(key), Mapping):
                yield from self._below("[]").of(old[key], new[key])

    def _below(self, name: str) -> _Comparison:
        where = f"{self.where}.{name}" if self.where else name
        return _Comparison(self.old_definitions, self.new_definitions, where, self.seen)


def _values(schema: Schema) -> set[str]:
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema.get("enum", ())}


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" in schema:
        resolved: Schema = definitions[schema["$ref"].rpartition("/")[2]]
        return resolved
    return schema
