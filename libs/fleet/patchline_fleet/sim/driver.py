"""The sim driver: the port's promises kept on targets that do not exist."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from patchline_fleet.checks import check_name
from patchline_fleet.driver import (
    Applied,
    BackedUp,
    DriverError,
    Inventory,
    Rehearsal,
    StageOutput,
    TimedOut,
    Unreachable,
)
from patchline_fleet.sim.fleet import Change, SimFleet
from patchline_fleet.sim.settings import SimSettings, settings_of
from patchline_schemas.fleet import Check, InstalledPackage, Target
from patchline_schemas.waves import CheckResult, PackageChange

R = TypeVar("R")

RUNTIME = "sim"
NOTE = "sim: a simulated target; nothing real was changed"
RECORD = "sim-backup.json"
INSTANT = timedelta(0)


class SimDriver:
    """Simulated targets (``driver: sim``)."""

    def __init__(self) -> None:
        self._fleets: dict[Path, SimFleet] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim")

    def close(self) -> None:
        """Close the fleets' files; the driver is not used afterwards."""
        self._thread.shutdown()
        for fleet in self._fleets.values():
            fleet.close()

    def check_settings(self, target: Target) -> None:
        """Read the target's settings. Raises :class:`DriverError` for one that makes no sense."""
        settings_of(target)

    async def inventory(self, target: Target, *, timeout: timedelta) -> Inventory:
        """The simulated packages."""
        async with self._call(target, "inventory", timeout) as sim:
            packages = await self._packages(target, sim)
            return Inventory(
                packages=tuple(
                    InstalledPackage(component=component, version=version)
                    for component, version in packages.items()
                ),
                runtime=RUNTIME,
                environment=_environment(packages, sim),
            )

    async def precheck(self, target: Target, component: str, version: str, *, timeout: timedelta) -> None:
        """Passes unless a fault is set."""
        async with self._call(target, "precheck", timeout):
            return

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
        """Set the version, between a begin and an end in the apply log."""
        deadline = None if begin_within is None else time.monotonic() + begin_within.total_seconds()
        scope = scope or f"apply {component}@{version}"
        change = Change(target.id, "apply", component, version, scope, fence)
        sim = settings_of(target)
        await self._packages(target, sim)
        begun = await self._in(sim, lambda fleet: fleet.begin_unless_in_effect(change, deadline=deadline))
        if begun is None:
            return Applied(before=version, after=version, changes=(), already=True, notes=(NOTE,))
        before = await self._packages(target, sim)
        after = {**before, component: version}
        async with self._ending(sim, begun), self._call(target, "apply", timeout):
            if f"{component}@{version}" in sim.missing:
                raise DriverError(f"sim: there is no version of {component}=={version}")
            await self._in(sim, partial(_succeed, begun, after))
        return _applied(component, before, after, restarted=restart and target.restart is not None)

    async def backup(self, target: Target, into: Path, *, timeout: timedelta) -> BackedUp:
        """Write the simulated packages into a file."""
        async with self._call(target, "backup", timeout) as sim:
            packages = await self._packages(target, sim)
            content = json.dumps({"driver": RUNTIME, "target": target.id, "packages": packages})
            await asyncio.to_thread(_write, into / RECORD, content)
            return BackedUp(packages_total=len(packages), files_total=0)

    async def restore_to_scratch(
        self, target: Target, backup: Path, scratch: Path, *, timeout: timedelta
    ) -> Sequence[str]:
        """Write the file again and read it back."""
        async with self._call(target, "restore", timeout):
            packages = await asyncio.to_thread(_read, backup)
            await asyncio.to_thread(_write, scratch / RECORD, (backup / RECORD).read_text())
            return () if await asyncio.to_thread(_read, scratch) == packages else ("sim: packages differ",)

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
        """Set the versions of the backup, or only this update's if another changed the target since."""
        scope = scope or f"rollback {component}@{version}"
        change = Change(target.id, "rollback", component, version, scope, fence)
        sim = settings_of(target)
        kept = await asyncio.to_thread(_read, backup)
        await self._packages(target, sim)
        begun = await self._in(sim, lambda fleet: fleet.begin_unless_in_effect(change))
        before = await self._packages(target, sim)
        if begun is None:
            now = before.get(component)
            return Applied(before=now, after=now, changes=(), already=True, notes=(NOTE,))
        after, notes = _reverted(before, kept, component, version)
        async with self._ending(sim, begun), self._call(target, "rollback", timeout):
            await self._in(sim, partial(_succeed, begun, after))
        restarted = restart and target.restart is not None
        return _applied(component, before, after, restarted=restarted, notes=notes)

    async def check(self, target: Target, check: Check, *, timeout: timedelta) -> CheckResult:
        """Fails with a version that is set as bad, or by a set fault; nothing is run."""
        name = check_name(check)
        try:
            async with self._call(target, "check", min(timeout, check.timeout)) as sim:
                bad = _hit(await self._packages(target, sim), sim.bad)
        except Unreachable:
            raise
        except DriverError as error:
            return CheckResult(name=name, passed=False, output=str(error), duration=INSTANT)
        output = f"sim: fails with {bad}" if bad else "sim: passes"
        return CheckResult(name=name, passed=bad is None, output=output, duration=sim.latency)

    async def rehearse(
        self, target: Target, component: str, version: str, workspace: Path, *, timeout: timedelta
    ) -> Rehearsal:
        """Every stage passes, unless the version is set as missing or broken."""
        async with self._call(target, "rehearse", timeout) as sim:
            packages = await self._packages(target, sim)
            names = ["dependency consistency", "imports", *(check_name(each) for each in target.checks)]
            before = tuple(_stage(name) for name in names)
            wanted = f"{component}@{version}"
            if wanted in sim.missing:
                failed = _stage("apply", failure=f"there is no version of {component}=={version}")
                return Rehearsal(before=before, apply=failed)
            broken = _hit({**packages, component: version}, sim.broken)
            after = tuple(
                _stage(name, failure=f"fails with {broken}" if broken and name == "imports" else None)
                for name in names
            )
            return Rehearsal(before=before, apply=_stage("apply"), after=after)

    @asynccontextmanager
    async def _call(self, target: Target, step: str, timeout: timedelta) -> AsyncIterator[SimSettings]:
        """The set latency and faults of one step, within the time limit."""
        sim = settings_of(target)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                if sim.unreachable:
                    raise Unreachable(f"sim: {target.id} is set to be unreachable")
                if sim.latency:
                    await asyncio.sleep(sim.latency.total_seconds())
                if await self._happens(target, sim, sim.hang, step, "hang"):
                    await asyncio.Event().wait()
                if await self._happens(target, sim, sim.fail, step, "fail"):
                    raise DriverError(f"sim: {step} of {target.id} is set to fail")
                yield sim
        except TimeoutError:
            limit = timeout.total_seconds()
            raise TimedOut(f"sim: {step} of {target.id} did not end within {limit:g} s") from None

    @asynccontextmanager
    async def _ending(self, sim: SimSettings, begun: Change) -> AsyncIterator[None]:
        """Gives the begun change an end in the log if it fails; one that is cancelled stays cut off."""
        try:
            yield
        except TimedOut:
            raise
        except DriverError:
            await self._in(sim, lambda fleet: fleet.fail(begun))
            raise

    async def _happens(
        self, target: Target, sim: SimSettings, faults: Mapping[str, int | None], step: str, kind: str
    ) -> bool:
        if step not in faults:
            return False
        key, times = f"{kind} {step}", faults[step]
        return await self._in(sim, lambda fleet: fleet.fault_is_due(target.id, key, times))

    async def _packages(self, target: Target, sim: SimSettings) -> dict[str, str]:
        return await self._in(sim, lambda fleet: fleet.packages(target.id, sim.packages))

    async def _in(self, sim: SimSettings, work: Callable[[SimFleet], R]) -> R:
        """Do ``work`` on the fleet's file in the driver's own thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(self._with_fleet, sim.folder, work))

    def _with_fleet(self, folder: Path, work: Callable[[SimFleet], R]) -> R:
        fleet = self._fleets.get(folder)
        if fleet is None:
            fleet = self._fleets[folder] = SimFleet(folder)
        return work(fleet)


def _environment(packages: Mapping[str, str], sim: SimSettings) -> str:
    content = json.dumps([RUNTIME, sorted(packages.items()), sorted(sim.broken), sorted(sim.missing)])
    return f"sim:{hashlib.sha256(content.encode()).hexdigest()}"


def _reverted(
    now: Mapping[str, str], kept: Mapping[str, str], component: str, version: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The packages after a rollback, and notes."""
    others = sorted(name for name in {*now, *kept} if name != component and now.get(name) != kept.get(name))
    if now.get(component) not in (version, kept.get(component)):
        return dict(now), (f"{component} was changed since and was left as it is",)
    after = {name: each for name, each in now.items() if name != component}
    if component in kept:
        after[component] = kept[component]
    note = f"{', '.join(others)} changed after this update; only what this update changed was reverted"
    return dict(sorted(after.items())), ((note,) if others else ())


def _succeed(begun: Change, packages: Mapping[str, str], fleet: SimFleet) -> None:
    fleet.succeed(begun, packages)


def _applied(
    component: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    *,
    restarted: bool,
    notes: tuple[str, ...] = (),
) -> Applied:
    return Applied(
        before=before.get(component),
        after=after.get(component),
        changes=tuple(
            PackageChange(component=name, before=before.get(name), after=after.get(name))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ),
        restarted=restarted,
        notes=(NOTE, *notes),
    )


def _hit(packages: Mapping[str, str], versions: frozenset[str]) -> str | None:
    return next((f"{name}@{at}" for name, at in packages.items() if f"{name}@{at}" in versions), None)


def _stage(name: str, *, failure: str | None = None) -> StageOutput:
    return StageOutput(
        name=name, passed=failure is None, output=f"sim: {failure or 'passes'}", duration=INSTANT
    )


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _read(folder: Path) -> dict[str, str]:
    try:
        packages: dict[str, str] = json.loads((folder / RECORD).read_text())["packages"]
    except (OSError, ValueError, KeyError) as error:
        raise DriverError(f"sim: {folder} is no backup of a simulated target: {error}") from error
    return packages
