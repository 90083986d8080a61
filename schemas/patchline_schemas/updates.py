"""The life of an update, from assessed to reviewed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from patchline_schemas.envelope import Event
from patchline_schemas.values import (
    AssessmentStatus,
    Kind,
    UpdateState,
    Urgency,
    UtcTime,
    Value,
    WaveState,
)


class UpdateEvent(Event):
    """Base of an update's events."""

    update_id: str
    revision: int
    """The update's revision: of its assessment in ``updates.assessed``, of its plan from there on."""
    component: str
    """Package URL without version."""
    version: str
    """The version that the update brings."""

    def key(self) -> str:
        return self.update_id


class AssessmentInput(Value):
    """One fact a decision rests on, with where it comes from."""

    name: str
    value: str | None = None
    """Null when unknown."""
    origin: str
    """For example ``feed:palletsprojects`` or ``fleet file, group shop``."""


class AssessedTarget(Value):
    """What an update means for one target, and why."""

    target_id: str
    group: str
    status: AssessmentStatus
    reason: str
    """A sentence."""
    installed_version: str | None = None
    """Null when not installed or unknown."""
    environment: str | None = None
    """The digest of ``fleet.inventory-reported``."""
    advisories: tuple[str, ...] = ()
    """Ids of the advisories that the target is exposed to."""


class UpdateAssessed(UpdateEvent, topic="updates.assessed", urgent_lane=True):
    """What an update means for the fleet; one page of ``pages``.

    Every page carries the whole head (everything but ``targets``), so an urgent one needs no other event.
    """

    page: int
    """From 1."""
    pages: int
    vendor: str
    kind: Kind
    urgency: Urgency | None = None
    """Null when no target is affected."""
    due_at: UtcTime | None = None
    due_rule: str
    """The rule that set ``due_at``, as a sentence."""
    inputs: tuple[AssessmentInput, ...]
    released_at: UtcTime
    published_at: UtcTime
    published_by: str
    advisories: tuple[str, ...]
    """Ids of all advisories the update fixes."""
    notes_url: str | None = None
    restart_required: bool = False
    emergency: bool = False
    affected_total: int
    not_affected_total: int
    """Includes targets that do not have the component; those are not listed."""
    unknown_total: int
    targets: tuple[AssessedTarget, ...]
    """Every target that has the component, and every unknown one; at most 500 a page."""


class RetractionAssessed(UpdateEvent, topic="updates.retraction-assessed"):
    """Where a version that its vendor withdrew is installed."""

    reason: str
    installed_on: tuple[str, ...]
    """Target ids, the first 500."""
    installed_total: int


class WaveSummary(Value):
    """A wave as its plan sees it."""

    id: str
    number: int
    """From 1, within the round."""
    group: str
    targets_total: int
    starts_at: UtcTime | None = None
    """Null when no window is in sight."""
    ends_at: UtcTime | None = None
    """End of the window; null for ``always``."""


class Representative(Value):
    """The target that stands for all with the same environment in testing."""

    environment: str
    target_id: str
    from_version: str | None = None
    targets_total: int
    """How many targets share the environment."""


class UpdatePlanned(UpdateEvent, topic="updates.planned"):
    """A plan: waves with their windows, what to test, who must approve, the way back."""

    round: int
    kind: Kind
    urgency: Urgency | None = None
    due_at: UtcTime | None = None
    advisories: tuple[str, ...]
    notes_url: str | None = None
    restart_required: bool = False
    approval: str
    """``automatic``, or who must approve, as a sentence."""
    waves: tuple[WaveSummary, ...]
    representatives: tuple[Representative, ...]
    environments_total: int
    """How many distinct environments there are; more than ``representatives`` if not all can be tested."""
    rollback: tuple[str, ...]
    """The rollback plan in sentences: from which version to which, from which backup."""


class StageResult(Value):
    """One stage of a test in a copy, before and after the update."""

    name: str
    """``apply``, ``dependency consistency``, ``imports``, or the check's own command."""
    before: Literal["passed", "failed", "not-run"]
    after: Literal["passed", "failed", "not-run"]
    blamed: bool
    """Whether the update is to blame: passed before, failed after."""
    output: str
    """What the tool said, its end if it is long."""
    duration: timedelta


class EnvironmentTest(Value):
    """The test of one environment."""

    environment: str
    target_id: str
    passed: bool
    stages: tuple[StageResult, ...]
    tested_for_revision: int | None = None
    """Null when tested for this plan; else the earlier revision whose test is reused."""


class UpdateTested(UpdateEvent, topic="updates.tested"):
    """The update passed in a copy of one real target per environment."""

    round: int
    environments: tuple[EnvironmentTest, ...]


class UpdateTestFailed(UpdateEvent, topic="updates.test-failed"):
    """The update broke a copy, or could not be tested; no real target was touched."""

    round: int
    environments: tuple[EnvironmentTest, ...]
    error: str
    """The tool's own words."""


class UpdateApproved(UpdateEvent, topic="updates.approved"):
    """The plan of this revision may roll out."""

    round: int
    approved_by: tuple[str, ...]
    """``policy`` when automatic."""
    automatic: bool
    reason: str


class UpdateRejected(UpdateEvent, topic="updates.rejected"):
    """A person said no."""

    round: int
    rejected_by: str
    reason: str


class Held(Value):
    """Why something does not move."""

    rule: str
    """``inventory-unknown``, ``approval``, ``window``, ``freeze``, ``notice``, ``target-owned``, …"""
    since: UtcTime
    until: UtcTime | None = None
    """Null when it depends on somebody or something."""
    who: str | None = None
    """Who or what can release it."""


class WaveProgress(Value):
    """A wave's state in ``updates.progressed``."""

    id: str
    round: int
    number: int
    group: str
    state: WaveState
    starts_at: UtcTime | None = None
    targets_total: int


class UpdateProgressed(UpdateEvent, topic="updates.progressed"):
    """Where the update stands, whole, each time that changes; planning alone says so."""

    sequence: int
    """Rises by one with each change; a lower one is old news."""
    round: int
    kind: Kind
    state: UpdateState
    urgency: Urgency | None = None
    due_at: UtcTime | None = None
    held: Held | None = None
    error: str | None = None
    superseded_by: str | None = None
    waves: tuple[WaveProgress, ...]


class UpdateDue(UpdateEvent):
    """Base of the events about a due date."""

    due_at: UtcTime
    state: UpdateState
    held: Held | None = None


class UpdateDueSoon(UpdateDue, topic="updates.due-soon"):
    """The due date is near and the update is not done."""


class UpdateOverdue(UpdateDue, topic="updates.overdue"):
    """The due date has passed and the update is not done."""


class UpdateEnded(UpdateEvent):
    """Base of the events that end a round."""

    round: int
    due_at: UtcTime | None = None


class UpdateNotApplicable(UpdateEnded, topic="updates.not-applicable"):
    """No target needs the update, and none is unknown."""


class UpdateCompleted(UpdateEnded, topic="updates.completed"):
    """Every wave of the round is verified."""


class UpdateFailed(UpdateEnded, topic="updates.failed"):
    """The round ended without the update everywhere it was meant to be."""

    error: str
    rolled_back_waves: tuple[str, ...] = ()


class UpdateCancelled(UpdateEnded, topic="updates.cancelled"):
    """A person, a retraction or a newer update ended the round."""

    reason: str
    cancelled_by: str
    superseded_by: str | None = None


class Report(Value):
    """A report file."""

    format: Literal["html", "md", "json"]
    address: str
    """``file:`` URL or an address of the report store."""
    sha256: str


class UpdateDocumented(UpdateEvent, topic="updates.documented"):
    """The round's report can be read and its events are in the ledger."""

    round: int
    outcome: UpdateState
    reports: tuple[Report, ...]
    events_total: int


class Finding(Value):
    """What a review found, as a sentence with its evidence."""

    sentence: str
    evidence: tuple[str, ...]
    """Event ids."""
    deviation: bool = False
    """Late, or outside the plan."""


class UpdateReviewed(UpdateEvent, topic="updates.reviewed"):
    """The round is reviewed."""

    round: int
    outcome: UpdateState
    lead_time: timedelta
    """From publication to the end of the round."""
    time_to_due: timedelta | None = None
    """What was left until the due date; negative when late."""
    targets_total: int
    failed_share: float
    """Of targets, from 0 to 1."""
    rolled_back_share: float
    time_in_step: dict[str, timedelta]
    findings: tuple[Finding, ...]
