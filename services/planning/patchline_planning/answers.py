"""What people ask of planning, and the answer: the effect as a sentence, or the rule that refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from patchline_kit.documents import Document
from patchline_planning import approvals
from patchline_planning.approvals import Given, Refusal
from patchline_planning.fleet import FleetSwitch
from patchline_planning.machine import ASKED
from patchline_planning.plan import Ending, Pause, Plan
from patchline_schemas.requests import Action, RequestSubmitted


class Unplanned(Document, collection="unplanned"):
    """A request about an update without a plan, kept so that it is answered once. Its id is the request's."""


class Effect(Protocol):
    """Carries one kind of request out. Raises :class:`~patchline_planning.approvals.Refusal`."""

    def __call__(self, plan: Plan, request: RequestSubmitted, now: datetime) -> str:
        """Change the plan; the effect as a sentence."""


def switch(switch: FleetSwitch, request: RequestSubmitted, now: datetime) -> str:
    """Halt everything, or end the halt; the effect as a sentence.

    Raises :class:`~patchline_planning.approvals.Refusal`.
    """
    if request.action == "halt" and switch.halt is None:
        switch.halt = Pause(who=request.who, since=now, reason=request.reason)
        effect = "everything is halted: no wave starts, what runs comes to its end"
    elif request.action == "resume" and switch.halt is not None:
        switch.halt = None
        effect = "the halt is over"
    elif request.action == "halt" and switch.halt is not None:
        raise Refusal("state", f"{switch.halt.who} has halted everything already: {switch.halt.reason}")
    elif request.action == "resume":
        raise Refusal("state", "nothing is halted")
    else:
        raise Refusal("input", f"{request.action} needs the update that it means")
    switch.telling_after, switch.wake_at = "", now
    return effect


def answer(plan: Plan | None, request: RequestSubmitted, now: datetime) -> str:
    """Carry a request out on its update's plan; the effect as a sentence.

    Raises :class:`~patchline_planning.approvals.Refusal`, with the rule ``state`` if the request is not
    possible where the update is.
    """
    if plan is None or plan.assessment is None:
        raise Refusal(
            "state",
            f"planning knows no update {request.update_id}; `patchline updates` lists those there are",
        )
    if request.action == "approve" and _waits_for_notice(plan):
        return _waive_notice(plan)
    if plan.state not in ASKED.get(request.action, ()):
        possible = ", ".join(ASKED.get(request.action, ()))
        raise Refusal(
            "state",
            f"{request.action} is not possible while the update is {plan.visible_state()}: only {possible}",
        )
    return _EFFECTS[request.action](plan, request, now)


def approve(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """Count a yes."""
    approvals.check(
        plan.approval,
        plan.approvals,
        who=request.who,
        requester=plan.head.published_by,
        named=request.plan_revision,
        revision=plan.revision,
    )
    plan.approvals.append(Given(who=request.who, at=now, reason=request.reason))
    missing = approvals.missing(plan.approval, plan.approvals, plan.head.published_by)
    if missing:
        return f"approved; {missing} more {'person has' if missing == 1 else 'people have'} to approve"
    return f"approved; {_when_it_begins(plan)}"


def _when_it_begins(plan: Plan) -> str:
    """What follows an approval, which ends neither a pause nor a halt."""
    if plan.pause is not None:
        return f"{plan.pause.who} has paused it, so the rollout does not begin before somebody resumes it"
    if plan.held is not None and plan.held.rule == "halted":
        return "everything is halted, so the rollout does not begin before somebody resumes everything"
    return "the rollout begins with the first window"


def reject(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """End the round with a no, as long as no target was touched."""
    _must_not_be_ending(plan)
    plan.ending = Ending(outcome="rejected", by=request.who, reason=request.reason)
    return "rejected; no target is touched"


def cancel(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """End the round; what runs comes to its end first."""
    _must_not_be_ending(plan)
    active = plan.active_wave()
    plan.ending = Ending(outcome="cancelled", by=request.who, reason=request.reason)
    if plan.state == "needs-person":
        return "cancelled; the targets of the failed rollback are free again"
    if active is not None and active.started():
        return (
            f"what has not started is dropped; {active.id} ends and is verified, then the update is cancelled"
        )
    return "cancelled; nothing more starts"


def retry(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """Open the next round."""
    if plan.retracted is not None:
        raise Refusal("retracted", f"the vendor withdrew version {plan.head.version}: {plan.retracted}")
    plan.reopen = True
    if plan.state == "needs-person":
        plan.ending = Ending(
            outcome="failed", by=request.who, reason=plan.error or "a rollback failed; a person took over"
        )
        return f"the targets of the failed rollback are free again; round {plan.round + 1} is being planned"
    return f"round {plan.round + 1} is being planned"


def pause(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """Start nothing more until somebody resumes."""
    if plan.pause is not None:
        raise Refusal("state", f"{plan.pause.who} has paused it already")
    plan.pause = Pause(who=request.who, since=now, reason=request.reason)
    return "paused; no further wave starts, what runs comes to its end"


def resume(plan: Plan, request: RequestSubmitted, now: datetime) -> str:
    """Let it go on; also without a required notice that was not delivered."""
    if plan.pause is not None:
        plan.pause = None
        return "resumed"
    if _waits_for_notice(plan):
        return _waive_notice(plan)
    raise Refusal("state", "it is not paused")


_EFFECTS: dict[Action, Effect] = {
    "approve": approve,
    "reject": reject,
    "cancel": cancel,
    "retry": retry,
    "pause": pause,
    "resume": resume,
    "halt": pause,
}


def _waits_for_notice(plan: Plan) -> bool:
    return plan.held is not None and plan.held.rule == "notice-required"


def _waive_notice(plan: Plan) -> str:
    plan.notice_waived = True
    return "the round goes on without the notice that its policy requires"


def _must_not_be_ending(plan: Plan) -> None:
    if plan.ending is not None:
        raise Refusal("state", f"it is ending already: {plan.ending.reason}")
