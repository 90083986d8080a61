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
    """Names the update: it follows from component and version."""
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
    """What the fact is, such as ``severity``."""
    value: str | None = None
    """Null when unknown."""
    origin: str
    """For example ``feed:palletsprojects`` or ``fleet file, group shop``."""


class AssessedTarget(Value):
    """What an update means for one target, and why."""

    target_id: str
    """Id of the target in the fleet file."""
    group: str
    """Name of the group in the fleet file."""
    status: AssessmentStatus
    """``unknown`` when it could not be judged."""
    reason: str
    """A sentence."""
    installed_version: str | None = None
    """Null when not installed or unknown."""
    environment: str | None = None
    """The digest of ``fleet.inventory-reported``."""
    advisories: tuple[str, ...] = ()
    """Ids of the advisories that the target is exposed to."""
    collected_at: UtcTime | None = None
    """When the target was asked for what this rests on; null when it could not be asked."""


class UpdateAssessed(UpdateEvent, topic="updates.assessed", urgent_lane=True):
    """What an update means for the fleet; one page of ``pages``.

    Every page carries the whole head (everything but ``targets``), so an urgent one needs no other event.
    """

    page: int
    """From 1."""
    pages: int
    """How many pages there are."""
    vendor: str
    """Who publishes the component, as the feed names it."""
    kind: Kind
    """What the update is for."""
    urgency: Urgency | None = None
    """Null when no target is affected."""
    due_at: UtcTime | None = None
    """When the update must be in effect; null when nothing demands it."""
    due_rule: str
    """The rule that set ``due_at``, as a sentence."""
    inputs: tuple[AssessmentInput, ...]
    """What the verdict rests on."""
    released_at: UtcTime
    """When the vendor released it."""
    published_at: UtcTime
    """When it was published to Patchline."""
    published_by: str
    """Who published it."""
    advisories: tuple[str, ...]
    """Ids of all advisories the update fixes."""
    notes_url: str | None = None
    """Where the vendor's release notes are."""
    restart_required: bool = False
    """Whether a target must be restarted for the version to be in effect."""
    emergency: bool = False
    """Whether the publisher asked for the urgent lane."""
    affected_total: int
    """How many targets need the update."""
    not_affected_total: int
    """Includes targets that do not have the component; those are not listed."""
    unknown_total: int
    """How many targets could not be judged."""
    targets: tuple[AssessedTarget, ...]
    """Every target that has the component, and every unknown one; at most 500 a page."""


class RetractionAssessed(UpdateEvent, topic="updates.retraction-assessed"):
    """Where a version that its vendor withdrew is installed."""

    reason: str
    """The vendor's words."""
    installed_on: tuple[str, ...]
    """Target ids, the first 500."""
    installed_total: int
    """How many targets have the version."""
    last_seen_on: tuple[str, ...] = ()
    """Those of the unknown targets that had it when they last answered; the first 500."""
    unknown: tuple[str, ...] = ()
    """Ids of targets that may have it without anybody knowing, since they cannot be asked; the first 500."""
    unknown_total: int = 0
    """How many those are."""


class WaveSummary(Value):
    """A wave as its plan sees it."""

    id: str
    """The wave's id."""
    number: int
    """From 1, within the round."""
    group: str
    """Name of the group in the fleet file."""
    targets_total: int
    """How many targets it has."""
    starts_at: UtcTime | None = None
    """Null when no window is in sight."""
    ends_at: UtcTime | None = None
    """End of the window; null for ``always``."""


class Representative(Value):
    """The target that stands for all with the same environment in testing."""

    environment: str
    """Digest of what is installed, as ``fleet.inventory-reported`` says; alike targets have the same."""
    target_id: str
    """Id of the target in the fleet file."""
    from_version: str | None = None
    """The version that is installed there; null when unknown."""
    targets_total: int
    """How many targets share the environment."""


class UpdatePlanned(UpdateEvent, topic="updates.planned"):
    """A plan: waves with their windows, what to test, who must approve, the way back."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    kind: Kind
    """What the update is for."""
    urgency: Urgency | None = None
    """How soon it must be in effect; null when no target is affected."""
    due_at: UtcTime | None = None
    """When the update must be in effect; null when nothing demands it."""
    advisories: tuple[str, ...]
    """Ids of all advisories the update fixes."""
    notes_url: str | None = None
    """Where the vendor's release notes are."""
    restart_required: bool = False
    """Whether a target must be restarted for the version to be in effect."""
    approval: str
    """``automatic``, or who must approve, as a sentence."""
    waves: tuple[WaveSummary, ...]
    """In their order."""
    representatives: tuple[Representative, ...]
    """One target per environment that is tested."""
    environments_total: int
    """How many distinct environments there are; more than ``representatives`` if not all can be tested."""
    rollback: tuple[str, ...]
    """The rollback plan in sentences: from which version to which, from which backup."""


class StageResult(Value):
    """One stage of a test in a copy, before and after the update."""

    name: str
    """``apply``, ``dependency consistency``, ``imports``, or the check's own command."""
    before: Literal["passed", "failed", "not-run"]
    """How it went before the update."""
    after: Literal["passed", "failed", "not-run"]
    """How it went after it."""
    blamed: bool
    """Whether the update is to blame: passed before, failed after."""
    output: str
    """What the tool said, its end if it is long."""
    duration: timedelta
    """How long it took."""


class EnvironmentTest(Value):
    """The test of one environment."""

    environment: str
    """Digest of what is installed, as ``fleet.inventory-reported`` says; alike targets have the same."""
    target_id: str
    """The target whose copy was used."""
    passed: bool
    """Whether nothing is to be blamed on the update."""
    stages: tuple[StageResult, ...]
    """In their order."""
    tested_for_revision: int | None = None
    """Null when tested for this plan; else the earlier revision whose test is reused."""


class UpdateTested(UpdateEvent, topic="updates.tested"):
    """The update passed in a copy of one real target per environment."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    environments: tuple[EnvironmentTest, ...]
    """One per environment that was tested."""


class UpdateTestFailed(UpdateEvent, topic="updates.test-failed"):
    """The update broke a copy, or could not be tested; no real target was touched."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    environments: tuple[EnvironmentTest, ...]
    """One per environment that was tested."""
    error: str
    """The tool's own words."""


class UpdateApproved(UpdateEvent, topic="updates.approved"):
    """The plan of this revision may roll out."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    approved_by: tuple[str, ...]
    """``policy`` when automatic."""
    automatic: bool
    """Whether the policy approved it, and no person."""
    reason: str
    """The approver's words, of several each with the name before them, or the policy's rule."""


class UpdateRejected(UpdateEvent, topic="updates.rejected"):
    """A person said no."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    rejected_by: str
    """The person."""
    reason: str
    """In the person's words."""


class Held(Value):
    """Why something does not move."""

    rule: str
    """``inventory-unknown``, ``approval``, ``window``, ``freeze``, ``notice``, ``target-owned``, …"""
    since: UtcTime
    """Since when it has been held."""
    until: UtcTime | None = None
    """Null when it depends on somebody or something."""
    who: str | None = None
    """Who or what can release it."""


class WaveProgress(Value):
    """A wave's state in ``updates.progressed``."""

    id: str
    """The wave's id."""
    round: int
    """From 1; the next each time that the update is taken up again."""
    number: int
    """From 1, within the round."""
    group: str
    """Name of the group in the fleet file."""
    state: WaveState
    """Where the wave stands."""
    starts_at: UtcTime | None = None
    """Null when no window is in sight."""
    targets_total: int
    """How many targets it has."""


class UpdateProgressed(UpdateEvent, topic="updates.progressed"):
    """Where the update stands, whole, each time that changes; planning alone says so."""

    sequence: int
    """Rises by one with each change; a lower one is old news."""
    round: int
    """From 1; the next each time that the update is taken up again."""
    kind: Kind
    """What the update is for."""
    state: UpdateState
    """Where the update stands."""
    urgency: Urgency | None = None
    """How soon it must be in effect; null when no target is affected."""
    due_at: UtcTime | None = None
    """When the update must be in effect; null when nothing demands it."""
    held: Held | None = None
    """Why it does not move; null when it does."""
    error: str | None = None
    """Why it failed, or needs a person."""
    superseded_by: str | None = None
    """Id of the update that took this one's place."""
    waves: tuple[WaveProgress, ...]
    """Every wave of the round."""


class UpdateDue(UpdateEvent):
    """Base of the events about a due date."""

    due_at: UtcTime
    """When the update must be in effect."""
    state: UpdateState
    """Where the update stands."""
    held: Held | None = None
    """Why it does not move; null when it does."""


class UpdateDueSoon(UpdateDue, topic="updates.due-soon"):
    """The due date is near and the update is not done."""


class UpdateOverdue(UpdateDue, topic="updates.overdue"):
    """The due date has passed and the update is not done."""


class UpdateEnded(UpdateEvent):
    """Base of the events that end a round."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    due_at: UtcTime | None = None
    """When the update had to be in effect; null when nothing demanded it."""


class UpdateNotApplicable(UpdateEnded, topic="updates.not-applicable"):
    """No target needs the update, and none is unknown."""


class UpdateCompleted(UpdateEnded, topic="updates.completed"):
    """Every wave of the round is verified."""

    unknown_total: int = 0
    """Of how many targets it is unknown whether they need it: not to be asked, or changed since."""


class UpdateFailed(UpdateEnded, topic="updates.failed"):
    """The round ended without the update everywhere it was meant to be."""

    error: str
    """A sentence that says why."""
    rolled_back_waves: tuple[str, ...] = ()
    """Ids of the waves that were rolled back."""


class UpdateCancelled(UpdateEnded, topic="updates.cancelled"):
    """A person, a retraction or a newer update ended the round."""

    reason: str
    """A sentence for a person."""
    cancelled_by: str
    """The person, or what ended it."""
    superseded_by: str | None = None
    """Id of the update that took this one's place."""


class Report(Value):
    """A report file."""

    format: Literal["html", "md", "json"]
    """What kind of file it is."""
    address: str
    """``file:`` URL or an address of the report store."""
    sha256: str
    """SHA-256 of its bytes, in hex."""


class UpdateDocumented(UpdateEvent, topic="updates.documented"):
    """The round's report can be read and its events are in the ledger."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    outcome: UpdateState
    """The state in which the round ended."""
    reports: tuple[Report, ...]
    """One per format."""
    events_total: int
    """How many events of the update the report is made from."""


class Finding(Value):
    """What a review found, as a sentence with its evidence."""

    sentence: str
    """For a person."""
    evidence: tuple[str, ...]
    """Event ids."""
    deviation: bool = False
    """Late, or outside the plan."""


class UpdateReviewed(UpdateEvent, topic="updates.reviewed"):
    """The round is reviewed."""

    round: int
    """From 1; the next each time that the update is taken up again."""
    outcome: UpdateState
    """The state in which the round ended."""
    lead_time: timedelta
    """From publication to the end of the round."""
    time_to_due: timedelta | None = None
    """What was left until the due date; negative when late."""
    targets_total: int
    """How many targets the round had."""
    failed_share: float
    """Of targets, from 0 to 1."""
    rolled_back_share: float
    """Of targets, from 0 to 1."""
    time_in_step: dict[str, timedelta]
    """How long the round was in each step."""
    findings: tuple[Finding, ...]
    """What there is to say."""
