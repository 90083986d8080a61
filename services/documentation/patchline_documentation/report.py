"""What a report says: plain values, from which HTML, Markdown and JSON are rendered.

Lists that grow with the fleet hold the first :data:`MOST_ROWS`; a total beside them says how many there are.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from patchline_schemas.values import Kind, Severity, TargetOutcome, UpdateState, Urgency

MOST_ROWS = 500
FORMAT_VERSION = 1


class Part(BaseModel):
    """Base of all parts of a report."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class AdvisoryLine(Part):
    """A weakness that the update removes."""

    id: str
    severity: Severity | None = None
    exploited: bool | None = None
    summary: str | None = None


class InputLine(Part):
    """A fact that the urgency and the due date rest on."""

    name: str
    value: str | None = None
    origin: str


class WaveLine(Part):
    """A wave: when it was to run, when it ran, how it ended."""

    id: str
    number: int
    group: str
    targets_total: int
    planned_start: datetime | None = None
    window_ends_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str
    """``verified``, ``rolled back``, ``not started``, … in people's words."""
    good: bool | None = None
    """None when it never started."""


class ChangeLine(Part):
    """Another package that changed on a target."""

    component: str
    before: str | None = None
    after: str | None = None


class TargetLine(Part):
    """A target: what was there before, what is there after, how it went."""

    target_id: str
    group: str
    wave_id: str
    outcome: TargetOutcome
    before: str | None = None
    after: str | None = None
    """None when unknown."""
    restarted: bool = False
    changes: tuple[ChangeLine, ...] = ()
    checks_passed: int = 0
    checks_total: int = 0
    checks_failed: tuple[str, ...] = ()
    """Names of those that failed at the last look."""
    failing_since: datetime | None = None
    """When the deployment, before it touched the target, found a check that failed; None if it found none."""
    notes: tuple[str, ...] = ()
    error: str | None = None


class StageLine(Part):
    """One stage of a test."""

    name: str
    before: str
    after: str
    blamed: bool
    output: str
    duration: timedelta


class TestLine(Part):
    """A test in a copy of one target."""

    environment: str
    target_id: str
    passed: bool
    stages: tuple[StageLine, ...]


class BackupLine(Part):
    """A backup that was restored once before it counted."""

    target_id: str
    wave_id: str
    address: str
    sha256: str
    size: int
    packages_total: int
    files_total: int


class ApprovalLine(Part):
    """Who let the plan roll out, or did not."""

    at: datetime
    who: str
    verdict: str
    reason: str


class RequestLine(Part):
    """What a person asked for, and the answer."""

    at: datetime
    who: str
    action: str
    reason: str
    answer: str
    """A sentence."""


class IssueLine(Part):
    """Something that did not go as planned, and how it was resolved."""

    at: datetime
    where: str
    what: str
    output: str | None = None
    """The tool's own words."""
    resolution: str
    resolved: bool
    event_id: str


class NoticeLine(Part):
    """What a contact was told, as far as known when the report was written."""

    at: datetime
    contact: str
    group: str
    occasion: str
    subject_line: str | None = None
    error: str | None = None
    """Why it could not be delivered; None when it was."""


class TimelineLine(Part):
    """One event, in a sentence."""

    at: datetime
    source: str
    sentence: str
    tone: str
    """``good``, ``bad`` or ``plain``."""
    event_id: str
    cause_id: str | None = None


class ChainLine(Part):
    """Where the events of the report lie in the ledger."""

    chain: str
    first: int
    last: int
    last_hash: str
    """Hash of the last of them, in hex: with it the report can be checked against the ledger."""


class Report(Part):
    """All that a report says of one round of one update."""

    format_version: int = FORMAT_VERSION
    update_id: str
    round: int
    component: str
    name: str
    """The component as people call it."""
    version: str
    vendor: str | None = None
    kind: Kind | None = None
    urgency: Urgency | None = None
    notes_url: str | None = None
    restart_required: bool = False

    outcome: UpdateState
    headline: str
    summary: tuple[str, ...]
    """Sentences that a manager can read alone."""

    released_at: datetime | None = None
    published_at: datetime | None = None
    published_by: str | None = None
    due_at: datetime | None = None
    due_rule: str | None = None
    due_met: bool | None = None
    """None when nothing was due, or the round ended without the update in effect before it was due."""
    due_sentence: str
    ended_at: datetime

    affected_total: int | None = None
    not_affected_total: int | None = None
    unknown_total: int | None = None
    advisories: tuple[AdvisoryLine, ...] = ()
    inputs: tuple[InputLine, ...] = ()

    waves: tuple[WaveLine, ...] = ()
    targets: tuple[TargetLine, ...] = ()
    targets_total: int = 0
    tests: tuple[TestLine, ...] = ()
    test_error: str | None = None
    backups: tuple[BackupLine, ...] = ()
    backups_total: int = 0
    approval_rule: str | None = None
    approvals: tuple[ApprovalLine, ...] = ()
    requests: tuple[RequestLine, ...] = ()
    rollback_plan: tuple[str, ...] = ()
    issues: tuple[IssueLine, ...] = ()
    notices: tuple[NoticeLine, ...] = ()
    timeline: tuple[TimelineLine, ...] = ()
    timeline_total: int = 0

    chains: tuple[ChainLine, ...] = ()
    traces: tuple[str, ...] = ()
    events_total: int
    missing_cause: str | None = None
    """An event that was not in the ledger in time, so that the report may lack what came before it."""
    written_at: datetime
