"""The rollout: what each change of a plan leads to, and when the plan is looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchline_kit.context import Context
from patchline_planning import (
    approvals,
    endings,
    holding,
    newer_versions,
    opening,
    progress,
    rounds,
    schedule,
)
from patchline_planning.deadlines import test_limit
from patchline_planning.evidence import late_targets
from patchline_planning.fleet import FLEET, FleetSwitch, KnownGroup
from patchline_planning.holding import Facts
from patchline_planning.machine import APPROVED, ENDED, REOPENED_BY_ITSELF
from patchline_planning.messages import BeginWave, RollBackWave, StandDown, WaveMoved
from patchline_planning.plan import Ending, Plan, PlannedWave
from patchline_planning.urgency import priority
from patchline_schemas.updates import UpdateApproved
from patchline_schemas.values import WaveState

LOOK_AGAIN = timedelta(seconds=30)
DEPLOYED: tuple[WaveState, ...] = ("verifying", "soaking", "verified", "cancelled")
"""States of a wave whose deployment has ended without a failure of the wave."""
ASSESSED_WITHIN = timedelta(minutes=15)
"""What was not as planned is planned from the assessment that there is if so long none newer has come."""
BUSY = timedelta(seconds=1)
"""How long a plan waits for the pages of a newer assessment before it looks again."""


async def settle(plan: Plan, ctx: Context, *, go_on_after: timedelta = timedelta(0)) -> None:
    """Take every step that is possible now, say what holds the rest, and set when to look again.

    Every handler of a plan ends with this, so no rule depends on which event came last. What can go on at
    once goes on ``go_on_after`` later.
    """
    if plan.assessment is None:
        return
    if plan.ending is not None:
        endings.end_when_idle(plan, plan.ending, ctx)
    elif plan.state == "testing":
        _give_up_test(plan, ctx)
    elif plan.state == "awaiting-approval":
        await _approve_if_enough(plan, ctx)
    facts = await _facts(plan, ctx)
    if plan.ending is None and plan.state in APPROVED:
        facts = await _roll_out(plan, facts, ctx)
    plan.held = holding.held(plan, facts)
    look_again_at = progress.say_if_due(plan, ctx)
    times = [look_again_at, _test_ends_at(plan, ctx), _window_turns_at(plan, facts)]
    if plan.unopened() or _goes_on(plan, ctx):
        times.append(ctx.now + go_on_after)
    elif plan.left_out_at is not None:
        times.append(plan.left_out_at + ASSESSED_WITHIN)
    plan.wake_at = min((time for time in times if time is not None), default=None)
    progress.tell(plan, ctx)


async def wake(plan: Plan, ctx: Context) -> None:
    """A plan's time has come: go on opening waves, open the next round, or see what has become possible."""
    went_on = True
    if plan.state == "planned":
        went_on = await rounds.open_waves(plan, ctx)
    elif _goes_on(plan, ctx):
        went_on = await rounds.open_round(plan, ctx)
    await settle(plan, ctx, go_on_after=timedelta(0) if went_on else BUSY)


def _goes_on(plan: Plan, ctx: Context) -> bool:
    """Whether a round may begin now, or, of one that has touched no target yet, be planned anew."""
    if plan.state in ENDED and plan.state not in REOPENED_BY_ITSELF:
        return plan.reopen
    if plan.state not in (*REOPENED_BY_ITSELF, "assessed"):
        return False
    waited = plan.left_out_at is not None and ctx.now >= plan.left_out_at + ASSESSED_WITHIN
    return plan.look_again or waited


def tested(plan: Plan) -> None:
    """The update works in copies of real targets."""
    plan.move("test-passed")
    plan.step_began_at = None


async def wave_moved(plan: Plan, moved: WaveMoved, ctx: Context) -> None:
    """Draw the consequences of what a wave has reached."""
    wave = plan.wave(moved.wave_id)
    if wave is None or wave.round != plan.round or plan.state in ENDED:
        return
    wave.state = moved.state
    wave.targets_total = moved.targets_total
    wave.waits_for, wave.soak_until = moved.waits_for, moved.soak_until
    wave.failed, wave.mending = moved.failed, moved.mending
    wave.left_out = moved.left_out
    wave.needs_person, wave.error = moved.needs_person, moved.error
    if wave.started() and plan.state == "scheduled":
        plan.move("wave-started")
    if plan.called_back and plan.ending is None:
        await rounds.called_back(plan, ctx)
    if moved.left_over and not wave.followed_up and wave.state in DEPLOYED:
        await _follow_up(plan, wave, ctx)
    if wave.state == "rolling-back" and plan.state == "rolling-out":
        plan.move("wave-failed")
    elif wave.needs_person:
        plan.move("rollback-failed")
        plan.ending = None
        plan.error = f"wave {wave.number} ({wave.group}): {wave.error}"
    elif wave.state in ("failed", "rolled-back"):
        _after_failure(plan, wave, ctx)


async def _facts(plan: Plan, ctx: Context) -> Facts:
    switch = await ctx.read(FleetSwitch, FLEET)
    wave = plan.next_wave()
    why = ""
    if wave is not None and wave.starts_at is None and plan.state in APPROVED:
        group = await ctx.read(KnownGroup, wave.group)
        why = group.trouble(ctx.now) if group else ""
    return Facts(now=ctx.now, halt=switch.halt if switch else None, no_window=why)


async def _roll_out(plan: Plan, facts: Facts, ctx: Context) -> Facts:
    """Start the next wave if nothing holds it."""
    active, wave = plan.active_wave(), plan.next_wave()
    if active is not None and active.state == "due":
        await _stand_down_if_shut(plan, active, facts, ctx)
    if plan.pause or facts.halt:
        return facts
    if wave is None:
        if active is None:
            _end_of_waves(plan, ctx)
        return facts
    missed = wave.ends_at is not None and wave.ends_at <= ctx.now
    if not missed and (active is not None or (wave.starts_at is not None and ctx.now < wave.starts_at)):
        return facts
    groups = await rounds.groups_ahead(plan, ctx)
    if missed and active is not None:
        schedule.place(plan, groups, ctx)
        return facts
    slot = groups[wave.group].slot(
        ctx.now, notice_given_at=wave.notice_given_at or ctx.now, urgency=plan.urgency
    )
    if slot is None or not slot.open_at(ctx.now):
        schedule.place(plan, groups, ctx)
        return await _facts(plan, ctx)
    wave.ends_at = slot.ends_at
    wave.starts_at = wave.starts_at or slot.starts_at
    if holding.reason(plan, facts) is None:
        await _begin(plan, wave, slot.ends_at, ctx)
    return facts


async def _begin(plan: Plan, wave: PlannedWave, ends_at: datetime | None, ctx: Context) -> None:
    """It is the wave's turn, unless a newer version takes the update's place in this moment."""
    await newer_versions.compare(plan, ctx)
    if plan.ending is None:
        wave.state = "due"
        ctx.send(
            BeginWave(to=wave.id, revision=plan.revision, ends_at=ends_at, priority=priority(plan.urgency))
        )


async def _stand_down_if_shut(plan: Plan, due: PlannedWave, facts: Facts, ctx: Context) -> None:
    """A wave that still asks for its targets does not start in a pause, nor without an open window."""
    group = await ctx.read(KnownGroup, due.group)
    if plan.pause or facts.halt or group is None or group.open_slot(ctx.now) is None:
        ctx.send(StandDown(to=due.id))


def _end_of_waves(plan: Plan, ctx: Context) -> None:
    reason = _failure_at_the_end(plan)
    if reason is not None:
        endings.finish(plan, Ending(outcome="failed", by="planning", reason=reason), ctx)
        return
    endings.nothing_left(plan, ctx)
    if plan.left_out():
        plan.left_out_at = ctx.now
        plan.left_out_revision = None if plan.look_again else plan.head.revision


def _failure_at_the_end(plan: Plan) -> str | None:
    """Why the round has failed although no wave has; None if it has not."""
    failed = [wave for wave in plan.of_round() if wave.failed]
    if failed:
        count = sum(wave.failed for wave in failed)
        return (
            f"{count} target{'s' if count > 1 else ''} failed, as many as the policy tolerates: "
            + "; ".join(
                f"wave {wave.number} ({wave.group}): {wave.error or 'see its results'}" for wave in failed
            )
        )
    left_out = plan.left_out()
    if left_out and plan.left_out_revision == plan.head.revision:
        return f"{left_out} target{'s are' if left_out > 1 else ' is'} not as the inventory says, twice now"
    return None


async def _follow_up(plan: Plan, wave: PlannedWave, ctx: Context) -> None:
    group = await ctx.read(KnownGroup, wave.group)
    if group is None or plan.ending is not None:
        return
    wave.followed_up = True
    late = await late_targets(plan, wave, ctx)
    if late:
        opening.follow_up(plan, wave, late, group, ctx)


def _after_failure(plan: Plan, wave: PlannedWave, ctx: Context) -> None:
    """End the round, after the verified waves were rolled back too if the policy wants that: newest first."""
    if plan.undoing is None:
        plan.error = f"wave {wave.number} ({wave.group}): {wave.error}"
        if wave.roll_back_all:
            plan.undoing = plan.error
    verified = [each for each in plan.of_round() if each.state == "verified"]
    if plan.undoing is not None and verified:
        newest = verified[-1]
        if plan.state == "rolling-out":
            plan.move("wave-failed")
        newest.state = "rolling-back"
        ctx.send(RollBackWave(to=newest.id, reason=plan.undoing))
        return
    plan.ending = Ending(outcome="failed", by="planning", reason=plan.error or "a wave failed")


def _give_up_test(plan: Plan, ctx: Context) -> None:
    if plan.step_began_at is None:
        return
    limit = test_limit(plan.environments, plan.longest_timeout)
    if ctx.deadline_passed(plan.step_began_at, limit):
        reason = f"timed out: the test did not end within {limit}"
        endings.end_when_idle(plan, Ending(outcome="failed", by="planning", reason=reason), ctx)


async def _approve_if_enough(plan: Plan, ctx: Context) -> None:
    requester = plan.head.published_by
    if approvals.missing(plan.approval, plan.approvals, requester):
        return
    automatic = plan.approval == "automatic"
    given = approvals.counting(plan.approval, plan.approvals, requester)
    who = ("policy",) if automatic else tuple(yes.who for yes in given)
    reason = "the policies of its groups approve by themselves" if automatic else approvals.words(given)
    plan.move("approved")
    ctx.emit(
        UpdateApproved(
            **progress.identity(plan), round=plan.round, approved_by=who, automatic=automatic, reason=reason
        )
    )
    await newer_versions.compare(plan, ctx)


def _test_ends_at(plan: Plan, ctx: Context) -> datetime | None:
    if plan.state != "testing" or plan.step_began_at is None:
        return None
    return max(plan.step_began_at + test_limit(plan.environments, plan.longest_timeout), ctx.now + LOOK_AGAIN)


def _window_turns_at(plan: Plan, facts: Facts) -> datetime | None:
    """When the next wave's window opens, or closes without it."""
    wave = plan.next_wave()
    if wave is None or plan.state not in APPROVED or plan.pause or facts.halt:
        return None
    times = [time for time in (wave.starts_at, wave.ends_at) if time is not None and time > facts.now]
    return min(times, default=None)
