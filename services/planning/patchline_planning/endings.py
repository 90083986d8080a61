"""How a round ends: what has not started is dropped, what runs comes to its end, then it is said."""

from __future__ import annotations

from patchline_kit.context import Context
from patchline_planning.machine import NOT_STARTED, UPDATE
from patchline_planning.messages import DropWave, FreeTargets
from patchline_planning.plan import Ending, Plan
from patchline_planning.progress import identity
from patchline_schemas.updates import (
    UpdateCancelled,
    UpdateCompleted,
    UpdateFailed,
    UpdateNotApplicable,
    UpdateRejected,
)
from patchline_schemas.values import UpdateState

_TRIGGERS = {"failed": "ended-in-failure", "rejected": "rejected", "cancelled": "cancelled"}


def cancel(plan: Plan, ending: Ending) -> None:
    """End the round without a person's word; one that is rolled back, or needs a person, ends by itself."""
    if plan.ending is None and plan.state in ("assessed", *NOT_STARTED, "rolling-out"):
        plan.ending = ending


def end_when_idle(plan: Plan, ending: Ending, ctx: Context) -> None:
    """Drop what has not started; end the round if nothing of it runs."""
    drop_planned(plan, ending.reason, ctx)
    active = plan.active_wave()
    if active is None:
        finish(plan, ending, ctx)
    elif active.state == "due":
        ctx.send(DropWave(to=active.id, reason=ending.reason))


def drop_planned(plan: Plan, reason: str, ctx: Context) -> None:
    """Drop every wave whose turn has not come."""
    for wave in plan.of_round():
        if wave.state == "planned":
            wave.state = "cancelled"
            if wave.opened:
                ctx.send(DropWave(to=wave.id, reason=reason))


def finish(plan: Plan, ending: Ending, ctx: Context) -> None:
    """The round has ended without being complete."""
    ending = fitting(ending, plan.state)
    trigger = _TRIGGERS[ending.outcome]
    if plan.state == "needs-person":
        _free_targets(plan, ctx)
        trigger = "released" if ending.outcome == "failed" else trigger
    plan.move(trigger)
    _close(plan)
    if ending.outcome == "failed":
        plan.error = ending.reason
        rolled_back = tuple(wave.id for wave in plan.of_round() if wave.state == "rolled-back")
        ctx.emit(
            UpdateFailed(
                **identity(plan),
                round=plan.round,
                due_at=plan.due_at,
                error=ending.reason,
                rolled_back_waves=rolled_back,
            )
        )
    elif ending.outcome == "rejected":
        ctx.emit(
            UpdateRejected(**identity(plan), round=plan.round, rejected_by=ending.by, reason=ending.reason)
        )
    else:
        plan.superseded_by = ending.superseded_by
        ctx.emit(
            UpdateCancelled(
                **identity(plan),
                round=plan.round,
                due_at=plan.due_at,
                reason=ending.reason,
                cancelled_by=ending.by,
                superseded_by=ending.superseded_by,
            )
        )


def fitting(ending: Ending, state: UpdateState) -> Ending:
    """``ending`` as it is possible in ``state``.

    A rejection that comes in the moment in which the first wave starts ends the rollout as a cancellation
    does.
    """
    if ending.outcome == "rejected" and not UPDATE.allows(state, "rejected"):
        return ending.model_copy(update={"outcome": "cancelled"})
    return ending


def _complete(plan: Plan, unknown_total: int, ctx: Context) -> None:
    plan.move("all-verified")
    _close(plan)
    ctx.emit(
        UpdateCompleted(**identity(plan), round=plan.round, due_at=plan.due_at, unknown_total=unknown_total)
    )


def not_applicable(plan: Plan, ctx: Context) -> None:
    """No target needs the update, and none is unknown."""
    drop_planned(plan, "no target needs the update any more", ctx)
    plan.move("no-target")
    _close(plan)
    ctx.emit(UpdateNotApplicable(**identity(plan), round=plan.round, due_at=plan.due_at))


def nothing_left(plan: Plan, ctx: Context) -> None:
    """No target that could be planned is left.

    A round that has updated some is complete, and says of how many it is unknown whether they need it. Else
    those keep it open.
    """
    unknown_total = plan.head.unknown_total + plan.left_out()
    if any(wave.state == "verified" for wave in plan.of_round()):
        _complete(plan, unknown_total, ctx)
    elif unknown_total:
        plan.move("only-unknown")
    else:
        not_applicable(plan, ctx)


def _free_targets(plan: Plan, ctx: Context) -> None:
    """Let go of the targets that a failed rollback has kept; a person has looked at them."""
    for wave in plan.of_round():
        if wave.needs_person:
            wave.needs_person = False
            ctx.send(FreeTargets(to=wave.id))


def _close(plan: Plan) -> None:
    plan.ending = None
    plan.pause = None
    plan.undoing = None
    plan.step_began_at = None
    plan.left_out_at = None
