"""The course of a wave's life, step by step. Each function changes the wave in hand and tells its plan."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchline_kit.context import Context
from patchline_planning import deadlines
from patchline_planning.fleet import KnownGroup
from patchline_planning.messages import BeginWave, OpenWave, ReleaseTarget, ReplanWave
from patchline_planning.wave import Wave, terms
from patchline_planning.wave_failures import (
    fail,
    faulty,
    mend,
    need_person,
    request_rollback,
    touched,
)
from patchline_planning.wave_targets import ask_for_targets, release_targets
from patchline_schemas.waves import WaveCancelled, WaveDeployed, WaveDue, WavePlanned

DOWNTIME = timedelta(minutes=1)
"""What a target's restart is expected to take, for the notice."""
LOOK_AGAIN = timedelta(seconds=30)
NO_TIME_LEFT = "its window ended before any of its targets was touched"
OUTDATED = "none of its targets is as it was planned any more"


def opened(message: OpenWave) -> Wave:
    """The wave that a plan wants."""
    return Wave(
        id=message.to,
        order=message.order.model_copy(update={"window_ends_at": message.ends_at}),
        targets=message.targets,
        starts_at=message.starts_at,
        ends_at=message.ends_at,
        priority=message.priority,
    )


def announce(wave: Wave, ctx: Context) -> None:
    """Say, the first time or again, when the wave is planned and for which targets."""
    wave.announcements += 1
    ctx.emit(
        WavePlanned(
            order=wave.order,
            starts_at=wave.starts_at,
            ends_at=wave.ends_at,
            targets=wave.targets,
            expected_downtime=DOWNTIME if wave.order.restart_required else None,
        ),
        part=f"{wave.id}/{wave.announcements}",
    )


def replan(wave: Wave, message: ReplanWave, ctx: Context) -> None:
    """Take new times or fewer targets, as long as the wave has not started.

    One that asks for its targets stands down and asks anew, for those that are left.
    """
    wave.replans = message.number
    was_due = wave.state == "due"
    if was_due:
        _let_go(wave, ctx)
    elif wave.state != "planned":
        return
    fresh = {target.target_id: target for target in message.refresh}
    wave.targets = tuple(
        fresh.get(target.target_id, target) for target in wave.targets if target.target_id not in message.drop
    )
    wave.starts_at, wave.ends_at = message.starts_at, message.ends_at
    wave.order = wave.order.model_copy(
        update={"revision": message.revision, "window_ends_at": message.ends_at}
    )
    if not wave.targets:
        drop(wave, "no target of it needs the update any more", ctx)
        return
    announce(wave, ctx)
    if was_due:
        ctx.send(wave.moved())


async def start(wave: Wave, ctx: Context) -> None:
    """The wave owns its targets: say that it is due, unless no window is open for it any more.

    It may have waited long, so window, freezes and policies are those of now.
    """
    group = await ctx.read(KnownGroup, wave.order.group)
    slot = group.open_slot(ctx.now) if group is not None else None
    if group is None or slot is None:
        stand_down(wave, ctx)
        return
    wave.order = wave.order.model_copy(update=dict(terms(group.group.policies)))
    _ends_with(wave, slot.ends_at)
    wave.move("targets-owned")
    ctx.emit(WaveDue(order=wave.order, targets=wave.targets), part=wave.id)
    wave.begin_step(ctx.now, deadlines.step_limit(*wave.size()))
    ctx.send(wave.moved())


def stand_down(wave: Wave, ctx: Context) -> None:
    """Go back to planned without having started."""
    _let_go(wave, ctx)
    ctx.send(wave.moved())


def _let_go(wave: Wave, ctx: Context) -> None:
    release_targets(wave, ctx)
    wave.move("stood-down")
    wave.idle()


def drop(wave: Wave, reason: str, ctx: Context) -> None:
    """End a wave that has not started."""
    release_targets(wave, ctx)
    wave.move("dropped")
    wave.idle()
    ctx.emit(WaveCancelled(order=wave.order, reason=reason), part=wave.id)
    ctx.send(wave.moved())


def begin(wave: Wave, message: BeginWave, ctx: Context) -> None:
    """It is the wave's turn: ask for its targets, but not past the end of its window."""
    wave.move("turn-came")
    wave.order = wave.order.model_copy(update={"revision": message.revision})
    wave.priority = message.priority
    _ends_with(wave, message.ends_at)
    wave.wake_at = message.ends_at
    ask_for_targets(wave, wave.ids(), ctx)
    ctx.send(wave.moved())


async def owned(wave: Wave, attempt: int, ctx: Context) -> None:
    """The chain of gates is through: start, or roll back. One that nobody waits for is undone."""
    if wave.gates != "asking" or wave.attempt != attempt:
        if wave.gates == "none" or wave.attempt > attempt:
            for target_id in wave.ids():
                ctx.send(ReleaseTarget(to=target_id, wave_id=wave.id, attempt=attempt))
        return
    wave.gates, wave.waits_for = "owned", None
    if wave.state == "due":
        await start(wave, ctx)
    else:
        request_rollback(wave, ctx)
        ctx.send(wave.moved())


def go_on(wave: Wave, trigger: str, ctx: Context) -> None:
    """The next step begins."""
    wave.move(trigger)
    limit = deadlines.step_limit(*wave.size())
    wave.begin_step(ctx.now, limit + (wave.order.soak if wave.state == "soaking" else timedelta(0)))
    ctx.send(wave.moved())


def deployed(wave: Wave, event: WaveDeployed, ctx: Context) -> None:
    """The version is installed where it could be; if it is nowhere, there is nothing to verify."""
    wave.deployed_at = max((each.ended_at for each in event.results if each.ended_at), default=ctx.now)
    wave.changed = touched(event.results)
    wave.not_started = event.not_started
    wave.left_out = tuple(result.target_id for result in event.left_out())
    wave.failed = faulty(event.results)
    errors = [result.error for result in event.results if result.target_id in wave.failed and result.error]
    wave.error = "; ".join(errors[:3]) or None
    if any(result.outcome == "succeeded" for result in event.results):
        go_on(wave, "deployed", ctx)
        return
    if not wave.failed:
        _nothing_deployed(wave, ctx)
        return
    wave.move("deployed")
    wave.move("checks-passed")
    release_targets(wave, ctx)
    verified(wave, ctx)


def _nothing_deployed(wave: Wave, ctx: Context) -> None:
    """End without a change: what the window left is followed up, what is not as planned is assessed again."""
    release_targets(wave, ctx)
    wave.move("nothing-deployed")
    wave.idle()
    ctx.emit(
        WaveCancelled(order=wave.order, reason=NO_TIME_LEFT if wave.not_started else OUTDATED), part=wave.id
    )
    ctx.send(wave.moved())


def soak(wave: Wave, ctx: Context) -> None:
    """The checks passed: watch on, without owning the targets."""
    release_targets(wave, ctx)
    go_on(wave, "checks-passed", ctx)


def verified(wave: Wave, ctx: Context) -> None:
    """The wave has ended well, but for those of its targets whose failure the policy tolerates."""
    wave.move("verified")
    wave.idle()
    mend(wave, ctx)
    ctx.send(wave.moved())


def time_out(wave: Wave, ctx: Context) -> None:
    """What a missed limit means in the wave's state. An open step that has time left is looked at again."""
    if wave.state == "due" and wave.ends_at is not None and ctx.now >= wave.ends_at:
        stand_down(wave, ctx)
        return
    if wave.began_at is None:
        return
    if not ctx.deadline_passed(wave.began_at, wave.limit):
        wave.wake_at = max(wave.began_at + wave.limit, ctx.now + LOOK_AGAIN)
        return
    error = f"timed out: {_STEP_NAMES[wave.state]} did not end within {wave.limit}"
    if wave.state == "rolling-back" or wave.mending:
        need_person(wave, error, ctx)
    else:
        fail(wave, error, wave.changed or wave.ids(), ctx)


def _ends_with(wave: Wave, ends_at: datetime | None) -> None:
    """Nothing of the wave is started after ``ends_at``."""
    wave.ends_at = ends_at
    wave.order = wave.order.model_copy(update={"window_ends_at": ends_at})


_STEP_NAMES = {
    "backing-up": "the backup",
    "deploying": "the deployment",
    "verifying": "the verification",
    "soaking": "the soak",
    "rolling-back": "the rollback",
    "verified": "the rollback of failed targets",
}
