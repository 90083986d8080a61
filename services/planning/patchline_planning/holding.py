"""Why an update does not move: the rules that hold it, in the order in which they are asked.

What this module does not hold may move: the rollout starts the next wave exactly when no rule answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from patchline_planning import approvals
from patchline_planning.machine import ENDED, PAUSABLE
from patchline_planning.plan import Pause, Plan, PlannedWave
from patchline_schemas.updates import Held

IN_VAIN = 2
"""After so many windows in a row that ended too early it is said that they are too short."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules need to know beside the plan."""

    now: datetime
    halt: Pause | None = None
    no_window: str = ""
    """Why no window is in sight for the next wave, in words."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that holds the update."""

    rule: str
    who: str | None = None
    """Who or what can release it."""
    until: datetime | None = None


def inventory_unknown(plan: Plan, facts: Facts) -> Reason | None:
    """No target is known to need the update, but some could not be asked, or were not as assessed."""
    count = plan.head.unknown_total
    if plan.state != "assessed" or not (count or plan.left_out()):
        return None
    if left_out := plan.left_out():
        some = "target that has" if left_out == 1 else f"{left_out} targets that have"
        return Reason("inventory-unknown", f"an assessment of the {some} changed since it was planned")
    which = "target that is" if count == 1 else f"{count} targets that are"
    return Reason("inventory-unknown", f"an inventory of the {which} unknown")


def needs_person(plan: Plan, facts: Facts) -> Reason | None:
    """A rollback failed."""
    if plan.state != "needs-person":
        return None
    waves = ", ".join(wave.id for wave in plan.of_round() if wave.needs_person)
    return Reason("needs-person", f"a person who has looked at the targets of {waves}: retry or cancel")


def paused(plan: Plan, facts: Facts) -> Reason | None:
    """A person paused the update."""
    if plan.pause is None or plan.state not in PAUSABLE:
        return None
    return Reason("paused", f"anybody who resumes it; {plan.pause.who} paused it: {plan.pause.reason}")


def halted(plan: Plan, facts: Facts) -> Reason | None:
    """A person halted everything."""
    if facts.halt is None or plan.state not in PAUSABLE:
        return None
    return Reason(
        "halted", f"anybody who resumes everything; {facts.halt.who} halted it: {facts.halt.reason}"
    )


def approval(plan: Plan, facts: Facts) -> Reason | None:
    """People have to say yes."""
    if plan.state != "awaiting-approval":
        return None
    missing = approvals.missing(plan.approval, plan.approvals, plan.head.published_by)
    if not missing:
        return None
    counting = approvals.counting(plan.approval, plan.approvals, plan.head.published_by)
    given = ", ".join(yes.who for yes in counting)
    more = "one person" if missing == 1 else f"{missing} people"
    but = (
        f", not {plan.head.published_by}"
        if plan.approval != "automatic" and plan.approval.not_the_requester
        else ""
    )
    return Reason("approval", f"{more} who approves{but}" + (f"; approved so far: {given}" if given else ""))


def target_owned(plan: Plan, facts: Facts) -> Reason | None:
    """Another wave works on a target."""
    active = plan.active_wave()
    return Reason("target-owned", active.waits_for) if active is not None and active.waits_for else None


def soak(plan: Plan, facts: Facts) -> Reason | None:
    """The wave before is being watched."""
    active = plan.active_wave()
    if active is None or active.state != "soaking":
        return None
    return Reason("soak", f"the checks of {active.id}", active.soak_until)


def notice_required(plan: Plan, facts: Facts) -> Reason | None:
    """A notice that the policy requires has not been sent yet, or could not be."""
    wave = plan.next_wave()
    if not _may_roll_out(plan) or wave is None or plan.notice_waived or not wave.untold():
        return None
    if wave.notice_missed:
        return Reason("notice-required", f"anybody who resumes it; {wave.notice_missed} could not be told")
    left = len(wave.untold())
    who = f"the notice to {left} contact{'s' if left > 1 else ''} of {wave.group}"
    return Reason("notice-required", f"{who}, once it is delivered, or anybody who resumes it")


def no_window(plan: Plan, facts: Facts) -> Reason | None:
    """The group's rule gives no further window."""
    wave = plan.next_wave()
    if not _may_roll_out(plan) or wave is None or wave.starts_at is not None:
        return None
    return Reason("no-window", facts.no_window or f"a window of group {wave.group}")


def window(plan: Plan, facts: Facts) -> Reason | None:
    """The next wave's window (or what is left of it after notice and freezes) is not open."""
    wave = plan.next_wave()
    if not _may_roll_out(plan) or wave is None or wave.starts_at is None or wave.starts_at <= facts.now:
        return None
    who = {
        "window": f"the window of group {wave.group}{_too_short(wave)}",
        "notice": f"the notice that group {wave.group} is owed; urgency immediate overrides it",
        "freeze": f"the end of the freeze for group {wave.group}",
    }[wave.cause]
    return Reason(wave.cause, who, wave.starts_at)


def _too_short(wave: PlannedWave) -> str:
    """What to do about windows that went by without a change; nothing after a single one."""
    if wave.in_vain < IN_VAIN:
        return ""
    return (
        f"; the last {wave.in_vain} ended before any of its targets was touched, so give the group a longer "
        "window, a smaller wave_size or a higher concurrency"
    )


RULES: tuple[Callable[[Plan, Facts], Reason | None], ...] = (
    inventory_unknown,
    needs_person,
    paused,
    halted,
    approval,
    target_owned,
    soak,
    notice_required,
    no_window,
    window,
)


def reason(plan: Plan, facts: Facts) -> Reason | None:
    """The first rule that holds the update; None when it moves, or has ended."""
    if plan.assessment is None or plan.state in ENDED:
        return None
    return next((found for rule in RULES if (found := rule(plan, facts)) is not None), None)


def held(plan: Plan, facts: Facts) -> Held | None:
    """The reason as everybody sees it; ``since`` stays while the rule stays the same."""
    found = reason(plan, facts)
    if found is None:
        return None
    before = plan.held
    since = before.since if before is not None and before.rule == found.rule else facts.now
    return Held(rule=found.rule, since=since, until=found.until, who=found.who)


def _may_roll_out(plan: Plan) -> bool:
    return plan.state in ("scheduled", "rolling-out") and plan.active_wave() is None and plan.ending is None
