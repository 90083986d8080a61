"""Making waves: their documents, their order, and the announcement of the plan that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchline_kit.context import Context
from patchline_planning import approvals, schedule, waves
from patchline_planning.evidence import document_of, verified_targets
from patchline_planning.fleet import KnownGroup
from patchline_planning.messages import OpenWave
from patchline_planning.plan import Plan, PlannedWave, contacts_to_tell
from patchline_planning.progress import identity
from patchline_planning.urgency import priority
from patchline_planning.wave import terms
from patchline_schemas.fleet import Group
from patchline_schemas.ids import wave_id
from patchline_schemas.updates import AssessedTarget, UpdatePlanned, WaveSummary
from patchline_schemas.waves import WaveOrder, WaveTarget

OPENED_AT_ONCE = 20
"""So many waves are opened with one write of the plan."""


def new_wave(plan: Plan, chunk: waves.Chunk, group: Group) -> PlannedWave:
    """The next wave of the round, for the targets in ``chunk``."""
    number, plan.next_number = plan.next_number, plan.next_number + 1
    wave = PlannedWave(
        id=wave_id(plan.id, plan.round, number),
        round=plan.round,
        number=number,
        group=chunk.group,
        first=chunk.first,
        last=chunk.last,
        targets_total=len(chunk.targets),
        contacts=contacts_to_tell(group),
    )
    wave.follow(group)
    return wave


def sort_waves(plan: Plan, groups: Mapping[str, Group]) -> None:
    """Bring the round's waves into the order in which they run; numbers stay as they were given."""
    sizes: dict[str, int] = {}
    current = plan.of_round()
    for wave in current:
        sizes[wave.group] = sizes.get(wave.group, 0) + wave.targets_total
    current.sort(
        key=lambda wave: (
            (wave.state == "planned", waves.order_of(groups[wave.group], sizes[wave.group]), wave.number)
            if wave.state == "planned"
            else (False, (0, 0, ""), wave.number)
        )
    )
    plan.waves = [wave for wave in plan.waves if wave.round != plan.round] + current


async def open_next(plan: Plan, targets: list[AssessedTarget], ctx: Context) -> None:
    """Make the documents of the next waves; announce the plan once all exist.

    ``targets`` are those of the assessment that the waves were cut from.
    """
    need = waves.needing(targets, without=await verified_targets(plan, targets, ctx))
    next_ones = plan.unopened()[:OPENED_AT_ONCE]
    groups = await schedule.known_groups({wave.group for wave in next_ones}, ctx)
    for wave in next_ones:
        taken = await _taken(plan, wave, ctx)
        members = waves.within(need, wave.group, wave.first, wave.last, without=taken)
        wave.opened, wave.notice_given_at = True, ctx.now
        ctx.send(_opening(plan, wave, members, groups[wave.group].group))
    if not plan.unopened():
        _announce(plan, [waves.wave_target(target) for target in need], ctx)


def follow_up(
    plan: Plan, before: PlannedWave, left: Sequence[WaveTarget], group: KnownGroup, ctx: Context
) -> None:
    """Plan the targets that the window's end left out, right after the wave that they come from."""
    wave = new_wave(plan, waves.Chunk(before.group, tuple(left)), group.group)
    wave.opened, wave.notice_given_at = True, ctx.now
    wave.in_vain = before.in_vain + 1 if before.state == "cancelled" else 0
    slot = group.slot(ctx.now, notice_given_at=ctx.now, urgency=plan.urgency)
    schedule.put(wave, slot)
    plan.waves.insert(plan.waves.index(before) + 1, wave)
    ctx.send(_opening(plan, wave, tuple(left), group.group))


def _announce(plan: Plan, targets: list[WaveTarget], ctx: Context) -> None:
    head = plan.head
    stand_ins, environments = waves.representatives(targets)
    plan.environments = environments
    plan.move("announced")
    plan.step_began_at = ctx.now
    ctx.emit(
        UpdatePlanned(
            **identity(plan),
            round=plan.round,
            kind=head.kind,
            urgency=plan.urgency,
            due_at=plan.due_at,
            advisories=head.advisories,
            notes_url=head.notes_url,
            restart_required=head.restart_required,
            approval=approvals.in_words(plan.approval, head.published_by),
            waves=tuple(
                WaveSummary(
                    id=wave.id,
                    number=wave.number,
                    group=wave.group,
                    targets_total=wave.targets_total,
                    starts_at=wave.starts_at,
                    ends_at=wave.ends_at,
                )
                for wave in plan.of_round()
                if wave.state == "planned"
            ),
            representatives=stand_ins,
            environments_total=environments,
            rollback=waves.way_back(head.component, head.version, targets),
        )
    )


def _opening(plan: Plan, wave: PlannedWave, targets: tuple[WaveTarget, ...], group: Group) -> OpenWave:
    head, policies = plan.head, group.policies
    return OpenWave(
        to=wave.id,
        order=WaveOrder(
            wave_id=wave.id,
            update_id=plan.id,
            revision=plan.revision,
            round=wave.round,
            number=wave.number,
            group=wave.group,
            component=head.component,
            version=head.version,
            restart_required=head.restart_required,
            window_ends_at=wave.ends_at,
            **terms(policies),
        ),
        targets=targets,
        starts_at=wave.starts_at,
        ends_at=wave.ends_at,
        priority=priority(plan.urgency),
    )


async def _taken(plan: Plan, wave: PlannedWave, ctx: Context) -> frozenset[str]:
    """Ids of the targets that lie between ``wave``'s first and last, but belong to another wave already."""
    ids: set[str] = set()
    for other in plan.of_round():
        if (
            other.opened
            and other.state == "planned"
            and other.group == wave.group
            and other.first <= wave.last
            and wave.first <= other.last
        ):
            ids |= set((await document_of(other, ctx)).ids())
    return frozenset(ids)
