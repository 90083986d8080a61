"""Reads groups, policies and freezes."""

from __future__ import annotations

import re
from typing import Any

from patchline_fleet.fleetfile.nodes import Entry, Notes
from patchline_fleet.fleetfile.problems import did_you_mean
from patchline_fleet.fleetfile.windows import read_window
from patchline_schemas.fleet import Approval, Freeze, Group, Policies
from patchline_schemas.values import Criticality, Exposure

GROUP_KEYS = ("name", "criticality", "exposure", "window", "notice", "contacts", "policies")
POLICY_KEYS = tuple(Policies.model_fields)
FREEZE_KEYS = ("from", "until", "reason", "groups")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def read_name(notes: Notes, at: Entry) -> str | None:
    """An id or a group's name: it becomes part of keys and file names, so few characters are allowed."""
    text = notes.text(at)
    if text is None or NAME.fullmatch(text):
        return text
    notes.wrong(at, f"{text!r} is no name: letters, digits, '.', '_' and '-', at most 120, a letter first")
    return None


def read_group(notes: Notes, at: Entry, defaults: dict[str, Any]) -> Group | None:
    """A group; its policies override ``defaults`` one by one."""
    parts = notes.mapping(at, GROUP_KEYS, required=("name", "criticality"))
    if parts is None:
        return None
    before = len(notes.problems)
    values: dict[str, Any] = {}
    for key, part in parts.items():
        match key:
            case "name":
                values[key] = read_name(notes, part)
            case "criticality":
                values[key] = notes.choice(part, Criticality)
            case "exposure":
                values[key] = notes.choice(part, Exposure)
            case "window":
                values[key] = read_window(notes, part)
            case "notice":
                values[key] = notes.duration(part)
            case "contacts":
                values[key] = _contacts(notes, part)
            case "policies":
                values[key] = Policies(**{**defaults, **read_policies(notes, part)})
    if len(notes.problems) > before or not {"name", "criticality"} <= values.keys():
        return None
    return Group(**{"policies": Policies(**defaults), **values})


def read_policies(notes: Notes, at: Entry) -> dict[str, Any]:
    """The policies that are given here, as arguments of :class:`Policies`."""
    values: dict[str, Any] = {}
    for key, part in (notes.mapping(at, POLICY_KEYS) or {}).items():
        match key:
            case "approval":
                values[key] = _approval(notes, part)
            case "soak":
                values[key] = notes.duration(part)
            case "target_timeout":
                values[key] = notes.duration(part, positive=True)
            case "on_failure":
                values[key] = notes.one_of(part, ("roll-back-wave", "roll-back-all"))
            case "max_failures":
                values[key] = notes.integer(part, least=0)
            case "concurrency":
                values[key] = notes.integer(part, least=1)
            case "wave_size":
                values[key] = notes.integer(part, least=1, most=500)
            case "required_notice":
                values[key] = notes.boolean(part)
    return {key: value for key, value in values.items() if value is not None}


def read_freeze(notes: Notes, at: Entry, groups: set[str]) -> Freeze | None:
    """A time in which nothing starts."""
    parts = notes.mapping(at, FREEZE_KEYS, required=("from", "until", "reason"))
    if parts is None or not {"from", "until", "reason"} <= parts.keys():
        return None
    starts, ends = notes.instant(parts["from"]), notes.instant(parts["until"])
    reason = notes.text(parts["reason"])
    named = []
    for item in notes.items(parts.get("groups")):
        name = notes.text(item)
        if name is not None and name not in groups:
            notes.wrong(item, f"there is no group {name!r}", did_you_mean(name, groups))
        elif name is not None:
            named.append(name)
    if starts is None or ends is None or reason is None:
        return None
    if ends <= starts:
        notes.wrong(parts["until"], "is not after `from`")
        return None
    return Freeze(starts_at=starts, ends_at=ends, reason=reason, groups=tuple(named))


def _approval(notes: Notes, at: Entry) -> Approval | str | None:
    if notes.is_scalar(at):
        text = notes.text(at)
        if text in (None, "automatic"):
            return text
        notes.wrong(at, f"{text!r} is no approval", "write automatic, or {minimum_approvers: 1}")
        return None
    parts = notes.mapping(at, ("minimum_approvers", "not_the_requester")) or {}
    values: dict[str, Any] = {}
    if "minimum_approvers" in parts:
        values["minimum_approvers"] = notes.integer(parts["minimum_approvers"], least=1)
    if "not_the_requester" in parts:
        values["not_the_requester"] = notes.boolean(parts["not_the_requester"])
    return None if None in values.values() else Approval(**values)


def _contacts(notes: Notes, at: Entry) -> tuple[str, ...]:
    """Contacts; their text may hold a password, so no message repeats it."""
    found = []
    for item in notes.items(at):
        text = notes.text(item)
        if text is None:
            continue
        scheme, colon, rest = text.partition(":")
        if not colon or not rest or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
            notes.wrong(item, "is no contact", "write an Apprise URL (mailto://...), or file:PATH")
        else:
            found.append(text)
    return tuple(found)
