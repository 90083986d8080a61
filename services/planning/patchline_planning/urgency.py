"""How urgent a round is, and when it is due, where assessments come and go while it runs."""

from __future__ import annotations

from collections.abc import Mapping

from patchline_planning.machine import ENDED, NOT_STARTED
from patchline_planning.plan import Plan
from patchline_schemas.values import Urgency

PRIORITIES: Mapping[Urgency | None, int] = {
    "immediate": 3,
    "out-of-cycle": 2,
    "scheduled": 1,
    "defer": 0,
    None: -1,
}


def weigh(plan: Plan) -> None:
    """Take urgency and due date from a new assessment.

    While no wave has started they are the assessment's. Once waves run, those that are done make the rest
    look less urgent than the round is: from then on they only get more urgent and due earlier. A round that
    has ended keeps them.
    """
    head = plan.head
    if plan.state in ENDED:
        return
    if plan.state == "assessed" or (plan.state in NOT_STARTED and head.affected_total):
        plan.urgency, plan.due_at = head.urgency, head.due_at
    else:
        if PRIORITIES[head.urgency] > PRIORITIES[plan.urgency]:
            plan.urgency = head.urgency
        if head.due_at is not None and (plan.due_at is None or head.due_at < plan.due_at):
            plan.due_at = head.due_at
    plan.wake_priority = priority(plan.urgency)


def priority(urgency: Urgency | None) -> int:
    """Of documents and waves that wait, the one with the highest number goes first."""
    return max(0, PRIORITIES[urgency])
