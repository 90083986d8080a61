"""What a plan knows of its targets: from the assessment's pages, and from the waves it has made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from patchline_kit.context import Context
from patchline_kit.outcomes import Early
from patchline_planning.fleet import AssessedPage, page_id
from patchline_planning.plan import Plan, PlannedWave
from patchline_planning.wave import Wave
from patchline_planning.waves import compare
from patchline_schemas.updates import AssessedTarget
from patchline_schemas.waves import WaveTarget


async def assessed_targets(plan: Plan, ctx: Context) -> list[AssessedTarget] | None:
    """All targets of the plan's assessment; None if a newer one has begun to replace its pages."""
    targets: list[AssessedTarget] = []
    for number in range(1, plan.head.pages + 1):
        page = await ctx.read(AssessedPage, page_id(plan.id, number))
        if page is None or page.revision != plan.head.revision:
            return None
        targets += page.targets
    return targets


async def verified_targets(plan: Plan, targets: Iterable[AssessedTarget], ctx: Context) -> frozenset[str]:
    """Ids of the targets that verified waves have done and that were not asked since.

    What an older inventory says of them is from before the deployment; a newer one counts, whatever it says.
    """
    asked_at = {target.target_id: target.collected_at for target in targets if target.status == "affected"}
    ids: set[str] = set()
    for wave in plan.waves:
        if wave.state == "verified" and not wave.confirmed:
            document = await document_of(wave, ctx)
            done = document.done()
            outdated = {
                id for id in done & asked_at.keys() if not _is_after(asked_at[id], document.deployed_at)
            }
            wave.confirmed = not outdated
            ids |= outdated
    return frozenset(ids)


async def late_targets(plan: Plan, wave: PlannedWave, ctx: Context) -> tuple[WaveTarget, ...]:
    """What the window's end left unstarted, as far as it still belongs there and needs the update."""
    late = (await document_of(wave, ctx)).not_started
    targets = await assessed_targets(plan, ctx)
    if targets is None:
        return late
    difference = compare({wave.group: late}, targets)
    return tuple(
        difference.changed.get(target.target_id, target)
        for target in late
        if target.target_id not in difference.dropped
    )


def _is_after(asked_at: datetime | None, deployed_at: datetime | None) -> bool:
    return asked_at is not None and deployed_at is not None and asked_at > deployed_at


async def document_of(wave: PlannedWave, ctx: Context) -> Wave:
    """The wave's own document. Early while it is still being made."""
    document = await ctx.read(Wave, wave.id)
    if document is None:
        raise Early(f"the wave {wave.id} is being opened", waits_for=(Wave, wave.id))
    return document
