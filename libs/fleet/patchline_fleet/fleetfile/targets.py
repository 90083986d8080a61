"""Reads targets."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from patchline_fleet.drivers import Drivers
from patchline_fleet.fleetfile.groups import read_name
from patchline_fleet.fleetfile.nodes import Entry, Notes
from patchline_fleet.fleetfile.problems import did_you_mean
from patchline_schemas.fleet import BackupRules, Check, CommandCheck, HttpCheck, Restart, Target

TARGET_KEYS = ("id", "group", "driver", "path", "venv", "checks", "restart", "backup", "settings")
REQUIRED = ("id", "group", "driver")
NEEDS_FOLDER = frozenset({"venv"})
"""Drivers whose ``path`` must be given and be there."""


@dataclass(slots=True)
class Known:
    """What targets are checked against."""

    base: Path
    """The folder of the fleet file."""
    groups: Collection[str]
    drivers: Drivers
    ids: dict[str, int] = field(default_factory=dict)
    """Lines of the ids so far."""
    environments: dict[str, str] = field(default_factory=dict)
    """Whose each environment is."""


def read_target(notes: Notes, at: Entry, known: Known) -> Target | None:
    """A target, with absolute paths."""
    parts = notes.mapping(at, TARGET_KEYS, required=REQUIRED)
    if parts is None:
        return None
    before = len(notes.problems)
    values: dict[str, Any] = {}
    for key, part in parts.items():
        match key:
            case "id":
                values[key] = _unique_id(notes, part, known)
            case "group":
                values[key] = _among(notes, part, known.groups, "group")
            case "driver":
                values[key] = _among(notes, part, known.drivers.names, "driver")
            case "path":
                values[key] = _absolute(notes.text(part), known.base)
            case "checks":
                values[key] = tuple(
                    check for item in notes.items(part) if (check := _check(notes, item)) is not None
                )
            case "restart":
                values[key] = _restart(notes, part)
            case "backup":
                values[key] = _backup(notes, part)
            case "settings":
                values[key] = _settings(notes, part)
    _place(notes, at, parts, values, known)
    if len(notes.problems) > before or not set(REQUIRED) <= values.keys():
        return None
    target = Target(**values)
    problem = known.drivers.problem(target)
    if problem is not None:
        notes.wrong(parts.get("settings", at), problem)
        return None
    return target


def _place(notes: Notes, at: Entry, parts: dict[str, Entry], values: dict[str, Any], known: Known) -> None:
    path = values.get("path")
    if path and "venv" in parts:
        values["venv"] = _absolute(notes.text(parts["venv"]), Path(path))
    if values.get("driver") not in NEEDS_FOLDER:
        return
    if path is None:
        if "path" not in parts:
            notes.wrong(at, "'path' is missing: the application's folder")
        return
    if not Path(path).is_dir():
        reason = "is no folder" if Path(path).exists() else "does not exist"
        notes.wrong(parts["path"], f"{path} {reason}", "make it, or leave the target out")
        return
    environment = values.get("venv") or f"{path}/.venv"
    owner = known.environments.setdefault(environment, values.get("id") or at.where)
    if owner != (values.get("id") or at.where):
        notes.wrong(parts["path"], f"the target {owner!r} already has the environment {environment}")


def _unique_id(notes: Notes, at: Entry, known: Known) -> str | None:
    name = read_name(notes, at)
    if name is None:
        return None
    if name in known.ids:
        notes.wrong(at, f"the id {name!r} is already taken on line {known.ids[name]}", "choose another")
        return None
    known.ids[name] = at.node.start_mark.line + 1
    return name


def _among(notes: Notes, at: Entry, names: Collection[str], what: str) -> str | None:
    text = notes.text(at)
    if text is None or text in names:
        return text
    fix = did_you_mean(text, names) or f"there are: {', '.join(sorted(names)[:20]) or 'none'}"
    notes.wrong(at, f"there is no {what} {text!r}", fix)
    return None


def _absolute(text: str | None, base: Path) -> str | None:
    if text is None:
        return None
    return os.path.normpath(base / Path(text).expanduser())


def _check(notes: Notes, at: Entry) -> Check | None:
    parts = notes.mapping(at, ("command", "http", "timeout"))
    if parts is None:
        return None
    if ("command" in parts) == ("http" in parts):
        notes.wrong(at, "must have either 'command' or 'http'")
        return None
    limit = notes.duration(parts["timeout"], positive=True) if "timeout" in parts else None
    values: dict[str, Any] = {"timeout": limit} if limit else {}
    if "command" in parts:
        command = _command(notes, parts["command"])
        return CommandCheck(command=command, **values) if command else None
    url = notes.text(parts["http"])
    if url is None:
        return None
    try:
        split = urlsplit(url)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:
        notes.wrong(parts["http"], f"{url!r} is no http or https URL")
        return None
    return HttpCheck(http=url, **values)


def _command(notes: Notes, at: Entry) -> tuple[str, ...] | None:
    if notes.is_scalar(at):
        text = notes.text(at)
        if text is not None:
            notes.wrong(at, "must be a list: there is no shell", _as_list(text))
        return None
    before = len(notes.problems)
    command = notes.texts(at)
    if len(notes.problems) > before:
        return None
    if not command:
        notes.wrong(at, "is empty")
        return None
    return command


def _as_list(text: str) -> str | None:
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    quoted = ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return f"write [{quoted}]"


def _restart(notes: Notes, at: Entry) -> Restart | None:
    parts = notes.mapping(at, ("command", "timeout"), required=("command",))
    if not parts or "command" not in parts:
        return None
    limit = notes.duration(parts["timeout"], positive=True) if "timeout" in parts else None
    command = _command(notes, parts["command"])
    if command is None:
        return None
    return Restart(command=command, timeout=limit) if limit else Restart(command=command)


def _backup(notes: Notes, at: Entry) -> BackupRules | None:
    parts = notes.mapping(at, ("paths", "restore"))
    if parts is None:
        return None
    paths = _inside_paths(notes, parts.get("paths"))
    if "restore" not in parts:
        return BackupRules(paths=paths, restore=tuple(path for path in paths if path == "config"))
    restore = []
    for item in notes.items(parts["restore"]):
        text = notes.text(item)
        if text is None:
            continue
        if text.rstrip("/") not in paths:
            notes.wrong(item, f"{text!r} is not among `paths`, so it is not in the backup", "add it there")
        restore.append(text.rstrip("/"))
    return BackupRules(paths=paths, restore=tuple(restore))


def _inside_paths(notes: Notes, at: Entry | None) -> tuple[str, ...]:
    found: list[str] = []
    for item in notes.items(at):
        text = notes.text(item)
        if text is None:
            continue
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            notes.wrong(item, f"{text!r} must lead to something inside the target's folder")
            continue
        for other in found:
            if path.is_relative_to(other) or PurePosixPath(other).is_relative_to(path):
                notes.wrong(item, f"{text!r} and {other!r} overlap", "name only the outer one")
        found.append(str(path))
    return tuple(found)


def _settings(notes: Notes, at: Entry) -> dict[str, str]:
    parts = notes.mapping(at, None) or {}
    return {key: text for key, part in parts.items() if (text := notes.text(part)) is not None}
