"""What the fleet file says and what is really installed: groups, targets, inventories."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from patchline_schemas.envelope import Event
from patchline_schemas.values import Criticality, Exposure, UtcTime, Value


class RecurringWindow(Value):
    """A maintenance window that recurs (RFC 5545 RRULE) in a time zone."""

    rrule: str
    """Missing BYHOUR, BYMINUTE and BYSECOND are 0."""
    duration: timedelta
    """Elapsed time, not wall-clock time, so a daylight-saving change does not stretch it."""
    timezone: str = "UTC"
    """IANA name, such as ``Europe/Berlin``."""
    start: date = date(1970, 1, 5)
    """From where INTERVAL counts."""


Window = Literal["always"] | RecurringWindow


class Approval(Value):
    """Who must say yes before a rollout."""

    minimum_approvers: int = Field(default=1, ge=1)
    """How many different people must approve."""
    not_the_requester: bool = False
    """Whether the person who published the update may not approve it."""


class Policies(Value):
    """How a group wants its updates done."""

    approval: Literal["automatic"] | Approval = "automatic"
    """``automatic``, or who must approve."""
    soak: timedelta = timedelta(seconds=10)
    """How long a wave is watched after its checks passed."""
    on_failure: Literal["roll-back-wave", "roll-back-all"] = "roll-back-wave"
    """What is rolled back when a wave fails: that wave, or the verified ones before it too."""
    max_failures: int = Field(default=0, ge=0)
    """How many targets of a wave may fail before no further one is started."""
    concurrency: int = Field(default=10, ge=1)
    """How many targets of a wave are worked on at once."""
    wave_size: int = Field(default=500, ge=1, le=500)
    """How many targets a wave holds at most."""
    target_timeout: timedelta = timedelta(minutes=10)
    """The time limit of one step on one target."""
    required_notice: bool = False
    """Whether a notice that could not be delivered holds up the rollout."""


class Group(Value):
    """Targets that are patched alike."""

    name: str
    """Unique in the fleet file."""
    criticality: Criticality
    """How much depends on it; low goes first."""
    exposure: Exposure = "controlled"
    """How reachable it is from outside."""
    window: Window = "always"
    """When work may start."""
    notice: timedelta = timedelta(0)
    """A window must be at least this long after its notice; urgency *immediate* overrides it."""
    contacts: tuple[str, ...] = ()
    """Apprise URLs, or ``file:PATH``."""
    policies: Policies = Policies()
    """How its updates are done."""


class Freeze(Value):
    """A time in which nothing starts."""

    starts_at: UtcTime
    """From when on nothing starts."""
    ends_at: UtcTime
    """From when on things start again."""
    reason: str
    """A sentence for a person."""
    groups: tuple[str, ...] = ()
    """Empty means every group."""


class CommandCheck(Value):
    """A check that passes if the command exits with 0."""

    command: tuple[str, ...] = Field(min_length=1)
    """Run in the target's folder, without a shell."""
    timeout: timedelta = timedelta(seconds=30)
    """After it the check has failed."""


class HttpCheck(Value):
    """A check that passes if the URL answers with a 2xx status."""

    http: str
    """The URL to get."""
    timeout: timedelta = timedelta(seconds=10)
    """After it the check has failed."""


Check = CommandCheck | HttpCheck


class Restart(Value):
    """How the target's program is restarted after an update that needs it."""

    command: tuple[str, ...] = Field(min_length=1)
    """Run in the target's folder, without a shell."""
    timeout: timedelta = timedelta(seconds=60)
    """After it the restart has failed."""


class BackupRules(Value):
    """What is kept besides the exact package set, and what a rollback puts back."""

    paths: tuple[str, ...] = ()
    """Relative to the target's folder."""
    restore: tuple[str, ...] = ("config",)
    """Those of ``paths`` that a rollback replaces."""


class Target(Value):
    """One machine or application to keep patched."""

    id: str
    """Unique in the fleet file."""
    group: str
    """Name of the group in the fleet file."""
    driver: str
    """How the target is reached, such as ``venv`` or ``ssh``."""
    path: str | None = None
    """Absolute path of the application's folder (drivers ``venv`` and ``local``)."""
    venv: str | None = None
    """Absolute path of its virtual environment."""
    checks: tuple[Check, ...] = ()
    """Whether it works."""
    restart: Restart | None = None
    """Null when nothing has to be restarted."""
    backup: BackupRules = BackupRules()
    """What a backup holds."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Further settings of the driver."""


class FleetEvent(Event):
    """Base of what the fleet file says; ``revision`` counts its changes."""

    revision: int
    """Of the fleet file: rises by one with each change of it."""


class GroupRegistered(FleetEvent, topic="fleet.group-registered"):
    """A group is in the fleet file, with the freezes that hold for it."""

    group: Group
    """The group, whole."""
    freezes: tuple[Freeze, ...] = ()
    """Those that hold for the group."""

    def key(self) -> str:
        return self.group.name


class GroupRemoved(FleetEvent, topic="fleet.group-removed"):
    """A group is no longer in the fleet file."""

    group: str
    """Its name in the fleet file."""

    def key(self) -> str:
        return self.group


class TargetRegistered(FleetEvent, topic="fleet.target-registered"):
    """A target is in the fleet file."""

    target: Target
    """The target, whole."""

    def key(self) -> str:
        return self.target.id


class TargetRemoved(FleetEvent, topic="fleet.target-removed"):
    """A target is no longer in the fleet file."""

    target_id: str
    """Id of the target in the fleet file."""
    group: str
    """Name of the group in the fleet file."""

    def key(self) -> str:
        return self.target_id


class FleetFileEvent(FleetEvent):
    """Base of what became of a version of the fleet file as a whole."""

    path: str
    """Where the file lies."""
    digest: str
    """SHA-256 of the file's bytes; empty if it could not be read."""

    def key(self) -> str:
        return "fleet"


class FleetFileRead(FleetFileEvent, topic="fleet.file-read"):
    """The fleet file is valid and holds from now on."""

    groups_total: int
    """How many groups it has."""
    targets_total: int
    """How many targets it has."""


class FleetFileRefused(FleetFileEvent, topic="fleet.file-refused"):
    """The fleet file cannot be used; what ``revision`` said still holds."""

    error: str
    """Every problem with its line, one to a line of text."""


class InstalledPackage(Value):
    """A package in a target's environment."""

    component: str
    """Package URL without version, in normal form."""
    version: str
    """As the environment itself says."""


class InventoryReported(Event, topic="fleet.inventory-reported"):
    """Every package a target has, asked from the target itself."""

    target_id: str
    """Id of the target in the fleet file."""
    group: str
    """Name of the group in the fleet file."""
    collected_at: UtcTime
    """When the target was asked."""
    runtime: str | None = None
    """For example ``cpython 3.11.7``."""
    packages: tuple[InstalledPackage, ...]
    """Every one that is installed."""
    environment: str
    """Digest over packages, runtime and configuration: targets with the same one behave alike in a test."""

    def key(self) -> str:
        return self.target_id


class InventoryFailed(Event, topic="fleet.inventory-failed"):
    """A target could not be asked; what is installed there is unknown."""

    target_id: str
    """Id of the target in the fleet file."""
    group: str
    """Name of the group in the fleet file."""
    attempted_at: UtcTime
    """When the target was asked."""
    reason: str
    """A sentence, with the tool's own words."""

    def key(self) -> str:
        return self.target_id
