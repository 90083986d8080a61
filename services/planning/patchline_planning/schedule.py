"""When waves start: each in the first window of its group after the wave before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from patchline_kit.context import Context
from patchline_planning.fleet import KnownGroup
from patchline_planning.messages import ReplanWave
from patchline_planning.plan import Plan, PlannedWave
from patchline_planning.windows import Slot
from patchline_schemas.values import Urgency
from patchline_schemas.waves import WaveTarget


async def known_groups(names: Iterable[str], ctx: Context) -> dict[str, KnownGroup]:
    """The groups by name. Raises :class:`LookupError` for one that the fleet file never had."""
    found = {}
    for name in sorted(set(names)):
        group = await ctx.read(KnownGroup, name)
        if group is None:
            raise LookupError(f"the group {name} was never registered")
        found[name] = group
    return found


def place(plan: Plan, groups: Mapping[str, KnownGroup], ctx: Context) -> None:
    """Give every wave that has not started its time; announce those again whose time changes."""
    after, before_is_over = ctx.now, datetime.min.replace(tzinfo=UTC)
    for wave in plan.of_round():
        if wave.state != "planned":
            continue
        slot = _slot_of(wave, groups[wave.group], after, ctx.now, plan.urgency, before_is_over=before_is_over)
        changed = (wave.starts_at, wave.ends_at) != ((slot.starts_at, slot.ends_at) if slot else (None, None))
        put(wave, slot)
        if changed and wave.opened:
            replan(plan, wave, ctx)
        if slot is not None:
            before_is_over = slot.starts_at + wave.soak
            after = max(after, before_is_over)


def replan(
    plan: Plan,
    wave: PlannedWave,
    ctx: Context,
    *,
    drop: frozenset[str] = frozenset(),
    refresh: tuple[WaveTarget, ...] = (),
) -> None:
    """Tell a wave its time, which targets it loses, and which come from another version now."""
    wave.replans += 1
    ctx.send(
        ReplanWave(
            to=wave.id,
            number=wave.replans,
            revision=plan.revision,
            starts_at=wave.starts_at,
            ends_at=wave.ends_at,
            drop=drop,
            refresh=refresh,
        )
    )


def put(wave: PlannedWave, slot: Slot | None) -> None:
    """Write a slot into a wave; None: no window is in sight."""
    wave.starts_at = slot.starts_at if slot else None
    wave.ends_at = slot.ends_at if slot else None
    wave.cause = slot.cause if slot else "window"


def _slot_of(
    wave: PlannedWave,
    group: KnownGroup,
    after: datetime,
    now: datetime,
    urgency: Urgency | None,
    *,
    before_is_over: datetime,
) -> Slot | None:
    """A wave keeps its time as long as that is right, not over, no later than need be, and not planned before
    the wave before it is over."""
    given = wave.notice_given_at or now
    first = group.slot(after, notice_given_at=given, urgency=urgency)
    if first is None or wave.starts_at is None or not before_is_over <= wave.starts_at <= first.starts_at:
        return first
    again = group.slot(wave.starts_at, notice_given_at=given, urgency=urgency)
    if again is None or again.starts_at != wave.starts_at:
        return first
    return again if again.ends_at is None or after < again.ends_at else first
