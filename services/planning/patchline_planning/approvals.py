"""Who must say yes before a plan rolls out, and whether a yes counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from patchline_schemas.fleet import Approval, Group


class Given(BaseModel):
    """One person's yes."""

    who: str
    at: datetime
    reason: str


class Refusal(Exception):
    """Why a request is not carried out: the rule's name and an explanation for the person who asked."""

    def __init__(self, rule: str, explanation: str) -> None:
        super().__init__(explanation)
        self.rule = rule
        self.explanation = explanation


Rule = Literal["automatic"] | Approval


def strictest(groups: Iterable[Group]) -> Rule:
    """The rule that satisfies every group: the most approvers, and the requester excluded if any says so."""
    rules = [group.policies.approval for group in groups]
    asked = [rule for rule in rules if rule != "automatic"]
    if not asked:
        return "automatic"
    return Approval(
        minimum_approvers=max(rule.minimum_approvers for rule in asked),
        not_the_requester=any(rule.not_the_requester for rule in asked),
    )


def in_words(rule: Rule, requester: str) -> str:
    """The rule as ``updates.planned`` says it."""
    if rule == "automatic":
        return "automatic"
    people = "one person" if rule.minimum_approvers == 1 else f"{rule.minimum_approvers} people"
    return f"{people} other than {requester}" if rule.not_the_requester else people


def check(
    rule: Rule, given: Sequence[Given], *, who: str, requester: str, named: int | None, revision: int
) -> None:
    """Whether ``who`` may approve the plan of ``revision``. Raises :class:`Refusal` if not.

    ``named`` is the revision that the approval means; None means the one that stands.
    """
    if named is not None and named != revision:
        raise Refusal(
            "approval.plan-revision",
            f"the approval means revision {named} of the plan, but it is at revision {revision} now; "
            "look at it again and approve that one",
        )
    if rule != "automatic" and rule.not_the_requester and who == requester:
        raise Refusal(
            "approval.not-the-requester",
            f"{who} published this update, and a policy of its groups wants somebody else to approve it",
        )
    if any(yes.who == who for yes in given):
        raise Refusal(
            "approval.distinct", f"{who} has approved this plan already; another person has to approve it too"
        )


def counting(rule: Rule, given: Sequence[Given], requester: str) -> Sequence[Given]:
    """Those of the yeses that count under ``rule``, which may have become stricter since they were given."""
    if rule == "automatic" or not rule.not_the_requester:
        return given
    return [yes for yes in given if yes.who != requester]


def missing(rule: Rule, given: Sequence[Given], requester: str) -> int:
    """How many further people must approve."""
    return (
        0 if rule == "automatic" else max(0, rule.minimum_approvers - len(counting(rule, given, requester)))
    )


def words(given: Sequence[Given]) -> str:
    """What those said who approved; of several each with the name before it."""
    if len(given) == 1:
        return given[0].reason
    return "; ".join(f"{yes.who}: {yes.reason}" for yes in given)
