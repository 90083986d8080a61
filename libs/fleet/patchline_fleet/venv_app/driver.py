"""The venv driver: what of a target concerns the work is handed to a worker process, its answer is typed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from uv import find_uv_bin

from patchline_fleet import jobs
from patchline_fleet.checks import check_name, http_check
from patchline_fleet.driver import (
    Applied,
    BackedUp,
    DriverError,
    Inventory,
    Rehearsal,
    StageOutput,
    Unreachable,
    component_name,
)
from patchline_fleet.venv_app.applylog import refuse_half_changed
from patchline_fleet.venv_app.lock import STATE, shared_in_loop
from patchline_schemas.fleet import Check, CommandCheck, InstalledPackage, Target
from patchline_schemas.waves import CheckResult, PackageChange

WORKER = "patchline_fleet.venv_app.worker"
PREFIX = "pkg:pypi/"
LOCK_GRACE = 1.0
"""Seconds of a step's limit that are left for saying that the lock was not free."""


class VenvDriver:
    """Python applications with an environment of their own (``driver: venv``)."""

    ecosystems = frozenset({"pypi"})

    def check_settings(self, target: Target) -> None:
        """There are none. Raises :class:`DriverError` for any."""
        if target.settings:
            raise DriverError(f"venv: {target.id}: no such setting {min(target.settings)!r}; there are none")

    async def inventory(self, target: Target, *, timeout: timedelta) -> Inventory:
        """Every package of the environment, asked from its own interpreter."""
        checks = [list(each.command) for each in target.checks if isinstance(each, CommandCheck)]
        answer = await self._work(
            target, "inventory", timeout, f"the inventory of {target.id}", checks=json.dumps(checks)
        )
        return Inventory(
            packages=tuple(
                InstalledPackage(component=PREFIX + name, version=version)
                for name, version in answer["packages"]
            ),
            runtime=answer["runtime"],
            environment=answer["environment"],
        )

    async def precheck(self, target: Target, component: str, version: str, *, timeout: timedelta) -> None:
        """Folder and environment there and writable, room on the disk."""
        await self._work(
            target, "precheck", timeout, f"the pre-check of {target.id}", name=_package(component)
        )

    async def apply(
        self,
        target: Target,
        component: str,
        version: str,
        *,
        restart: bool,
        fence: int,
        timeout: timedelta,
        scope: str = "",
        begin_within: timedelta | None = None,
    ) -> Applied:
        """Install the version with uv, ask the environment, restart the program."""
        order = _order(
            target,
            component,
            version,
            restart=restart,
            fence=fence,
            scope=scope or f"apply {component}@{version}",
        )
        if begin_within is not None:
            order["begin_before"] = time.monotonic() + begin_within.total_seconds()
        answer = await self._work(
            target, "apply", timeout, f"the update of {target.id} to {component} {version}", **order
        )
        return _applied(answer)

    async def backup(self, target: Target, into: Path, *, timeout: timedelta) -> BackedUp:
        """Copy packages, configuration and data, each database as one consistent state."""
        answer = await self._work(target, "backup", timeout, f"the backup of {target.id}", into=str(into))
        return BackedUp(packages_total=answer["packages_total"], files_total=answer["files_total"])

    async def restore_to_scratch(
        self, target: Target, backup: Path, scratch: Path, *, timeout: timedelta
    ) -> Sequence[str]:
        """Rebuild the environment with the same Python, ask it, and compare every digest."""
        answer = await self._work(
            target,
            "restore_to_scratch",
            timeout,
            f"the restoration of {target.id}'s backup",
            backup=str(backup),
            scratch=str(scratch),
            uv=find_uv_bin(),
        )
        return tuple(answer["differences"])

    async def rollback(
        self,
        target: Target,
        backup: Path,
        component: str,
        version: str,
        *,
        restart: bool,
        fence: int,
        timeout: timedelta,
        scope: str = "",
    ) -> Applied:
        """Put back the backup's packages, and configuration and data as the target's rules say."""
        order = _order(
            target,
            component,
            version,
            restart=restart,
            fence=fence,
            scope=scope or f"rollback {component}@{version}",
        )
        answer = await self._work(
            target,
            "rollback",
            timeout,
            f"the rollback of {target.id} from {component} {version}",
            backup=str(backup),
            **order,
        )
        return _applied(answer)

    async def check(self, target: Target, check: Check, *, timeout: timedelta) -> CheckResult:
        """Run the check while no change is under way. Raises :class:`Busy` if one does not end."""
        if not isinstance(check, CommandCheck):
            folder = Path(_place(target)["folder"])
            async with shared_in_loop(folder, wait=timeout.total_seconds()):
                refuse_half_changed(folder, folder / STATE)
                return await http_check(check, timeout=timeout)
        limit = min(check.timeout, timeout).total_seconds()
        answer = await self._work(
            target,
            "check",
            timeout + check.timeout + timedelta(seconds=5),
            f"the check `{check_name(check)}` of {target.id}",
            command=list(check.command),
            seconds=limit,
            wait=timeout.total_seconds(),
        )
        return CheckResult(
            name=check_name(check),
            passed=answer["passed"],
            output=answer["output"],
            duration=timedelta(seconds=answer["duration"]),
        )

    async def rehearse(
        self, target: Target, component: str, version: str, workspace: Path, *, timeout: timedelta
    ) -> Rehearsal:
        """Try the update in a copy below ``workspace``: uv, the interpreter, the target's commands."""
        order = _order(target, component, version, restart=False, fence=0, scope="")
        order["checks"] = [_rehearsed(each) for each in target.checks]
        answer = await self._work(
            target,
            "rehearse",
            timeout,
            f"the test of {component} {version} in a copy of {target.id}",
            workspace=str(workspace),
            **order,
        )
        return Rehearsal(
            before=tuple(_stage(each) for each in answer["before"]),
            apply=_stage(answer["apply"]),
            after=tuple(_stage(each) for each in answer["after"]),
        )

    async def _work(
        self, target: Target, job: str, limit: timedelta, what: str, **details: Any
    ) -> dict[str, Any]:
        request = {
            "job": job,
            "wait": max(limit.total_seconds() - LOCK_GRACE, limit.total_seconds() / 2),
            **_place(target),
            **details,
        }
        return await jobs.call(WORKER, request, timeout=limit, what=what)


def _place(target: Target) -> dict[str, Any]:
    if target.path is None:
        raise Unreachable(
            f"the target {target.id} has no path; the venv driver needs its application's folder"
        )
    return {
        "folder": target.path,
        "environment": target.venv or str(Path(target.path) / ".venv"),
        "paths": list(target.backup.paths),
        "restore": list(target.backup.restore),
    }


def _order(
    target: Target, component: str, version: str, *, restart: bool, fence: int, scope: str
) -> dict[str, Any]:
    command = target.restart if restart else None
    return {
        "name": _package(component),
        "version": version,
        "scope": scope,
        "fence": fence,
        "restart": list(command.command) if command else [],
        "restart_timeout": command.timeout.total_seconds() if command else 0.0,
        "uv": find_uv_bin(),
    }


def _package(component: str) -> str:
    if not component.startswith(PREFIX):
        raise DriverError(f"the venv driver updates {PREFIX}... packages only, not {component}")
    return str(canonicalize_name(component_name(component)))


def _rehearsed(check: Check) -> dict[str, Any]:
    return {
        "name": check_name(check),
        "command": list(check.command) if isinstance(check, CommandCheck) else [],
        "seconds": check.timeout.total_seconds(),
    }


def _stage(answer: dict[str, Any]) -> StageOutput:
    return StageOutput(**{**answer, "duration": timedelta(seconds=answer["duration"])})


def _applied(answer: dict[str, Any]) -> Applied:
    return Applied(
        before=answer["before"],
        after=answer["after"],
        changes=tuple(
            PackageChange(component=PREFIX + name, before=before, after=after)
            for name, before, after in answer["changes"]
        ),
        restarted=answer.get("restarted", False),
        already=answer.get("already", False),
        notes=tuple(answer.get("notes", ())),
        output=answer.get("output", ""),
    )
