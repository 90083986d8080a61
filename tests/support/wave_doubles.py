"""A fleet in memory behind the driver port, and the events of one wave over it."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from patchline_fleet.archives import Archives, FolderArchives
from patchline_fleet.driver import Applied, BackedUp, DriverError, Fenced, Inventory, Rehearsal, StageOutput
from patchline_fleet.drivers import Drivers
from patchline_schemas.fleet import CommandCheck, InstalledPackage, Restart, Target, TargetRegistered
from patchline_schemas.waves import CheckResult, PackageChange, WaveOrder, WaveTarget

JINJA = "pkg:pypi/jinja2"
OLD, NEW = "3.1.2", "3.1.6"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SELFCHECK = CommandCheck(command=("selfcheck",), timeout=timedelta(seconds=1))


class FakeDriver:
    """Targets in memory. ``fault[method, target]`` is raised, or called before the work is done;
    ``held[method, target]`` is waited for after it is done and before the caller hears of it."""

    def __init__(self, *target_ids: str, version: str = OLD) -> None:
        self.versions = {id: {JINJA: version} for id in target_ids}
        self.failing_checks: set[str] = set()
        self.fault: dict[tuple[str, str], Exception | Callable[[], None]] = {}
        self.hangs: set[tuple[str, str]] = set()
        self.held: dict[tuple[str, str], asyncio.Event] = {}
        self.calls: list[tuple[str, str]] = []
        self.reached = asyncio.Event()
        """Set when something is held or hangs."""
        self.changed: list[tuple[str, str]] = []
        """Target and version of every change that really happened."""
        self.fences: dict[tuple[str, str], int] = {}
        self.at_once = self.most_at_once = 0
        self.before = (StageOutput("imports", True, "ok", timedelta(seconds=1)),)
        self.after = self.before
        self.apply_stage = StageOutput("apply", True, "installed", timedelta(seconds=1))
        self.differences: list[str] = []

    def count(self, method: str, target_id: str | None = None) -> int:
        return sum(m == method and target_id in (None, t) for m, t in self.calls)

    async def inventory(self, target, *, timeout):
        await self._reach("inventory", target)
        packages = tuple(
            InstalledPackage(component=component, version=version)
            for component, version in self.versions[target.id].items()
        )
        return Inventory(packages=packages, runtime="cpython 3.11.7", environment="sha256:e")

    async def precheck(self, target, component, version, *, timeout):
        await self._reach("precheck", target)

    async def apply(
        self, target, component, version, *, restart, fence, timeout, scope="", begin_within=None
    ):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._reach("apply", target)
            self._admit(target, fence, scope)
            before = self.versions[target.id].get(component)
            already = before == version
            if not already:
                self.versions[target.id][component] = version
                self.changed.append((target.id, version))
            await self._held("apply", target)
        finally:
            self.at_once -= 1
        changes = () if already else (PackageChange(component=component, before=before, after=version),)
        return Applied(before, version, changes, restarted=restart and not already, already=already)

    async def backup(self, target, into, *, timeout):
        await self._reach("backup", target)
        (into / "packages.json").write_text(json.dumps(self.versions[target.id]))
        await self._held("backup", target)
        return BackedUp(packages_total=len(self.versions[target.id]), files_total=1)

    async def restore_to_scratch(self, target, backup, scratch, *, timeout):
        await self._reach("restore_to_scratch", target)
        if json.loads((backup / "packages.json").read_text()) != self.versions[target.id]:
            return ["packages.json differs"]
        return self.differences

    async def rollback(self, target, backup, component, version, *, restart, fence, timeout, scope=""):
        await self._reach("rollback", target)
        self._admit(target, fence, scope)
        before = self.versions[target.id].get(component)
        restored = json.loads((backup / "packages.json").read_text())
        if restored != self.versions[target.id]:
            self.versions[target.id] = restored
            self.changed.append((target.id, restored[component]))
        return Applied(before, restored[component], (), restarted=restart, notes=("config was kept aside.",))

    async def check(self, target, check, *, timeout):
        await self._reach("check", target)
        passed = target.id not in self.failing_checks
        return CheckResult(
            name=" ".join(check.command),
            passed=passed,
            output="ok" if passed else "AssertionError: wrong page",
            duration=timedelta(seconds=1),
        )

    async def rehearse(self, target, component, version, workspace, *, timeout):
        (workspace / "copy").mkdir()
        await self._reach("rehearse", target)
        await self._held("rehearse", target)
        return Rehearsal(before=self.before, apply=self.apply_stage, after=self.after)

    async def _reach(self, method, target):
        self.calls.append((method, target.id))
        fault = self.fault.get((method, target.id))
        if isinstance(fault, Exception):
            raise fault
        if fault is not None:
            fault()
        if (method, target.id) in self.hangs:
            self.reached.set()
            await asyncio.Event().wait()

    async def _held(self, method, target):
        gate = self.held.get((method, target.id))
        if gate is not None:
            self.reached.set()
            await gate.wait()

    def _admit(self, target, fence, scope):
        if not scope:
            raise DriverError("no scope")
        if fence < self.fences.get((target.id, scope), 0):
            raise Fenced(f"a newer worker has been on {target.id}")
        self.fences[target.id, scope] = fence


def resources(driver, tmp_path):
    return {
        Drivers: Drivers({"fake": lambda: driver}),
        Archives: FolderArchives(tmp_path / "archives"),
    }


def target(id, *, checks=(SELFCHECK,), restart=True):
    return Target(
        id=id,
        group="intranet",
        driver="fake",
        checks=checks,
        restart=Restart(command=("restart",)) if restart else None,
    )


async def register(harness, *ids, **options):
    for id in ids:
        await harness.publish(TargetRegistered(revision=1, target=target(id, **options)))


def order(**changes):
    values = {
        "wave_id": "jinja2-3.1.6-5f2d1c.r1.w1",
        "update_id": "jinja2-3.1.6-5f2d1c",
        "revision": 1,
        "round": 1,
        "number": 1,
        "group": "intranet",
        "component": JINJA,
        "version": NEW,
        "restart_required": False,
        "window_ends_at": None,
        "concurrency": 10,
        "max_failures": 0,
        "target_timeout": timedelta(minutes=5),
        "soak": timedelta(seconds=30),
    }
    return WaveOrder(**(values | changes))


def wave_targets(*ids, version=OLD):
    return tuple(WaveTarget(target_id=id, from_version=version) for id in ids)
