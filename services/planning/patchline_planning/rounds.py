"""Rounds: from an assessment to waves that are announced, and what a newer assessment changes about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from patchline_kit.context import Context
from patchline_kit.outcomes import Early
from patchline_planning import approvals, endings, opening, schedule, waves
from patchline_planning.evidence import assessed_targets, document_of, verified_targets
from patchline_planning.fleet import KnownGroup
from patchline_planning.machine import ENDED, NOT_STARTED, REOPENED_BY_ITSELF
from patchline_planning.messages import StandDown
from patchline_planning.plan import Ending, Incoming, Plan, PlannedWave
from patchline_planning.urgency import weigh
from patchline_planning.wave import Wave
from patchline_schemas.updates import AssessedTarget, UpdateAssessed
from patchline_schemas.waves import WaveTarget


def all_pages_in(plan: Plan, head: UpdateAssessed) -> bool:
    """Note that a page is stored; True when it was the last, and ``head`` is the plan's assessment now."""
    if plan.assessment is not None and head.revision <= plan.assessment.revision:
        return False
    if plan.incoming is None or plan.incoming.head.revision < head.revision:
        plan.incoming = Incoming(head=head, arrived=[])
    if plan.incoming.head.revision > head.revision:
        return False
    plan.incoming.arrived = sorted({*plan.incoming.arrived, head.page})
    if len(plan.incoming.arrived) < head.pages:
        return False
    plan.assessment, plan.incoming = head, None
    return True


async def consider(plan: Plan, ctx: Context) -> None:
    """Draw the consequences of the assessment that the plan has now."""
    weigh(plan)
    if plan.retracted is not None and plan.state == "assessed":
        endings.end_when_idle(plan, retraction(plan.retracted), ctx)
    elif plan.state == "assessed" or plan.state in REOPENED_BY_ITSELF or plan.reopen:
        await open_round(plan, ctx)
    elif plan.ending is not None:
        plan.look_again = True
    elif plan.state in NOT_STARTED and plan.active_wave() is None:
        await revise(plan, ctx)
    elif plan.state in NOT_STARTED:
        await _call_back(plan, ctx)
    elif plan.state not in ENDED:
        plan.look_again = True
        await trim(plan, ctx)
        await place(plan, ctx)


def retraction(reason: str) -> Ending:
    """How a round ends whose version the vendor withdrew."""
    return Ending(outcome="cancelled", by="feed", reason=f"the vendor withdrew the version: {reason}")


async def open_round(plan: Plan, ctx: Context) -> bool:
    """Plan every target that needs the update, except those not asked since a wave has updated them.

    False if a newer assessment is coming in, which then leads here again.
    """
    targets = await assessed_targets(plan, ctx)
    if targets is None:
        return False
    need = waves.needing(targets, without=await verified_targets(plan, targets, ctx))
    plan.look_again = False
    plan.left_out_at = None
    for wave in plan.of_round():
        wave.left_out = 0
    if plan.state in ENDED:
        if not need and not plan.reopen:
            return True
        _reopen(plan)
        weigh(plan)
    if need:
        await _lay_out(plan, need, targets, ctx)
    else:
        endings.nothing_left(plan, ctx)
    return True


async def revise(plan: Plan, ctx: Context) -> None:
    """Fit a plan whose rollout has not begun to a newer assessment.

    More targets, or another version to come from, make a new revision that is tested again. Fewer targets
    do not.
    """
    unopened = [wave.id for wave in plan.unopened()]
    plan.waves = [wave for wave in plan.waves if wave.id not in unopened]
    difference = await trim(plan, ctx)
    if difference is None:
        return
    if difference.added or difference.changed or plan.state == "planned":
        targets = await assessed_targets(plan, ctx) or []
        await _lay_out(plan, difference.added, targets, ctx)
    elif plan.next_wave() is not None:
        await place(plan, ctx)
    else:
        endings.nothing_left(plan, ctx)


async def called_back(plan: Plan, ctx: Context) -> None:
    """Take the newer assessment in, once the wave that was called back for it has said what became of it.

    It stands down, unless the word came too late and it has started.
    """
    active = plan.active_wave()
    if active is not None and active.state == "due":
        return
    plan.called_back = False
    if active is None and plan.state in NOT_STARTED:
        await revise(plan, ctx)
    else:
        plan.look_again = True
        await trim(plan, ctx)
        await place(plan, ctx)


async def _call_back(plan: Plan, ctx: Context) -> None:
    """Have the first wave, which asks for its targets, stand down if the assessment changes the plan."""
    found = await _difference(plan, ctx)
    active = plan.active_wave()
    if found is not None and active is not None and found.difference.changes_anything():
        plan.called_back = True
        ctx.send(StandDown(to=active.id))


async def trim(plan: Plan, ctx: Context) -> waves.Difference | None:
    """Take out of waves that have not started what needs the update no more; what else has changed.

    A wave that asks for its targets already may start in this very moment: it says itself what became of it.
    None while a newer assessment is coming in.
    """
    found = await _difference(plan, ctx)
    if found is None:
        return None
    difference = found.difference
    for wave, ids in found.waiting:
        dropped = difference.dropped & ids
        fresh = tuple(target for id, target in difference.changed.items() if id in ids)
        if not dropped and not fresh:
            continue
        if wave.state == "planned":
            wave.targets_total = len(ids - dropped)
            wave.state = wave.state if wave.targets_total else "cancelled"
        schedule.replan(plan, wave, ctx, drop=dropped, refresh=fresh)
    return difference


@dataclass(frozen=True, slots=True)
class _Found:
    """What the newest assessment changes."""

    waiting: Sequence[tuple[PlannedWave, frozenset[str]]]
    """The waves that have not started, each with the ids of its targets."""
    difference: waves.Difference


async def _difference(plan: Plan, ctx: Context) -> _Found | None:
    """None while a newer assessment is coming in."""
    targets = await assessed_targets(plan, ctx)
    if targets is None:
        return None
    waiting = []
    by_group: defaultdict[str, list[WaveTarget]] = defaultdict(list)
    for wave in plan.of_round():
        if wave.opened and wave.waiting():
            document = await document_of(wave, ctx)
            if document.replans < wave.replans:
                raise Early(f"{wave.id} has not taken in yet what changed before", waits_for=(Wave, wave.id))
            waiting.append((wave, frozenset(document.ids())))
            by_group[wave.group] += document.targets
    done = await verified_targets(plan, targets, ctx)
    known = [target for target in targets if target.target_id not in done]
    return _Found(waiting, waves.compare(by_group, known))


async def open_waves(plan: Plan, ctx: Context) -> bool:
    """Make the next waves' documents; announce the plan once all exist.

    False if a newer assessment is coming in, which then leads to another plan.
    """
    targets = await assessed_targets(plan, ctx)
    if targets is None:
        return False
    await opening.open_next(plan, targets, ctx)
    return True


async def _lay_out(
    plan: Plan, need: Iterable[AssessedTarget], targets: list[AssessedTarget], ctx: Context
) -> None:
    need = list(need)
    standing = [wave for wave in plan.of_round() if wave.state == "planned"]
    groups = await schedule.known_groups({t.group for t in need} | {w.group for w in standing}, ctx)
    by_name = {name: known.group for name, known in groups.items()}
    plan.revision += 1
    plan.waves += [
        opening.new_wave(plan, chunk, by_name[chunk.group]) for chunk in waves.lay_out(need, by_name)
    ]
    opening.sort_waves(plan, by_name)
    plan.approval = approvals.strictest(by_name.values())
    plan.longest_timeout = max((g.policies.target_timeout for g in by_name.values()), default=timedelta(0))
    schedule.place(plan, groups, ctx)
    if need:
        plan.approvals = []
    if plan.state != "planned":
        plan.move("laid-out" if plan.state == "assessed" else "revised")
    plan.forget_old_waves()
    await opening.open_next(plan, targets, ctx)


def _reopen(plan: Plan) -> None:
    plan.move("reopened")
    plan.round += 1
    plan.next_number = 1
    plan.approvals = []
    plan.reopen = plan.notice_waived = False
    plan.error = plan.superseded_by = None


async def place(plan: Plan, ctx: Context) -> None:
    """Give the waves that have not started their times anew."""
    schedule.place(plan, await groups_ahead(plan, ctx), ctx)


async def follow_groups(plan: Plan, ctx: Context) -> None:
    """Do the waves that have not started as their groups want it now; an approval that was given stands."""
    groups = await groups_ahead(plan, ctx)
    for wave in plan.of_round():
        if wave.waiting():
            wave.follow(groups[wave.group].group)
    if groups and plan.state in ("planned", "testing", "awaiting-approval"):
        plan.approval = approvals.strictest(known.group for known in groups.values())
    schedule.place(plan, groups, ctx)


async def groups_ahead(plan: Plan, ctx: Context) -> dict[str, KnownGroup]:
    """The groups of the waves that have not started."""
    names = {wave.group for wave in plan.of_round() if wave.waiting()}
    return await schedule.known_groups(names, ctx)
