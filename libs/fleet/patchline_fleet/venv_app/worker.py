"""The short-lived process that works on an application's folder; see :mod:`patchline_fleet.jobs`."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import Unreachable
from patchline_fleet.jobs import serve
from patchline_fleet.venv_app import install
from patchline_fleet.venv_app.applylog import refuse_half_changed
from patchline_fleet.venv_app.backup import backup, restore_to_scratch
from patchline_fleet.venv_app.environment import Environment, look
from patchline_fleet.venv_app.lock import shared
from patchline_fleet.venv_app.place import Place
from patchline_fleet.venv_app.rehearsal import rehearse
from patchline_fleet.venv_app.rollback import rollback

KEPT_OUTPUT = 2000
"""Characters of a check's output that go into its result: five hundred of them fit in an event."""


def inventory(job: dict[str, Any]) -> dict[str, Any]:
    """Every package, the runtime, and the digest by which targets are told apart in testing."""
    place = Place.of(job)
    with shared(place.folder, wait=job["wait"]):
        refuse_half_changed(place.folder, place.state)
        environment = look(place.environment, folder=place.folder)
        environment.must_be_whole()
        return {
            "packages": sorted(environment.versions.items()),
            "runtime": environment.runtime,
            "environment": _digest(environment, place, job["checks"]),
        }


def precheck(job: dict[str, Any]) -> dict[str, Any]:
    """Reachable, whole, writable, and room for the update."""
    place = Place.of(job)
    environment = look(place.environment, folder=place.folder)
    for folder in (place.folder, *environment.sites):
        if not os.access(folder, os.W_OK):
            raise Unreachable(f"{folder} cannot be written to by this user")
    install.room_for(place, job["name"], environment)
    return {}


def check(job: dict[str, Any]) -> dict[str, Any]:
    """Run a command in the application's folder. What it says is a result, whatever it says."""
    place = Place.of(job)
    with shared(place.folder, wait=job["wait"]):
        refuse_half_changed(place.folder, place.state)
        try:
            done = supervised.run(job["command"], cwd=place.folder, timeout=job["seconds"])
        except OSError as error:
            return {"passed": False, "output": f"cannot be run: {error.strerror}", "duration": 0.0}
    output = done.output[-KEPT_OUTPUT:]
    if done.returncode is None:
        output = f"did not end within {job['seconds']:g} s and was stopped\n{output}"
    elif not done.ok:
        output = f"ended with {done.returncode}\n{output}"
    return {"passed": done.ok, "output": output.strip(), "duration": done.duration}


def _digest(environment: Environment, place: Place, checks: str) -> str:
    digest = hashlib.sha256()
    for name, version in sorted(environment.versions.items()):
        digest.update(f"{name}=={version}\n".encode())
    digest.update(f"{environment.runtime}\n{place.behaviour_digest()}\n{checks}".encode())
    return digest.hexdigest()


JOBS = {
    "inventory": inventory,
    "precheck": precheck,
    "check": check,
    "apply": install.apply,
    "backup": backup,
    "restore_to_scratch": restore_to_scratch,
    "rollback": rollback,
    "rehearse": rehearse,
}

if __name__ == "__main__":
    serve(JOBS)
