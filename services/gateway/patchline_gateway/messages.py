"""The local messages by which one event reaches the views it matters to."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from patchline_gateway.outcomes import WaveNews
from patchline_gateway.views import AssessmentSummary, PackageLine, PlanSummary, Stopped, Withdrawn
from patchline_kit.documents import Message
from patchline_schemas.dead_letters import DeadLetterDecided, DeadLettered
from patchline_schemas.fleet import Group
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent
from patchline_schemas.policies import PolicyProposed
from patchline_schemas.requests import RequestAccepted, RequestRefused, RequestSubmitted
from patchline_schemas.updates import Report, UpdateProgressed


class TellUpdate(Message):
    """News of an update; of the optional parts usually one is there."""

    component: str
    to_version: str
    progress: UpdateProgressed | None = None
    assessment: AssessmentSummary | None = None
    plan: PlanSummary | None = None
    stopped: Stopped | None = None
    withdrawn: Withdrawn | None = None
    documented_round: int | None = None
    reports: tuple[Report, ...] = ()
    reviewed_round: int | None = None
    reviewed_at: datetime | None = None
    findings: tuple[str, ...] = ()


class TellWave(Message):
    """News of a wave and its targets."""

    update_id: str
    round: int
    number: int
    group: str
    to_version: str
    at: datetime
    news: WaveNews
    planned: bool = False
    """Whether ``starts_at`` and ``ends_at`` are news."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class TellTarget(Message):
    """What the fleet file says of a target (with ``revision``), or its inventory (with ``asked_at``)."""

    group: str
    revision: int | None = None
    removed: bool = False
    driver: str = ""
    path: str | None = None
    definition: str = ""
    asked_at: datetime | None = None
    runtime: str | None = None
    packages_total: int | None = None
    inventory_error: str | None = None


class TellInventory(Message):
    """Everything a target has."""

    group: str
    collected_at: datetime
    runtime: str | None
    environment: str
    packages: tuple[PackageLine, ...]


class TellGroup(Message):
    """A group as the fleet file has it; null where the file no longer does."""

    revision: int
    group: Group | None


class TellFleetFile(Message):
    """What became of a version of the fleet file."""

    at: datetime
    revision: int
    path: str
    digest: str
    error: str | None = None


class TellNotice(Message):
    """What a contact was told, or could not be."""

    time: datetime
    notice: NoticeSent | NoticeDelayed | NoticeFailed


class TellProposal(Message):
    """A review proposes a change."""

    time: datetime
    proposed: PolicyProposed


class TellLetter(Message):
    """A record was given up."""

    event_id: str
    """Of the dead letter itself."""
    letter: DeadLettered


class TellDecision(Message):
    """A person has decided about a dead letter."""

    decided: DeadLetterDecided


class TellRequest(Message):
    """The answer to a request."""

    answer: RequestAccepted | RequestRefused


class Submit(Message):
    """Put requests on their topic, all or none."""

    requests: tuple[RequestSubmitted, ...]


class Decide(Message):
    """A person's decision about a dead letter."""

    decision: Literal["replay", "discard"]
    who: str
