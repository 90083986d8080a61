"""How a simulated target behaves, as its ``settings`` in the fleet file say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from patchline_fleet.errors import DriverError
from patchline_schemas.fleet import Target

STEPS = ("inventory", "precheck", "apply", "backup", "restore", "rollback", "check", "rehearse")
KEYS = ("packages", "latency", "unreachable", "fail", "hang", "bad", "broken", "missing")

_duration = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class SimSettings:
    """A simulated target's nature."""

    folder: Path
    """Where the simulated fleet's state lies; many targets share one."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """What is installed at first, by package URL."""
    latency: timedelta = timedelta(0)
    """How long each call takes."""
    unreachable: bool = False
    fail: Mapping[str, int | None] = field(default_factory=dict)
    """Steps that fail, and how many times (None: always)."""
    hang: Mapping[str, int | None] = field(default_factory=dict)
    """Steps that never come back, and how many times."""
    bad: frozenset[str] = frozenset()
    """``component@version`` with which the checks fail on the live target."""
    broken: frozenset[str] = frozenset()
    """``component@version`` with which the imports fail in a rehearsal."""
    missing: frozenset[str] = frozenset()
    """``component@version`` that does not exist."""


def settings_of(target: Target) -> SimSettings:
    """Read a target's settings. Raises :class:`DriverError` for one that makes no sense."""
    if target.path is None:
        raise DriverError(f"sim: {target.id}: has no path: the folder of its simulated fleet")
    given = target.settings
    if unknown := sorted(given.keys() - set(KEYS)):
        raise DriverError(f"sim: {target.id}: no such setting {unknown[0]!r}; there are: {', '.join(KEYS)}")
    try:
        latency = _duration.validate_python(given.get("latency", "PT0S"))
    except ValidationError:
        raise DriverError(f"sim: {target.id}: latency {given['latency']!r} is no ISO 8601 duration") from None
    return SimSettings(
        folder=Path(target.path),
        packages=dict(_versioned(target.id, word) for word in _words(given.get("packages"))),
        latency=latency,
        unreachable=given.get("unreachable", "no") not in ("no", "false", "off"),
        fail=dict(_step(target.id, word) for word in _words(given.get("fail"))),
        hang=dict(_step(target.id, word) for word in _words(given.get("hang"))),
        bad=frozenset(_words(given.get("bad"))),
        broken=frozenset(_words(given.get("broken"))),
        missing=frozenset(_words(given.get("missing"))),
    )


def _words(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _versioned(target_id: str, word: str) -> tuple[str, str]:
    component, at, version = word.rpartition("@")
    if not at or not component.startswith("pkg:") or not version:
        raise DriverError(f"sim: {target_id}: {word!r} is no package URL with a version (pkg:pypi/app@1.0.0)")
    return component, version


def _step(target_id: str, word: str) -> tuple[str, int | None]:
    step, colon, times = word.partition(":")
    if step not in STEPS or (colon and not times.isdigit()):
        raise DriverError(
            f"sim: {target_id}: {word!r} is no fault: write STEP or STEP:TIMES; steps are {', '.join(STEPS)}"
        )
    return step, int(times) if colon else None
