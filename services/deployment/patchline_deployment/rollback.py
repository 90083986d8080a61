"""The way back of one target, to what its backup holds."""

from __future__ import annotations

from patchline_deployment.apply import restarts
from patchline_deployment.settings import Settings
from patchline_fleet.archives import Archives
from patchline_fleet.driver import Applied, Driver, DriverError
from patchline_fleet.installed import same_version
from patchline_fleet.runs import TargetRun, WaveRun, target_run_id, wave_run_id
from patchline_fleet.scratch import scratch
from patchline_kit.context import Context
from patchline_schemas.fleet import Target
from patchline_schemas.waves import CheckResult, TargetResult

SCRATCH = "rollback"
"""What the names of its scratch folders begin with."""


async def roll_back(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Undo the wave's update on ``target`` with its backup, which is fetched and verified first.

    The deployment is stopped by now. A target that it did not touch is left as it is. Planning names no
    backup where it gave the wave up before it heard of any; if the deployment had begun all the same, it
    knows one. Raises :class:`DriverError` if there is no backup or it is not what it was.
    """
    order, backup = run.order, run.assignment.backup
    deployed = await ctx.read(TargetRun, target_run_id(wave_run_id(order.wave_id, "deploy"), target.id))
    if deployed is not None:
        backup = backup or deployed.assignment.backup
    if run.touched_at is None and await _is_untouched(run, deployed, ctx):
        return _nothing_to_undo(run)
    if backup is None:
        raise DriverError("no backup of this target is named, so there is nothing to go back to")
    if run.touched_at is None:
        run.touched_at = ctx.now
        run.checks_before = deployed.checks_before if deployed is not None else ()
        await ctx.checkpoint()
    async with scratch(ctx.setting(Settings).dir / "work", SCRATCH) as folder:
        unpacked = folder / "backup"
        await ctx.resource(Archives).fetch(backup.address, backup.sha256, unpacked)
        undone = await driver.rollback(
            target,
            unpacked,
            order.component,
            order.version,
            restart=restarts(order, target),
            fence=ctx.fence,
            timeout=order.target_timeout,
            scope=run.scope,
        )
    return result_of(run, undone, run.checks_before)


def result_of(run: TargetRun, undone: Applied, checks_before: tuple[CheckResult, ...]) -> TargetResult:
    """What ``undone`` means; a target that still has the wave's version was not rolled back.

    Its checks are those from before the deployment: what the target could do then.
    """
    order, assessed = run.order, run.assignment.target.from_version
    failed = same_version(order.component, undone.after, order.version) and not same_version(
        order.component, assessed, order.version
    )
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome="failed" if failed else "rolled-back",
        from_version=undone.before,
        to_version=undone.after,
        changes=undone.changes,
        restarted=undone.restarted,
        checks=checks_before,
        notes=undone.notes,
        error=f"{order.component} {order.version} is still in effect after the rollback" if failed else None,
    )


async def _is_untouched(run: TargetRun, deployed: TargetRun | None, ctx: Context) -> bool:
    """Whether the deployment, which is stopped by now, has not begun to change the target.

    Of a wave so old that its deployment is forgotten only the backup in the request is left to go by.
    """
    if deployed is not None:
        return deployed.touched_at is None
    wave = await ctx.read(WaveRun, wave_run_id(run.order.wave_id, "deploy"))
    return run.assignment.backup is None or (wave is not None and bool(wave.started))


def _nothing_to_undo(run: TargetRun) -> TargetResult:
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome="not-started",
        from_version=run.assignment.target.from_version,
        notes=("The deployment had not changed this target, so there was nothing to undo.",),
    )
