"""The read models: what the gateway answers questions from.

Each is built from the topics alone. News may arrive in any order and more than once, so every view says
for each part of itself how it tells old news from new.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from patchline_kit.documents import Document
from patchline_schemas.updates import AssessmentInput, Held, Report, WaveProgress
from patchline_schemas.values import (
    TERMINAL_STATES,
    Criticality,
    Kind,
    TargetOutcome,
    UpdateState,
    Urgency,
    WaveState,
)

ALL_UPDATES = "all"


def of_update(update_id: str) -> str:
    """The tag of whatever belongs to an update."""
    return f"update:{update_id}"


def of_group(name: str) -> str:
    """Tag of everything that concerns one group."""
    return f"group:{name}"


def of_state(state: str) -> str:
    """The tag of whatever is in ``state``."""
    return f"state:{state}"


class Reached(BaseModel):
    """A state the update was in during its present round."""

    state: UpdateState
    sequence: int
    """Of the progress that reported it last."""


class AssessmentSummary(BaseModel):
    """Why an update has its urgency and due date, from its newest assessment."""

    revision: int
    due_rule: str
    inputs: tuple[AssessmentInput, ...] = ()
    affected_total: int = 0
    not_affected_total: int = 0
    unknown_total: int = 0
    unknown: tuple[str, ...] = ()
    """Sentences about unknown targets, the first few."""


class PlanSummary(BaseModel):
    """What a person decides about, from the newest plan."""

    revision: int
    approval: str
    rollback: tuple[str, ...] = ()


class Stopped(BaseModel):
    """That a round was rejected or cancelled."""

    round: int
    sentence: str
    """By whom, and why."""


class Withdrawn(BaseModel):
    """That the vendor withdrew the version."""

    revision: int
    reason: str
    installed_on: tuple[str, ...] = ()
    """The first of the targets that have it."""
    installed_total: int = 0
    last_seen_on: tuple[str, ...] = ()
    """The first of those that had it when they last answered, and cannot be asked now."""
    unknown_total: int = 0
    """How many cannot be asked."""


class UpdateView(Document, collection="updates", id_of="update"):
    """One update as planning sees it, with when its round was documented and reviewed.

    ``sequence`` guards what planning says, the revisions of ``assessment``, ``plan`` and ``withdrawn`` guard
    theirs, and a report counts only for the newest round.
    """

    component: str = ""
    to_version: str = ""
    sequence: int = 0
    """Of the newest ``updates.progressed`` seen; 0 while planning has not spoken."""
    round: int = 0
    revision: int = 0
    kind: Kind = "other"
    state: UpdateState = "assessed"
    urgency: Urgency | None = None
    due_at: datetime | None = None
    held: Held | None = None
    error: str | None = None
    superseded_by: str | None = None
    waves: tuple[WaveProgress, ...] = ()
    reached: tuple[Reached, ...] = ()
    assessment: AssessmentSummary | None = None
    plan: PlanSummary | None = None
    stopped: Stopped | None = None
    """Of the newest round that was."""
    withdrawn: Withdrawn | None = None
    documented_round: int = 0
    reports: tuple[Report, ...] = ()
    reviewed_round: int = 0
    reviewed_at: datetime | None = None
    findings: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether planning has spoken of the update; before that it is not shown."""
        return self.sequence > 0

    @property
    def closed(self) -> datetime | None:
        """When the round's ending was also documented and reviewed; null until both are."""
        if self.state not in TERMINAL_STATES or self.documented_round < self.round:
            return None
        return self.reviewed_at if self.reviewed_round >= self.round else None

    def tags(self) -> frozenset[str]:
        """Found by state, once planning has spoken."""
        return frozenset({ALL_UPDATES, of_state(self.state)}) if self.known else frozenset()


class TargetLine(BaseModel):
    """One target of a wave."""

    outcome: TargetOutcome = "pending"
    from_version: str | None = None
    """Before the update: as planned at first, then as the deployment found it."""
    from_step: int = -1
    from_at: datetime | None = None
    """Guard ``from_version``, as ``step`` and ``at`` guard ``outcome``."""
    error: str | None = None
    """The newest there is: a target that was rolled back keeps saying why."""
    step: int = -1
    """How far in the wave's life the news was that set ``outcome`` (see :mod:`.outcomes`)."""
    none_passed: tuple[str, ...] = ()
    """Its checks, where none passed and that is not held against the update."""
    unchecked: bool = False
    """Whether no check is declared for it, so that nothing says that it works."""
    failing_since: datetime | None = None
    """When the deployment, before it touched the target, found a check that failed."""
    at: datetime | None = None
    """When that was; between two news of the same step the later one wins."""


class WaveView(Document, collection="waves", id_of="wave"):
    """A wave with its targets. A step later in the wave's life wins over an earlier one."""

    update_id: str = ""
    round: int = 0
    number: int = 0
    group: str = ""
    to_version: str = ""
    """What the wave brings, whether or not it is in effect."""
    state: WaveState = "planned"
    step: int = -1
    at: datetime | None = None
    planned_at: datetime | None = None
    """When the newest plan of the wave was made; guards ``starts_at``."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    targets: dict[str, TargetLine] = Field(default_factory=dict)

    def tags(self) -> frozenset[str]:
        """Found by update."""
        return frozenset({of_update(self.update_id)})


class HistoryEntry(Document, collection="history"):
    """An event in one line; the id is the event's."""

    update_id: str | None = None
    type: str = ""
    topic: str = ""
    time: datetime
    source: str = ""
    cause_id: str | None = None
    trace_id: str = ""
    trace_kept: bool = True
    """Whether the sampler let the trace go to the tracing UI."""
    summary: str = ""

    def tags(self) -> frozenset[str]:
        """Found by update."""
        return frozenset({of_update(self.update_id)} if self.update_id else ())


class TargetView(Document, collection="targets", id_of="target"):
    """A target as the fleet file and its inventory show it.

    ``revision`` guards what the fleet file says, ``asked_at`` what the inventory says.
    """

    revision: int = -1
    group: str = ""
    driver: str = ""
    path: str | None = None
    definition: str = ""
    """Digest of the whole definition, to tell whether a change of the fleet file has arrived."""
    removed: bool = False
    asked_at: datetime | None = None
    """Of the newest inventory, or attempt at one."""
    collected_at: datetime | None = None
    runtime: str | None = None
    packages_total: int | None = None
    """Null while nobody knows."""
    inventory_error: str | None = None
    """Why the newest attempt failed; null when it did not."""

    def tags(self) -> frozenset[str]:
        """Found while registered, also by group."""
        if self.revision < 0 or self.removed:
            return frozenset()
        words = {"registered", f"group:{self.group}"}
        return frozenset(words | ({"unknown"} if self.inventory_error else set()))


class PackageLine(BaseModel):
    """An installed package."""

    component: str
    version: str


class InventoryView(Document, collection="inventories", id_of="target"):
    """Everything a target has; apart from the target, because it is long."""

    group: str = ""
    collected_at: datetime | None = None
    runtime: str | None = None
    environment: str = ""
    packages: tuple[PackageLine, ...] = ()


class GroupView(Document, collection="groups"):
    """A group of the fleet file; ``revision`` guards it."""

    revision: int = -1
    criticality: Criticality = "low"
    exposure: str = ""
    window: str = ""
    approval: str = ""
    contacts: tuple[str, ...] = ()
    """Without their secrets."""
    definition: str = ""
    removed: bool = False

    def tags(self) -> frozenset[str]:
        """Found while registered."""
        return frozenset() if self.removed else frozenset({"registered"})


class FleetFileView(Document, collection="fleet-file"):
    """The fleet file as assessment read it last; there is one, with the id :data:`FLEET_FILE`."""

    revision: int = -1
    told_at: datetime | None = None
    """Guards all of it: a refused file leaves the revision as it was."""
    path: str = ""
    digest: str = ""
    error: str | None = None
    """Why the newest version of the file is not used; null when it is."""


FLEET_FILE = "fleet"


NoticeState = Literal["sent", "retrying", "dropped", "failed"]
"""*dropped*: it failed, and before it was tried again its contact had left the fleet file."""


class NoticeView(Document, collection="notices"):
    """What one contact was told, or could not be; *sent* wins over *failed*, *failed* over the rest."""

    update_id: str = ""
    wave_id: str | None = None
    group: str = ""
    contact: str = ""
    occasion: str = ""
    state: NoticeState = "retrying"
    subject: str | None = None
    error: str | None = None
    attempts: int = 0
    """Failed ones, as far as known; guards what is said while it is still tried."""
    next_attempt_at: datetime | None = None
    time: datetime

    def tags(self) -> frozenset[str]:
        """Found by update and by state."""
        return frozenset({"all", of_update(self.update_id), of_state(self.state)})


class ProposalView(Document, collection="proposals"):
    """A change to the fleet file that a review proposes; the id is the event's."""

    time: datetime
    update_id: str
    group: str
    reason: str
    evidence: tuple[str, ...] = ()
    patch: str = ""

    def tags(self) -> frozenset[str]:
        """Found by the group that it concerns and by the update that led to it."""
        return frozenset({"all", of_group(self.group), of_update(self.update_id)})


LetterState = Literal["open", "replaying", "replayed", "discarded"]


class DeadLetterView(Document, collection="dead-letters"):
    """A record that a service gave up, and what a person did about it."""

    service: str = ""
    reason: str = ""
    error: str = ""
    attempts: int = 0
    event_id: str | None = None
    topic: str = ""
    partition: int = 0
    offset: int = 0
    key: str | None = None
    """Base64."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names, and values in base64."""
    value: str = ""
    """Base64; empty when the record was too large to keep."""
    first_failed_at: datetime | None = None
    letter_event_id: str = ""
    """The newest dead letter of this record; another one after a replay opens it again."""
    state: LetterState = "open"
    decided_by: str | None = None
    decided_at: datetime | None = None
    decided_on: str | None = None
    """``letter_event_id`` at the time of the decision."""

    def tags(self) -> frozenset[str]:
        """Found by state and by service, once the letter itself is here."""
        if not self.letter_event_id:
            return frozenset()
        return frozenset({"all", of_state(self.state), f"service:{self.service}"})


class RequestView(Document, collection="requests"):
    """The answer to a request; the id is the request's. There is one answer, the first."""

    accepted: bool
    action: str
    update_id: str | None
    effect: str | None = None
    """What was done, when accepted."""
    rule: str | None = None
    """Why not, when refused: ``state``, ``input`` or the policy."""
    explanation: str | None = None
    event_id: str | None = None
    """Of the published update, for ``publish``."""
    result: Literal["accepted", "duplicate", "amended"] | None = None


class Submission(Document, collection="submissions"):
    """Requests that came in with one HTTP call, so that all or none of them are on their topic."""

    request_ids: tuple[str, ...]
