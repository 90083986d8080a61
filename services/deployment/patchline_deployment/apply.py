"""The update of one target: look first, then write down what was found, then change it."""

from __future__ import annotations

from patchline_fleet.driver import Applied, Driver, TooLate
from patchline_fleet.installed import same_version
from patchline_fleet.runs import LeftOut, TargetRun, end_of, is_stopped, run_checks, window_is_over
from patchline_kit.context import Context
from patchline_schemas.fleet import Target
from patchline_schemas.waves import PackageChange, TargetResult, WaveOrder

KEPT_OUTPUT = 2000
STOPPED = "The deployment was stopped before the target was touched."


async def apply_update(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Bring the wave's version into effect on ``target``; without a backup it is left out.

    Before the target is changed the run is stored as *touched*, with what was found there, so that a
    successor after a crash carries the change on and does not take it for somebody else's. A rollback stops
    the deployment first and then looks whether the target is touched, so whether the deployment was stopped
    is looked at once more after that is stored.
    """
    order = run.order
    if run.assignment.backup is None:
        raise LeftOut(f"{target.id} has no backup in this wave, so it was not touched")
    carried_on = run.touched_at is not None
    if not carried_on:
        ended = await _look_first(target, driver, run, ctx)
        if ended is not None:
            return ended
        run.touched_at = ctx.now
        await ctx.checkpoint()
        if await is_stopped(run, ctx):
            run.touched_at = None
            return _untouched(run, run.version_before, STOPPED)
    try:
        applied = await driver.apply(
            target,
            order.component,
            order.version,
            restart=restarts(order, target),
            fence=ctx.fence,
            timeout=order.target_timeout,
            scope=run.scope,
            begin_within=None if order.window_ends_at is None else order.window_ends_at - ctx.now,
        )
    except TooLate:
        run.touched_at = None
        return _untouched(run, run.version_before, "The window ended before the target was touched.")
    return result_of(run, target, applied, carried_on=carried_on)


def restarts(order: WaveOrder, target: Target) -> bool:
    """Whether the target's program is restarted: the update needs it and the fleet file says how."""
    return order.restart_required and target.restart is not None


def result_of(run: TargetRun, target: Target, applied: Applied, *, carried_on: bool) -> TargetResult:
    """What ``applied`` means for the wave."""
    order = run.order
    notes = list(applied.notes)
    changes = applied.changes
    if carried_on:
        notes.append("The work was interrupted after it had begun, and was carried on.")
        if applied.already and not same_version(order.component, run.version_before, order.version):
            changes = (
                PackageChange(component=order.component, before=run.version_before, after=applied.after),
            )
    if order.restart_required and target.restart is None:
        notes.append(
            "The update needs a restart, and the fleet file does not say how to restart this target: "
            "its program uses the new version from its next start on."
        )
    in_effect = same_version(order.component, applied.after, order.version)
    error = None
    if not in_effect:
        error = (
            f"after the update the target has {order.component} {applied.after or 'not at all'}, "
            f"not {order.version}\n{end_of(applied.output, KEPT_OUTPUT)}"
        ).strip()
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome="succeeded" if in_effect else "failed",
        from_version=run.version_before or applied.before,
        to_version=applied.after,
        changes=changes,
        restarted=applied.restarted,
        checks=run.checks_before,
        notes=tuple(notes),
        error=error,
    )


async def _look_first(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult | None:
    """How it ended if the target is not to be touched; else None, and ``run`` holds what was found."""
    order, assessed = run.order, run.assignment.target.from_version
    limit = order.target_timeout
    if window_is_over(order, ctx.now):
        return _untouched(run, None, "The window had ended before the work could begin.")
    await driver.precheck(target, order.component, order.version, timeout=limit)
    found = (await driver.inventory(target, timeout=limit)).version_of(order.component)
    if same_version(order.component, found, order.version):
        result = _untouched(run, found, f"{order.version} was already in effect; nothing was changed.")
        return result.model_copy(update={"outcome": "succeeded"})
    if not same_version(order.component, found, assessed):
        has = f"has {order.component} {found}" if found else f"does not have {order.component}"
        error = f"the target {has}, assessed was {assessed}; it was not touched"
        return _untouched(run, found).model_copy(update={"error": error})
    run.version_before = found
    run.checks_before = await run_checks(target, driver)
    if window_is_over(order, ctx.now):
        return _untouched(run, found, "The window ended before the target was touched.")
    if await is_stopped(run, ctx):
        return _untouched(run, found, STOPPED)
    return None


def _untouched(run: TargetRun, found: str | None, *notes: str) -> TargetResult:
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome="not-started",
        from_version=found or run.assignment.target.from_version,
        to_version=found,
        notes=notes,
    )
