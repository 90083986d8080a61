"""Targets for the driver tests: each world makes real or simulated ones of one driver."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from patchline_fleet.driver import Driver
from patchline_fleet.sim.driver import SimDriver
from patchline_fleet.sim.fleet import SimFleet
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_schemas.fleet import BackupRules, Check, CommandCheck, Restart, Target

IDNA, SIX = "pkg:pypi/idna", "pkg:pypi/six"
OLD = {IDNA: "3.6", SIX: "1.15.0"}
NEW = {IDNA: "3.7", SIX: "1.16.0"}
LIMIT = timedelta(seconds=60)


@dataclass(frozen=True)
class Line:
    """A line of an apply log, whatever the driver."""

    event: str
    run: str
    operation: str
    component: str
    version: str
    outcome: str | None


class World(Protocol):
    """Makes targets of one driver that have the packages of :data:`OLD`."""

    driver: Driver

    def target(self) -> Target: ...

    def hanging(self, target: Target) -> Target:
        """The same target, whose apply does not come back."""

    def gone(self, target: Target) -> Target:
        """The same target, out of reach."""

    def check(self, *, passing: bool) -> Check: ...

    def failing(self, target: Target) -> Target:
        """The same target, whose checks of :meth:`check` with ``passing=False`` fail."""

    def log(self, target: Target) -> list[Line]: ...


def uv(*arguments: str, cwd: Path) -> None:
    done = subprocess.run([find_uv_bin(), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def build_environment(at: Path, packages: Sequence[str]) -> Path:
    """A virtual environment with exactly these packages and what they need."""
    at.parent.mkdir(parents=True, exist_ok=True)
    uv("venv", "--quiet", "--python", sys.executable, str(at), cwd=at.parent)
    if packages:
        uv("pip", "install", "--quiet", "--python", str(at), *packages, cwd=at.parent)
    return at


@dataclass
class VenvWorld:
    """Real folders with copies of one environment."""

    folder: Path
    base: Path
    driver: Driver
    made: int = 0

    def target(self) -> Target:
        self.made += 1
        folder = self.folder / f"app{self.made}"
        (folder / "config").mkdir(parents=True)
        (folder / "data").mkdir()
        (folder / "config" / "app.toml").write_text("a = 1\n")
        (folder / "data" / "rows.txt").write_text("first\n")
        shutil.copytree(self.base, folder / ".venv", symlinks=True)
        return Target(
            id=folder.name,
            group="g",
            driver="venv",
            path=str(folder),
            restart=Restart(command=(".venv/bin/python", "-c", "print('restarted')")),
            backup=BackupRules(paths=("config", "data"), restore=("config",)),
        )

    def hanging(self, target: Target) -> Target:
        return target.model_copy(update={"restart": Restart(command=("sleep", "60"))})

    def gone(self, target: Target) -> Target:
        return target.model_copy(update={"path": str(self.folder / "nowhere")})

    def check(self, *, passing: bool) -> Check:
        return CommandCheck(command=(".venv/bin/python", "-c", f"import sys; sys.exit({int(not passing)})"))

    def failing(self, target: Target) -> Target:
        return target

    def log(self, target: Target) -> list[Line]:
        path = Path(target.path or "") / ".patchline" / "applies.jsonl"
        if not path.exists():
            return []
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        return [Line(**{name: entry[name] for name in Line.__dataclass_fields__}) for entry in entries]


@dataclass
class SimWorld:
    """Simulated targets in one folder."""

    folder: Path
    driver: Driver
    made: int = 0

    def target(self) -> Target:
        self.made += 1
        packages = " ".join(f"{component}@{version}" for component, version in OLD.items())
        return Target(
            id=f"sim{self.made}",
            group="g",
            driver="sim",
            path=str(self.folder / "sim"),
            restart=Restart(command=("restart",)),
            settings={"packages": packages, "missing": f"{IDNA}@99"},
        )

    def hanging(self, target: Target) -> Target:
        return target.model_copy(update={"settings": {**target.settings, "hang": "apply:1"}})

    def gone(self, target: Target) -> Target:
        return target.model_copy(update={"settings": {**target.settings, "unreachable": "yes"}})

    def check(self, *, passing: bool) -> Check:
        return CommandCheck(command=("passes" if passing else "fails",))

    def failing(self, target: Target) -> Target:
        bad = f"{IDNA}@{OLD[IDNA]}"
        return target.model_copy(update={"settings": {**target.settings, "bad": bad}})

    def log(self, target: Target) -> list[Line]:
        fleet = SimFleet(Path(target.path or ""))
        try:
            return [
                Line(each.event, each.run, each.operation, each.component, each.version, each.outcome)
                for each in fleet.log(target.id)
            ]
        finally:
            fleet.close()


def make_world(name: str, folder: Path, base: Path) -> World:
    return VenvWorld(folder, base, VenvDriver()) if name == "venv" else SimWorld(folder, SimDriver())


def broken_rules(lines: Sequence[Line]) -> list[str]:
    """How a target's apply log breaks the promises; empty if it keeps them.

    No two changes overlap, and no apply begins after the same one had ended well (unless it was rolled back).
    """
    found, open_run, in_effect = [], None, set()
    for line in lines:
        change = (line.component, line.version)
        if line.event == "begin":
            if open_run is not None:
                found.append(f"{line.run} began while {open_run} was under way")
            if line.operation == "apply" and change in in_effect:
                found.append(f"{change} was applied again after it had ended well")
            open_run = line.run
        else:
            if line.run != open_run:
                found.append(f"{line.run} ended, but {open_run} was under way")
            open_run = None
        if line.outcome == "succeeded":
            in_effect.add(change) if line.operation == "apply" else in_effect.discard(change)
    return found
