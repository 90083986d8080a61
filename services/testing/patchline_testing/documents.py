"""The test of an update, and the test in one environment; the messages between them."""

from __future__ import annotations

import hashlib
from datetime import datetime

from patchline_kit.documents import Document, Message
from patchline_schemas.fleet import Target
from patchline_schemas.updates import EnvironmentTest, Representative, UpdatePlanned


class TryIn(Message):
    """To an environment: try the update there, for this revision of its plan."""

    test: str
    revision: int
    component: str
    update_version: str
    representative: Representative


class TriedIn(Message):
    """To an update's test: the trial in an environment has ended; how is in its document."""

    revision: int
    environment: str


class Test(Document, collection="tests", id_of="update"):
    """The test of one update, of its newest plan; its id is the update's."""

    __test__ = False  # not pytest's

    revision: int
    round: int
    component: str
    update_version: str
    environments: tuple[str, ...]
    ended: tuple[str, ...] = ()
    """Environments that have ended: no counter, so an answer that comes twice counts once."""

    @classmethod
    def of(cls, plan: UpdatePlanned) -> Test:
        """A new test for a plan."""
        test = cls(
            id=plan.update_id,
            revision=plan.revision,
            round=plan.round,
            component=plan.component,
            update_version=plan.version,
            environments=(),
        )
        test.begin(plan)
        return test

    def begin(self, plan: UpdatePlanned) -> None:
        """Test anew, for this revision of the plan."""
        self.revision, self.round = plan.revision, plan.round
        self.environments = tuple(dict.fromkeys(each.environment for each in plan.representatives))
        self.ended = ()

    def ends(self, environment: str) -> None:
        """Note that an environment has ended. Harmless when it is said twice."""
        if environment in self.environments and environment not in self.ended:
            self.ended += (environment,)

    def is_over(self) -> bool:
        """Whether every environment has ended."""
        return len(self.ended) == len(self.environments)


class Trial(Document, collection="trials"):
    """An update tried in one environment: leased work, and its result.

    Its id is made of both, so what passed once is found again by a later plan.
    """

    test: str
    revision: int
    """Of the newest plan that asked."""
    component: str
    update_version: str
    representative: Representative
    checks: str = ""
    """Digest of the target's checks when it was tried: other checks are another test."""
    asked_at: datetime
    result: EnvironmentTest | None = None
    tried_for: int | None = None
    """Revision of the plan for which ``result`` was found; lower than ``revision`` when it is reused."""

    @property
    def update_id(self) -> str:
        """The update that is tried."""
        return self.test

    @property
    def target_id(self) -> str:
        """The real target that is copied."""
        return self.representative.target_id

    @classmethod
    def of(cls, message: TryIn, now: datetime) -> Trial:
        """A new trial, not yet asked for."""
        return cls(id=message.to, asked_at=now, **message.model_dump(exclude={"to"}))

    def ask(self, message: TryIn, checks: str, now: datetime) -> None:
        """Try it for this revision of the plan, unless it has passed with the same checks already."""
        self.revision, self.representative = message.revision, message.representative
        if self.result is None or not self.result.passed or self.checks != checks:
            self.result, self.tried_for, self.checks = None, None, checks
            self.asked_at = self.wake_at = now

    def ends(self, result: EnvironmentTest) -> None:
        """Keep the result, found for the revision that asked."""
        self.result, self.tried_for = result, self.revision

    def ended(self) -> TriedIn:
        """The answer to the test."""
        return TriedIn(to=self.test, revision=self.revision, environment=self.representative.environment)


def trial_id(update_id: str, environment: str) -> str:
    """The id of an update's trial in an environment."""
    return f"{update_id}/{environment}"


def checks_of(target: Target | None) -> str:
    """Digest of a target's checks; empty for a target of which nothing is known."""
    if target is None:
        return ""
    return hashlib.sha256(target.model_dump_json(include={"checks"}).encode()).hexdigest()
