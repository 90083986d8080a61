"""What a newer version means for an older one's plan, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from patchline_kit.context import Context
from patchline_planning import endings
from patchline_planning.machine import APPROVED
from patchline_planning.messages import Supersede
from patchline_planning.plan import Ending, Plan, PlannedWave
from patchline_planning.supersession import Candidate, superseded


async def compare(plan: Plan, ctx: Context) -> None:
    """Hold all live versions of the component against each other, where this one may start now, or anew."""
    if plan.state not in APPROVED or plan.pause is not None or plan.ending is not None:
        return
    others = await ctx.find(Plan, f"component:{plan.head.component}")
    standing = {other.id: other for other in others if other.assessment and other.ending is None}
    standing[plan.id] = plan
    if len(standing) == 1:
        return
    for older, newer in superseded([_candidate(each) for each in standing.values()]).items():
        version = standing[newer].head.version
        if older == plan.id:
            endings.cancel(plan, ending_by(newer, version))
            if plan.ending is not None:
                endings.end_when_idle(plan, plan.ending, ctx)
        else:
            ctx.send(Supersede(to=older, by=newer, by_version=version))


def _candidate(plan: Plan) -> Candidate:
    gone = ("cancelled", "failed", "rolled-back")
    return Candidate(
        update_id=plan.id,
        component=plan.head.component,
        version=plan.head.version,
        advisories=frozenset(plan.head.advisories),
        ready=plan.state in APPROVED and plan.pause is None,
        starts=_first_starts(wave for wave in plan.of_round() if wave.state not in gone),
        waiting=_first_starts(wave for wave in plan.of_round() if wave.waiting()),
    )


def _first_starts(waves: Iterable[PlannedWave]) -> dict[str, datetime | None]:
    """By group, when the first of ``waves`` there starts."""
    starts: dict[str, datetime | None] = {}
    for wave in waves:
        starts.setdefault(wave.group, wave.starts_at)
    return starts


def ending_by(update_id: str, version: str) -> Ending:
    """How a round ends whose place a newer update takes."""
    return Ending(
        outcome="cancelled",
        by=update_id,
        reason=f"version {version} fixes all that this one fixes and starts no later",
        superseded_by=update_id,
    )
