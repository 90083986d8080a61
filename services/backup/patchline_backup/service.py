"""Backup: no wave is deployed before each of its targets has a backup that was restored once."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_backup import events
from patchline_backup.prove import SCRATCH, back_up
from patchline_backup.retention import EndedRound, KeepBackup, KeptBackup, next_look, round_id, watch_over
from patchline_backup.settings import Settings
from patchline_fleet.archives import Archives, FolderArchives
from patchline_fleet.driver import Driver
from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import remember_targets
from patchline_fleet.runs import Lap, TargetRun, WaveRun, WaveRuns
from patchline_fleet.scratch import sweep
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_kit.service import Service
from patchline_schemas.fleet import Target
from patchline_schemas.updates import UpdateCancelled, UpdateCompleted, UpdateEnded, UpdateFailed
from patchline_schemas.waves import (
    TargetResult,
    WaveBackedUp,
    WaveBackupFailed,
    WaveDue,
    WaveRollbackRequested,
)

service = Service("backup", emits=[WaveBackedUp, WaveBackupFailed], settings=Settings)
remember_targets(service)
runs = WaveRuns(service)
backing_up = runs.step("backup", tolerates=lambda order: 0)


@service.on(WaveDue)
async def start(event: WaveDue, ctx: Context) -> None:
    """Back up the targets of a wave that is due."""
    await backing_up.start(event.order, events.assignments(event), ctx)


@backing_up.on_target
async def back_up_target(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Back one target up, prove the backup, and hand it to the retention rule."""
    result = await back_up(target, driver, run, ctx)
    if run.backup is not None:
        of = round_id(run.order.update_id, run.order.round)
        ctx.send(KeepBackup(to=run.backup.address, backup=run.backup, round_id=of))
    return result


@backing_up.when_over
async def backed_up(run: WaveRun, lap: Lap, ctx: Context) -> None:
    """Say whether every target has a proven backup."""
    ctx.emit(events.backed_up(lap))


@service.on(WaveRollbackRequested)
async def give_up(event: WaveRollbackRequested, ctx: Context) -> None:
    """A wave that goes back, because its backup missed its limit, needs no further backup."""
    await backing_up.forestall(event.order, f"rolled back: {event.reason}", ctx)


@service.on(KeepBackup)
async def keep(message: KeepBackup, ctx: Context) -> None:
    """Watch over a backup from now on."""
    if await ctx.load(KeptBackup, message.to) is not None:
        raise Stale("it is kept already")
    ctx.create(
        KeptBackup(
            id=message.to,
            backup=message.backup,
            round_id=message.round_id,
            taken_at=ctx.now,
            wake_at=next_look(ctx),
        )
    )


@service.on(UpdateCompleted, UpdateFailed, UpdateCancelled)
async def round_ended(event: UpdateEnded, ctx: Context) -> None:
    """From now on the round's backups may grow old."""
    id_ = round_id(event.update_id, event.round)
    if await ctx.load(EndedRound, id_) is not None:
        raise Stale("the round has ended before")
    ctx.create(EndedRound(id=id_, ended_at=ctx.now))


@service.wakes(KeptBackup)
async def grow_old(kept: KeptBackup, ctx: Context) -> None:
    """Delete a backup that the retention rule lets go."""
    await watch_over(kept, ctx)


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
