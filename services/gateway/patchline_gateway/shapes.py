"""The JSON that the API answers with. These shapes are a contract; see docs/http-api.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer

from patchline_gateway.views import NoticeState
from patchline_schemas.values import Kind, TargetOutcome, UpdateState, Urgency, UtcTime, WaveState


def _rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Time = Annotated[UtcTime, PlainSerializer(_rfc3339, return_type=str)]
"""RFC 3339, in UTC with ``Z``."""
T = TypeVar("T")


class Shape(BaseModel):
    """Base of all shapes; a field that is null is shown as null."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Page(Shape, Generic[T]):
    """A part of a listing."""

    items: list[T]
    next: str | None
    """Pass it as ``after`` for the next part; null at the end."""


class UpdateLine(Shape):
    """An update in a listing."""

    id: str
    component: str
    to_version: str
    kind: Kind
    state: UpdateState
    urgency: Urgency | None
    due: Time | None
    closed: Time | None
    """When the round had ended, was documented and reviewed, and its report could be read."""


class HeldLine(Shape):
    """Why an update does not move."""

    rule: str
    since: Time
    until: Time | None
    who: str | None


class WaveTargetLine(Shape):
    """A target of a wave."""

    target: str
    outcome: TargetOutcome
    from_version: str | None
    to_version: str
    """What the wave brings, whether or not it is in effect."""
    error: str | None


class WaveLine(Shape):
    """A wave with its targets."""

    id: str
    round: int
    group: str
    state: WaveState
    starts_at: Time | None
    targets_total: int
    targets: list[WaveTargetLine]


class HistoryLine(Shape):
    """An event of an update's life."""

    type: str
    time: Time
    source: str
    event_id: str
    cause_id: str | None
    trace_id: str
    summary: str


class UpdateDetail(UpdateLine):
    """An update, whole; its first 500 targets."""

    held: HeldLine | None
    error: str | None
    superseded_by: str | None
    waves: list[WaveLine]
    history: list[HistoryLine]
    """Cause before effect."""
    traces: list[str]
    trace_links: list[str]
    """Where the tracing UI shows those of ``traces`` that the sampler kept; empty where no UI is known."""


class WaveStanding(Shape):
    """Where a wave stands."""

    id: str
    number: int
    """From 1, within the round."""
    group: str
    state: WaveState


class WaitAnswer(Shape):
    """How a wait stands."""

    reached: bool
    ended: bool
    """Whether the round has ended without ``reached``, so that waiting on is pointless."""
    sequence: int
    """Pass it back as ``since`` when asking again."""
    update: UpdateLine
    held: HeldLine | None
    error: str | None
    waves: list[WaveStanding]
    """Those under way: neither ended nor only planned."""


class Explanation(Shape):
    """Why an update is where it is."""

    id: str
    state: UpdateState
    sentences: list[str]
    held: HeldLine | None
    next: list[str]
    """Commands that make sense now."""


class Published(Shape):
    """What became of an item."""

    event_id: str
    update_id: str
    result: Literal["accepted", "duplicate", "amended"]


class PublishAnswer(Shape):
    """What became of all items of a publication."""

    results: list[Published]
    pending: list[str]
    """Updates that were taken and do not show yet, and requests without an answer yet."""


class Decision(Shape):
    """A decision that was carried out."""

    request_id: str
    action: str
    update_id: str | None
    effect: str
    state: UpdateState | None
    """The update's state after it."""
    pending: Literal[False] = False


class PendingDecision(Shape):
    """A decision without an answer yet: it is durable and will be answered."""

    request_id: str
    action: str
    update_id: str | None
    pending: Literal[True] = True


class TargetItem(Shape):
    """A target."""

    id: str
    group: str
    driver: str
    path: str | None
    packages_total: int | None
    """Null while nobody knows."""
    runtime: str | None
    collected_at: Time | None
    inventory_error: str | None
    """Why what is installed is unknown; null when it is known."""


class PackageItem(Shape):
    """An installed package."""

    component: str
    version: str


class InventoryItem(Shape):
    """Everything a target has."""

    target: str
    group: str
    collected_at: Time
    runtime: str | None
    environment: str
    packages: list[PackageItem]


class GroupItem(Shape):
    """A group of the fleet file."""

    name: str
    criticality: str
    exposure: str
    window: str
    approval: str
    contacts: list[str]


class NoticeItem(Shape):
    """What a contact was told, or could not be."""

    id: str
    update_id: str
    wave_id: str | None
    group: str
    contact: str
    occasion: str
    state: NoticeState
    subject: str | None
    error: str | None
    next_attempt_at: Time | None
    """When it is tried again, while it is."""
    time: Time


class ProposalItem(Shape):
    """A change to the fleet file that a review proposes."""

    id: str
    time: Time
    update_id: str
    """The update whose review led to it."""
    group: str
    reason: str
    evidence: list[str]
    """Ids of the events that show why."""
    patch: str
    """Unified diff for `patch -p0`; empty where the review could not read the fleet file."""


class LetterItem(Shape):
    """A record that a service gave up."""

    id: str
    service: str
    topic: str
    event_id: str | None
    reason: str
    attempts: int
    first_failed_at: Time | None
    state: Literal["open", "replaying", "replayed", "discarded"]
    decided_by: str | None
    decided_at: Time | None


class LetterDetail(LetterItem):
    """A record that a service gave up, whole."""

    error: str
    partition: int
    offset: int
    key: str | None
    headers: dict[str, str]
    body: str | None
    """As text; null when the record was empty or too large to keep."""


class FleetChange(Shape):
    """What a new fleet file changes."""

    kind: Literal["group", "target", "freezes"]
    name: str
    change: Literal["added", "changed", "removed"]


class FleetState(Shape):
    """The fleet file that the running Patchline watches, and how much of it is registered."""

    file: str | None
    """Null when this Patchline was started without one."""
    digest: str | None
    """SHA-256 of the version that was read last."""
    error: str | None
    """Why that version is not used; null when it is."""
    groups_total: int
    targets_total: int


class FleetApplied(Shape):
    """What a new fleet file changed."""

    file: str
    digest: str
    groups_total: int
    targets_total: int
    changes: list[FleetChange]


class Problem(Shape):
    """What is wrong with an input, and where."""

    item: int | None = None
    """Position in the list, from 0; null when it is about the input as a whole, or no list was given."""
    field: str | None = None
    """Path within the item, for example ``advisories[0].severity``."""
    line: int | None = None
    """Of the file, from 1."""
    problem: str


class ErrorAnswer(Shape):
    """Every answer that is not good."""

    error: str
    """A word for programs."""
    explanation: str
    fix: str
    problems: list[Problem] = []


class Installation(Shape):
    """Which Patchline answers."""

    version: str
    state_folder: str
    """Absolute path on the gateway's machine."""
    documents: Literal["sqlite", "mongodb"]
    """Where the services keep their documents: in the state folder, or in a MongoDB."""
