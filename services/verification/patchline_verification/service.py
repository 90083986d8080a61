"""Verification: whether what was deployed is really in effect and works, now and through the soak time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_fleet.driver import Driver
from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import remember_targets
from patchline_fleet.runs import Lap, TargetRun, WaveRun, WaveRuns
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_kit.service import Service
from patchline_schemas.fleet import Target
from patchline_schemas.waves import (
    TargetResult,
    WaveChecksPassed,
    WaveDeployed,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveVerificationFailed,
    WaveVerified,
)
from patchline_verification import events
from patchline_verification.look import look
from patchline_verification.settings import Settings
from patchline_verification.soak import next_look

service = Service(
    "verification",
    emits=[
        WaveChecksPassed,
        WaveVerified,
        WaveVerificationFailed,
        WaveRollbackVerified,
        WaveRollbackFailed,
    ],
    settings=Settings,
)
remember_targets(service)
runs = WaveRuns(service)
verifying = runs.step("verify", removed_too=True)
checking_rollback = runs.step("rollback-check", removed_too=True, repeatable=True)


@service.on(WaveDeployed)
async def start(event: WaveDeployed, ctx: Context) -> None:
    """Verify the targets on which the version was installed."""
    targets = events.deployed_targets(event)
    if not targets:
        raise Stale("nothing was deployed, so there is nothing to verify")
    await verifying.start(event.order, targets, ctx)


@verifying.on_target
async def verify(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Look at one target, at first and through the soak time."""
    return await look(target, driver, run)


@verifying.when_over
async def looked(run: WaveRun, lap: Lap, ctx: Context) -> None:
    """After each look at all targets: say so, and look again until the soak time is over."""
    if lap.failures:
        ctx.emit(events.verification_failed(lap))
        return
    if run.soak_until is None:
        run.soak_until = ctx.now + run.order.soak
        ctx.emit(events.checks_passed(lap, run.soak_until))
    if run.order.soak and not events.last_look_began_at_end(lap, run.soak_until):
        longest = ctx.setting(Settings).soak_look_every
        run.phase = "resting"
        run.wake_at = next_look(ctx.now, run.soak_until, soak=run.order.soak, longest=longest)
        return
    ctx.emit(events.verified(lap))


@service.on(WaveRollbackRequested)
async def give_up(event: WaveRollbackRequested, ctx: Context) -> None:
    """A wave that goes back is no longer verified, and soaks no more."""
    await verifying.forestall(event.order, f"rolled back: {event.reason}", ctx)


@service.on(WaveRolledBack)
async def start_after_rollback(event: WaveRolledBack, ctx: Context) -> None:
    """Check the targets that were rolled back."""
    await checking_rollback.start(event.order, events.rolled_back_targets(event), ctx)


@checking_rollback.on_target
async def check_rollback(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Look at one target that was rolled back."""
    return await look(target, driver, run)


@checking_rollback.when_over
async def rollback_checked(run: WaveRun, lap: Lap, ctx: Context) -> None:
    """Say whether the targets work as before."""
    ctx.emit(events.rollback_checked(lap))


@service.resource(Drivers)
async def drivers(settings: Settings) -> AsyncIterator[Drivers]:
    """The installed drivers."""
    yield Drivers.installed()
