"""Deployment: brings an update into effect on a wave's targets, and takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_deployment import events
from patchline_deployment.apply import apply_update
from patchline_deployment.archived import unreadable
from patchline_deployment.rollback import SCRATCH, roll_back
from patchline_deployment.settings import Settings
from patchline_fleet.archives import Archives, FolderArchives
from patchline_fleet.driver import Driver
from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import remember_targets
from patchline_fleet.runs import Lap, TargetRun, WaveRun, WaveRuns
from patchline_fleet.scratch import sweep
from patchline_kit.context import Context
from patchline_kit.service import Service
from patchline_schemas.fleet import Target
from patchline_schemas.waves import (
    TargetResult,
    WaveBackedUp,
    WaveDeployed,
    WaveDeployFailed,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRolledBack,
)

service = Service(
    "deployment",
    emits=[WaveDeployed, WaveDeployFailed, WaveRolledBack, WaveRollbackFailed],
    settings=Settings,
)
remember_targets(service)
runs = WaveRuns(service)
deploying = runs.step("deploy", ends_with_window=True, tolerates=lambda order: order.max_failures)
rolling_back = runs.step("rollback", removed_too=True, repeatable=True)


@service.on(WaveBackedUp)
async def start(event: WaveBackedUp, ctx: Context) -> None:
    """Deploy a wave whose backups were restored once."""
    await deploying.start(event.order, events.assignments(event), ctx)


@deploying.before
async def refuse(run: WaveRun, ctx: Context) -> str | None:
    """Refuse the wave if one of its backups cannot be read."""
    return await unreadable(run.waiting, ctx.resource(Archives))


@deploying.on_target
async def deploy(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Bring the version into effect on one target."""
    return await apply_update(target, driver, run, ctx)


@deploying.when_over
async def deployed(run: WaveRun, lap: Lap, ctx: Context) -> None:
    """Say how the deployment ended."""
    ctx.emit(events.deployed(lap))


@service.on(WaveRollbackRequested)
async def take_back(event: WaveRollbackRequested, ctx: Context) -> None:
    """Take a wave back to its backups, after its deployment is stopped, or can no longer begin."""
    await deploying.forestall(event.order, f"rolled back: {event.reason}", ctx)
    rolling_back.start_after(event.order, events.assignments(event), ctx)


@rolling_back.on_target
async def roll_back_target(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Take one target back to its backup."""
    return await roll_back(target, driver, run, ctx)


@rolling_back.when_over
async def rolled_back(run: WaveRun, lap: Lap, ctx: Context) -> None:
    """Say how the rollback ended."""
    ctx.emit(events.rolled_back(lap))


@service.at_start
async def clean_up(ctx: Context) -> None:
    """Remove what a crashed process left behind."""
    await sweep(ctx.setting(Settings).dir / "work", SCRATCH)


@service.resource(Drivers)
async def drivers(settings: Settings) -> AsyncIterator[Drivers]:
    """The installed drivers."""
    yield Drivers.installed()


@service.resource(Archives)
async def archives(settings: Settings) -> AsyncIterator[Archives]:
    """Where backups lie."""
    yield FolderArchives(settings.dir / "archives")
