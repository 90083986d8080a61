"""A change of one value in the fleet file as a unified diff that keeps everything else as people wrote it."""

from __future__ import annotations

import difflib
import json
from copy import deepcopy
from typing import Any

import yaml


class CannotPatch(ValueError):
    """The fleet file does not have the place that is to change; the text says which."""


def unified_diff(before: str, after: str, name: str) -> str:
    """What changed, for ``patch`` or a reader."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), fromfile=name, tofile=name
    )
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )


def with_value(text: str, group: str, path: tuple[str, str], value: str | int) -> str:
    """The fleet file with one value of one group set; comments and layout stay.

    Raises :class:`CannotPatch` if the file is no fleet file, lacks the group, or would not say exactly that
    afterwards.
    """
    changed = _edited(text, _group_node(text, group), path, value)
    if _load(changed) != _expected(_load(text), group, path, value):
        raise CannotPatch(f"{'.'.join(path)} of {group} cannot be set without changing more")
    return changed


def _edited(text: str, node: yaml.MappingNode, path: tuple[str, str], value: str | int) -> str:
    outer, inner = path
    written = json.dumps(value) if outer == "window" else str(value)
    section = _child(node, outer)
    if section is None:
        return _inserted(text, node, f"{outer}: {{{inner}: {written}}}")
    if not isinstance(section, yaml.MappingNode):
        raise CannotPatch(f"{outer} is not a mapping")
    scalar = _child(section, inner)
    if scalar is None:
        return _inserted(text, section, f"{inner}: {written}")
    return text[: scalar.start_mark.index] + written + text[scalar.end_mark.index :]


def _inserted(text: str, node: yaml.MappingNode, entry: str) -> str:
    """With ``entry`` as one more key of a mapping: first, or after what follows a dash."""
    if node.flow_style:
        at = node.start_mark.index + 1
        return text[:at] + entry + (", " if node.value else "") + text[at:]
    key, value = node.value[0]
    indent = " " * key.start_mark.column
    line = key.start_mark.index - key.start_mark.column
    if not text[line : key.start_mark.index].strip():
        return f"{text[:line]}{indent}{entry}\n{text[line:]}"
    if not isinstance(value, yaml.ScalarNode):
        raise CannotPatch("its first entry is not a plain value, after which another could be put")
    end = text.find("\n", value.end_mark.index)
    if end < 0:
        return f"{text}\n{indent}{entry}\n"
    return f"{text[: end + 1]}{indent}{entry}\n{text[end + 1 :]}"


def _group_node(text: str, group: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise CannotPatch(f"the fleet file is no YAML: {error}") from error
    groups = _child(root, "groups") if isinstance(root, yaml.MappingNode) else None
    for node in groups.value if isinstance(groups, yaml.SequenceNode) else ():
        name = _child(node, "name") if isinstance(node, yaml.MappingNode) else None
        if name is not None and name.value == group:
            return node  # type: ignore[no-any-return]
    raise CannotPatch(f"the fleet file has no group {group}")


def _child(node: yaml.MappingNode, name: str) -> Any:
    return next((value for key, value in node.value if key.value == name), None)


def _load(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CannotPatch(f"the change would break the fleet file: {error}") from error


def _expected(document: Any, group: str, path: tuple[str, str], value: str | int) -> Any:
    expected = deepcopy(document)
    for each in expected["groups"]:
        if each.get("name") == group:
            each.setdefault(path[0], {})[path[1]] = value
    return expected
