"""Tries an update in a copy of the application, with what worked before it as the measure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import DriverError
from patchline_fleet.venv_app.environment import Environment, changes
from patchline_fleet.venv_app.imports import concerned, import_all, modules_of, modules_of_application
from patchline_fleet.venv_app.install import Journal, Order, install, must_be_in_effect
from patchline_fleet.venv_app.replica import Replica, make_replica

KEPT_OUTPUT = 2000
"""Characters of a stage's output that are kept: its end."""
_CHANGED = re.compile(r"^\s*[-+~] ([A-Za-z0-9._-]+)==", re.MULTILINE)

Stage = dict[str, Any]


@dataclass(slots=True)
class Rehearsal:
    """A copy, the update to try in it, and what was found before."""

    copy: Replica
    order: Order
    checks: Sequence[Mapping[str, Any]]
    broken: dict[str, str] = field(default_factory=dict)
    """Modules that did not import before the update, and what they said."""

    def stages(self, changed: set[str], *, before: bool) -> list[Stage]:
        """Dependency consistency, imports, and each of the target's checks."""
        found = [
            _timed("dependency consistency", self._consistency),
            _timed("imports", lambda: self._imports(changed, before=before)),
        ]
        for check in self.checks:
            if check["command"]:
                found.append(_timed(check["name"], self._runner(check)))
            else:
                said = "not run: its address is the live program's"
                found.append({**_stage(check["name"], True, said, 0.0), "not_run": True})
        return found

    def expected_changes(self) -> set[str]:
        """The packages that uv would change; only the one to update if it cannot tell."""
        wanted = f"{self.order.name}=={self.order.version}"
        command = [self.order.uv, "pip", "install", "--dry-run", "--color", "never", "--no-progress"]
        done = supervised.run(
            [*command, "--python", str(self.copy.environment.python), wanted], cwd=self.copy.place.folder
        )
        return {self.order.name, *_CHANGED.findall(done.output)}

    def apply(self) -> tuple[Environment | None, Stage]:
        """Update the copy; None if that fails."""
        environment = self.copy.environment
        journal = Journal(
            self.order.name, self.order.version, environment.versions, files={}, amiss=environment.amiss()
        )
        started = time.monotonic()
        try:
            output = install(self.order, environment, journal, None)
            after = self.copy.environment
            must_be_in_effect(after, self.order)
        except DriverError as error:
            return None, _stage("apply", False, str(error), time.monotonic() - started)
        return after, _stage("apply", True, output, time.monotonic() - started)

    def _consistency(self) -> tuple[bool, str]:
        python = str(self.copy.environment.python)
        command = [self.order.uv, "pip", "check", "--color", "never", "--python", python]
        done = supervised.run(command, cwd=self.copy.place.folder)
        return done.ok, done.output

    def _imports(self, changed: set[str], *, before: bool) -> tuple[bool, str]:
        """Before the update the failures are only noted: they are the measure for afterwards."""
        environment, place = self.copy.environment, self.copy.place
        modules = [name for each in concerned(environment, changed) for name in modules_of(each)]
        modules += modules_of_application(place.folder, without=[place.environment])
        modules = [name for name in dict.fromkeys(modules) if name not in self.broken]
        failed = import_all(environment, place.folder, modules, self.copy.variables)
        if before:
            self.broken = failed
        lines = [f"{name}: {words}" for name, words in failed.items()]
        if before and failed:
            lines.insert(0, "left out of the comparison, for they do not import before the update either:")
        passed = len(failed) < len(modules) or not modules if before else not failed
        said = "\n".join(lines or [f"imported: {', '.join(modules) or 'nothing to import'}"])
        return passed, self.copy.there(said)

    def _runner(self, check: Mapping[str, Any]) -> Callable[[], tuple[bool, str]]:
        def run() -> tuple[bool, str]:
            command = [self.copy.here(part) for part in check["command"]]
            limit = check["seconds"]
            try:
                done = supervised.run(
                    command, cwd=self.copy.place.folder, env=self.copy.variables, timeout=limit
                )
            except OSError as error:
                return False, f"cannot be run: {error.strerror}"
            if done.returncode is None:
                return False, f"{done.output}\ndid not end within {limit:g} s and was stopped"
            return done.ok, done.output if done.ok else f"{done.output}\nended with {done.returncode}"

        return run


def rehearse(job: dict[str, Any]) -> dict[str, Any]:
    """Copy the application below ``workspace``, look, update the copy, and look again."""
    order = Order.of(job)
    workspace = Path(job["workspace"])
    workspace.mkdir(parents=True, exist_ok=True)
    copy = make_replica(order.place, workspace, wait=order.wait)
    rehearsal = Rehearsal(copy, replace(order, place=copy.place), job["checks"])
    expected = rehearsal.expected_changes()
    before = rehearsal.stages(expected, before=True)
    versions = copy.environment.versions
    applied, stage = rehearsal.apply()
    after = []
    if applied is not None:
        changed = {name for name, _, _ in changes(versions, applied.versions)}
        after = rehearsal.stages(changed | expected, before=False)
    return {"before": before, "apply": stage, "after": after}


def _timed(name: str, run: Callable[[], tuple[bool, str]]) -> Stage:
    started = time.monotonic()
    passed, output = run()
    return _stage(name, passed, output, time.monotonic() - started)


def _stage(name: str, passed: bool, output: str, duration: float) -> Stage:
    said = output.strip()[-KEPT_OUTPUT:]
    return {"name": name, "passed": passed, "output": said, "duration": duration, "not_run": False}
