"""Reads a whole fleet file."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from patchline_fleet.drivers import Drivers
from patchline_fleet.fleetfile.groups import read_freeze, read_group, read_policies
from patchline_fleet.fleetfile.nodes import Entry, Notes
from patchline_fleet.fleetfile.problems import FleetFileError, Problem
from patchline_fleet.fleetfile.targets import Known, read_target
from patchline_schemas.fleet import Freeze, Group, Target

KEYS = ("groups", "targets", "policies", "freezes")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class FleetFile:
    """What a valid fleet file says, with absolute paths."""

    path: Path
    digest: str
    """SHA-256 of the file's bytes: another one means that it was changed."""
    groups: tuple[Group, ...]
    targets: tuple[Target, ...]
    freezes: tuple[Freeze, ...]

    def freezes_of(self, group: str) -> tuple[Freeze, ...]:
        """The freezes that hold for a group."""
        return tuple(each for each in self.freezes if not each.groups or group in each.groups)


def read_fleet_file(path: Path, *, drivers: Drivers | None = None) -> FleetFile:
    """Read and check the fleet file at ``path``; ``drivers`` are by default those installed.

    Raises :class:`FleetFileError` with every problem there is. Relative paths start at its folder.
    """
    shown = str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FleetFileError([Problem(shown, 0, 0, "", f"cannot be read: {error.strerror}")]) from error
    notes = Notes(shown)
    with _no_collection():
        root = _compose(content, notes)
        groups, targets, freezes = (
            ([], [], []) if root is None else _read(notes, root, path, drivers or Drivers.installed())
        )
    if notes.problems:
        raise FleetFileError(notes.problems)
    return FleetFile(
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        groups=tuple(groups),
        targets=tuple(targets),
        freezes=tuple(freezes),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector back: with millions of new nodes it would take most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _compose(content: bytes, notes: Notes) -> yaml.Node | None:
    try:
        root: yaml.Node | None = yaml.compose(content, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        words = ", ".join(part for part in (error.context, error.problem) if part)
        notes.problems.append(Problem(notes.file, line, column, "", f"is no YAML: {words}"))
        return None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        notes.problems.append(Problem(notes.file, 0, 0, "", f"is no YAML: {error}"))
        return None
    if root is None:
        notes.problems.append(Problem(notes.file, 0, 0, "", "is empty", "begin with groups: and targets:"))
    return root


def _read(
    notes: Notes, root: yaml.Node, path: Path, drivers: Drivers
) -> tuple[list[Group], list[Target], list[Freeze]]:
    parts = notes.mapping(Entry("", root), KEYS)
    if parts is None:
        return [], [], []
    defaults = read_policies(notes, parts["policies"]) if "policies" in parts else {}
    names: dict[str, int] = {}
    groups = []
    for item in notes.items(parts.get("groups")):
        _note_name(notes, item, names)
        group = read_group(notes, item, defaults)
        if group:
            groups.append(group)
    known = Known(base=path.absolute().parent, groups=names.keys(), drivers=drivers)
    targets = [
        target
        for item in notes.items(parts.get("targets"))
        if (target := read_target(notes, item, known)) is not None
    ]
    freezes = [
        freeze
        for item in notes.items(parts.get("freezes"))
        if (freeze := read_freeze(notes, item, set(names))) is not None
    ]
    return groups, targets, freezes


def _note_name(notes: Notes, at: Entry, names: dict[str, int]) -> None:
    """Remember a group's name even if the group is wrong, so that its targets are not called wrong too."""
    if not isinstance(at.node, yaml.MappingNode):
        return
    for key, value in at.node.value:
        if key.value != "name" or not isinstance(value, yaml.ScalarNode):
            continue
        if value.value in names:
            notes.wrong(
                at.part("name", value),
                f"the group {value.value!r} is already on line {names[value.value]}",
                "choose another name",
            )
        names.setdefault(value.value, value.start_mark.line + 1)
