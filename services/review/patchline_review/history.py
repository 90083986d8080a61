"""What a group's last rounds were like: the ground on which policies are proposed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from patchline_kit.documents import Document, Message
from patchline_review.case import Case
from patchline_review.findings import due
from patchline_schemas.fleet import Group

MOST_ROUNDS = 20
"""Rounds remembered for a group."""


class PastRound(BaseModel):
    """A round as one group lived it."""

    update_id: str
    round: int
    ended_at: datetime
    late_by: timedelta = timedelta(0)
    """How long after the due date it was in effect; zero when in time."""
    lead_time: timedelta | None = None
    waited: timedelta = timedelta(0)
    """Time spent waiting for the group's windows."""
    failed_in_soak_after: timedelta | None = None
    """How long after its checks had passed a wave of the group failed; None when none did."""
    not_started_total: int = 0
    concurrency: int = 1
    evidence: tuple[str, ...] = ()
    """Ids of the events that show it."""


class GroupHistory(Document, collection="groups", shared=True):
    """A group's last rounds, and what was proposed for it; its id is the group's name."""

    group: Group | None = None
    """As the fleet file has it, without contacts; None until it is registered."""
    revision: int = 0
    changed_at: datetime | None = None
    """Since when the group has its window and policies: what was before says nothing about them."""
    past: list[PastRound] = Field(default_factory=list)
    proposed: dict[str, str] = Field(default_factory=dict)
    """By rule, the value that was proposed last."""

    def register(self, group: Group, revision: int, at: datetime) -> None:
        """Take over what the fleet file says, unless it is old news."""
        if revision < self.revision:
            return
        known = group.model_copy(update={"contacts": ()})
        if self.group is None or (known.window, known.policies) != (self.group.window, self.group.policies):
            self.changed_at = at if self.group is not None else None
        self.group, self.revision = known, revision

    def learn(self, past: PastRound) -> bool:
        """Remember a round; False if it is known."""
        if any((each.update_id, each.round) == (past.update_id, past.round) for each in self.past):
            return False
        self.past = sorted([*self.past, past], key=lambda each: each.ended_at)[-MOST_ROUNDS:]
        return True

    def relevant(self) -> list[PastRound]:
        """The rounds under the group's present window and policies."""
        return [each for each in self.past if self.changed_at is None or each.ended_at > self.changed_at]


class Learn(Message):
    """Tell a group's history of a round."""

    past: PastRound


def lessons(case: Case, number: int) -> Iterator[Learn]:
    """What each group has to learn from a round of an update."""
    found = case.rounds[number]
    if found.ended is None:
        return
    due_at = due(case, found)
    free = found.approved
    waited: dict[str, timedelta] = {}
    for wave in found.in_order():
        if wave.due and free:
            waited[wave.group] = waited.get(wave.group, timedelta(0)) + max(
                wave.due.at - free.at, timedelta(0)
            )
        free = wave.ended or free
    for group in dict.fromkeys(wave.group for wave in found.in_order() if wave.due):
        waves = [wave for wave in found.in_order() if wave.group == group and wave.due]
        soak = [
            wave.failed.at - wave.checks_passed.at
            for wave in waves
            if wave.failed_in_soak and wave.failed and wave.checks_passed
        ]
        shown = [wave.failed or wave.ended for wave in waves] + [found.ended]
        yield Learn(
            to=group,
            past=PastRound(
                update_id=case.id,
                round=number,
                ended_at=found.ended.at,
                late_by=max(found.ended.at - due_at, timedelta(0)) if due_at else timedelta(0),
                lead_time=found.ended.at - case.published_at if case.published_at else None,
                waited=waited.get(group, timedelta(0)),
                failed_in_soak_after=max(soak) if soak else None,
                not_started_total=sum(wave.not_started_total for wave in waves),
                concurrency=max(wave.concurrency for wave in waves),
                evidence=tuple(dict.fromkeys(mark.event_id for mark in shown if mark)),
            ),
        )
