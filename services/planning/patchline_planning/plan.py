"""An update's plan: the document that everything about its schedule is decided on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from patchline_kit.contacts import without_secrets
from patchline_kit.documents import Document
from patchline_planning.approvals import Given, Rule
from patchline_planning.machine import ENDED, PAUSABLE, UPDATE, WAVE_STARTED
from patchline_planning.windows import Cause
from patchline_schemas.fleet import Group
from patchline_schemas.updates import Held, UpdateAssessed, WaveProgress
from patchline_schemas.values import UpdateState, Urgency, WaveState

MOST_WAVES_KEPT = 500
"""Waves of earlier rounds are forgotten, oldest first, beyond so many."""


class Incoming(BaseModel):
    """An assessment that is still coming in."""

    head: UpdateAssessed
    arrived: list[int]


class PlannedWave(BaseModel):
    """A wave as its plan sees it. Its targets are the group's, from ``first`` to ``last`` by id."""

    id: str
    round: int
    number: int
    group: str
    first: str
    last: str
    targets_total: int
    state: WaveState = "planned"
    opened: bool = False
    """Whether the wave's own document exists."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cause: Cause = "window"
    """What it waits for until ``starts_at``."""
    notice_given_at: datetime | None = None
    soak: timedelta = timedelta(0)
    soak_until: datetime | None = None
    roll_back_all: bool = False
    replans: int = 0
    """How many changes of its plan it was sent."""
    contacts: list[str] = Field(default_factory=list)
    """Who must have been told before it starts, without secrets; nobody unless a policy requires it."""
    told: list[str] = Field(default_factory=list)
    notice_missed: str | None = None
    """The contact that could not be told."""
    waits_for: str | None = None
    """Who owns a target that it needs."""
    needs_person: bool = False
    confirmed: bool = False
    """None of its targets is shown as affected by an inventory from before its deployment any more."""
    failed: int = 0
    """How many of its targets failed, as its policy tolerates."""
    mending: bool = False
    """Whether it takes those back now."""
    followed_up: bool = False
    """Whether what the window's end left unstarted has a wave of its own."""
    in_vain: int = 0
    """How many windows in a row, just before it, ended before any of its targets was touched."""
    left_out: int = 0
    """How many of its targets were not as planned any more, and wait for an assessment."""
    error: str | None = None

    def follow(self, group: Group) -> None:
        """Take over what the group's policies say now; a notice they come to require is for later waves."""
        self.soak = group.policies.soak
        self.roll_back_all = group.policies.on_failure == "roll-back-all"
        to_tell = contacts_to_tell(group)
        self.contacts = [contact for contact in self.contacts if contact in to_tell]

    def untold(self) -> list[str]:
        """Contacts that must be told before it starts, and are not yet."""
        return [contact for contact in self.contacts if contact not in self.told]

    def waiting(self) -> bool:
        """Whether it has not started: its turn has not come, or it asks for its targets."""
        return self.state in ("planned", "due")

    def started(self) -> bool:
        """Whether something runs on its targets now."""
        return self.state in WAVE_STARTED

    def active(self) -> bool:
        """Whether it is its turn: it asks for its targets, or works on them, or on some of them still."""
        return self.state == "due" or self.started() or self.mending


class Pause(BaseModel):
    """A person stopped further starts."""

    who: str
    since: datetime
    reason: str


class Ending(BaseModel):
    """The round is to end like this as soon as nothing of it runs any more."""

    outcome: Literal["failed", "rejected", "cancelled"]
    by: str
    reason: str
    superseded_by: str | None = None


class Plan(Document, collection="plans", id_of="update"):
    """One per update; its id is the update's. It grows with its waves, never with their targets."""

    assessment: UpdateAssessed | None = None
    """Head of the newest assessment whose pages are all in; without targets and inputs."""
    urgency: Urgency | None = None
    """Of the round; see :func:`patchline_planning.urgency.weigh`."""
    due_at: datetime | None = None
    """Of the round."""
    incoming: Incoming | None = None
    state: UpdateState = "assessed"
    """Where the round is, beneath any pause."""
    revision: int = 0
    """Of the plan; 0 while there is none."""
    round: int = 0
    next_number: int = 1
    waves: list[PlannedWave] = Field(default_factory=list)
    """In the order in which they run, earlier rounds first."""
    approval: Rule = "automatic"
    approvals: list[Given] = Field(default_factory=list)
    environments: int = 0
    step_began_at: datetime | None = None
    """When the test was asked for."""
    longest_timeout: timedelta = timedelta(0)
    pause: Pause | None = None
    ending: Ending | None = None
    undoing: str | None = None
    """Why the round's verified waves are being rolled back too, where a policy wants that."""
    reopen: bool = False
    """A person asked for the next round."""
    look_again: bool = False
    """An assessment came in while waves were running."""
    called_back: bool = False
    """The first wave, which asks for its targets, was told to stand down for a newer assessment."""
    left_out_at: datetime | None = None
    """When the waves had ended, but some targets were not as planned any more and wait for an assessment."""
    left_out_revision: int | None = None
    """The newest assessment by then, if they were planned by it already."""
    retracted: str | None = None
    superseded_by: str | None = None
    error: str | None = None
    held: Held | None = None
    notice_waived: bool = False
    due_soon_said_for: datetime | None = None
    overdue_said_for: datetime | None = None
    sequence: int = 0
    progress: str = ""
    """Digest of the last ``updates.progressed``."""

    def tags(self) -> frozenset[str]:
        """A plan is found while it is live, by its component and by the groups it still waits for."""
        if self.state in ENDED or self.assessment is None:
            return frozenset()
        groups = {f"group:{wave.group}" for wave in self.of_round() if wave.waiting()}
        return frozenset({"live", f"component:{self.assessment.component}", *groups})

    @property
    def head(self) -> UpdateAssessed:
        """The assessment's head. Raises :class:`LookupError` before the first one is in."""
        if self.assessment is None:
            raise LookupError(f"{self.id} has not been assessed yet")
        return self.assessment

    def move(self, trigger: str) -> None:
        """Follow the state machine. Raises :class:`~patchline_planning.machine.ImpossibleMove`."""
        self.state = UPDATE.after(self.state, trigger)

    def visible_state(self) -> UpdateState:
        """The state that everybody sees: ``paused`` lies over those in which a pause has an effect."""
        return "paused" if self.pause and self.state in PAUSABLE else self.state

    def of_round(self) -> list[PlannedWave]:
        """The waves of the current round, in their order."""
        return [wave for wave in self.waves if wave.round == self.round]

    def wave(self, wave_id: str) -> PlannedWave | None:
        """A wave by its id."""
        return next((wave for wave in self.waves if wave.id == wave_id), None)

    def left_out(self) -> int:
        """How many targets of the round were not as planned any more, and are not planned anew yet."""
        return sum(wave.left_out for wave in self.of_round())

    def active_wave(self) -> PlannedWave | None:
        """The wave whose turn it is."""
        return next((wave for wave in self.of_round() if wave.active()), None)

    def next_wave(self) -> PlannedWave | None:
        """The next wave that has not started."""
        return next((wave for wave in self.of_round() if wave.state == "planned"), None)

    def first_start(self) -> datetime | None:
        """When the next wave would start."""
        upcoming = self.next_wave()
        return upcoming.starts_at if upcoming else None

    def unopened(self) -> list[PlannedWave]:
        """Waves whose documents do not exist yet."""
        return [wave for wave in self.of_round() if not wave.opened and wave.state == "planned"]

    def forget_old_waves(self) -> None:
        """Drop waves of the earliest rounds while there are more than :data:`MOST_WAVES_KEPT`."""
        while len(self.waves) > MOST_WAVES_KEPT and self.waves[0].round < self.round:
            oldest = self.waves[0].round
            self.waves = [wave for wave in self.waves if wave.round != oldest]


def contacts_to_tell(group: Group) -> list[str]:
    """Who must have been told before a wave of ``group`` starts, without secrets, as notices name them."""
    return sorted(set(map(without_secrets, group.contacts))) if group.policies.required_notice else []


def progress_of(waves: Iterable[PlannedWave]) -> tuple[WaveProgress, ...]:
    """Waves as ``updates.progressed`` shows them."""
    return tuple(
        WaveProgress(
            id=wave.id,
            round=wave.round,
            number=wave.number,
            group=wave.group,
            state=wave.state,
            starts_at=wave.starts_at,
            targets_total=wave.targets_total,
        )
        for wave in waves
    )
