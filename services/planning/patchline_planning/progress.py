"""What planning says of an update after every change: its progress, and that its due date is near or past."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TypedDict

from patchline_kit.context import Context
from patchline_planning.deadlines import due_soon_at
from patchline_planning.machine import ENDED
from patchline_planning.plan import MOST_WAVES_KEPT, Plan, PlannedWave, progress_of
from patchline_schemas.updates import UpdateDueSoon, UpdateEvent, UpdateOverdue, UpdateProgressed


class Identity(TypedDict):
    """The fields that every event of an update begins with."""

    update_id: str
    revision: int
    component: str
    version: str


def identity(plan: Plan) -> Identity:
    """What the update's events begin with now."""
    return {
        "update_id": plan.id,
        "revision": plan.revision,
        "component": plan.head.component,
        "version": plan.head.version,
    }


def tell(plan: Plan, ctx: Context) -> None:
    """Publish where the update stands, if that has changed since it was last said."""
    if plan.assessment is None:
        return
    said = UpdateProgressed(
        **identity(plan),
        sequence=0,
        round=plan.round,
        kind=plan.head.kind,
        state=plan.visible_state(),
        urgency=plan.urgency,
        due_at=plan.due_at,
        held=plan.held,
        error=plan.error,
        superseded_by=plan.superseded_by,
        waves=progress_of(_shown(plan.waves)),
    )
    digest = hashlib.sha256(said.model_dump_json().encode()).hexdigest()[:32]
    if digest == plan.progress:
        return
    plan.progress = digest
    plan.sequence += 1
    ctx.emit(said.model_copy(update={"sequence": plan.sequence}), part=str(plan.sequence))


def say_if_due(plan: Plan, ctx: Context) -> datetime | None:
    """Say once that the due date is near and once that it has passed; when to look again."""
    due_at = plan.due_at
    if due_at is None or plan.state in ENDED:
        return None
    soon = due_soon_at(plan.head.published_at, due_at)
    if ctx.now < soon:
        return soon
    if ctx.now < due_at:
        if plan.due_soon_said_for != due_at:
            plan.due_soon_said_for = due_at
            ctx.emit(_due(UpdateDueSoon, plan, due_at))
        return due_at
    if plan.overdue_said_for != due_at:
        plan.overdue_said_for = due_at
        ctx.emit(_due(UpdateOverdue, plan, due_at))
    return None


def _due(kind: type[UpdateDueSoon] | type[UpdateOverdue], plan: Plan, due_at: datetime) -> UpdateEvent:
    return kind(**identity(plan), due_at=due_at, state=plan.visible_state(), held=plan.held)


def _shown(waves: list[PlannedWave]) -> list[PlannedWave]:
    """As many waves as an event can hold: beyond that the ones that have ended are left out, oldest first."""
    surplus = len(waves) - MOST_WAVES_KEPT
    if surplus <= 0:
        return waves
    ended = ("verified", "rolled-back", "cancelled")
    left_out = {wave.id for wave in [wave for wave in waves if wave.state in ended][:surplus]}
    return [wave for wave in waves if wave.id not in left_out][:MOST_WAVES_KEPT]
