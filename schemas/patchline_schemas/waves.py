"""Waves: the targets that are worked on together, from planned to verified or rolled back."""

from __future__ import annotations

from datetime import timedelta

from patchline_schemas.envelope import Event
from patchline_schemas.values import TargetOutcome, UtcTime, Value


class WaveOrder(Value):
    """What every step of a wave needs to know, unchanged through the wave's life."""

    wave_id: str
    update_id: str
    revision: int
    """Revision of the plan."""
    round: int
    number: int
    group: str
    component: str
    version: str
    """The version to bring into effect."""
    restart_required: bool
    window_ends_at: UtcTime | None = None
    """After it nothing is started; null for ``always``."""
    concurrency: int
    max_failures: int
    target_timeout: timedelta
    soak: timedelta


class WaveTarget(Value):
    """A target of a wave."""

    target_id: str
    from_version: str
    """As assessed; a deployment that finds another version does not touch the target."""
    environment: str | None = None


class WaveEvent(Event):
    """Base of all events of a wave; the key is the update's id."""

    order: WaveOrder

    def key(self) -> str:
        return self.order.update_id

    def subject(self) -> str:
        return self.order.wave_id


class PackageChange(Value):
    """A package that differs after a step; null where it is absent."""

    component: str
    before: str | None = None
    after: str | None = None


class Backup(Value):
    """A restored-once backup of a target, by address and digest."""

    target_id: str
    address: str
    sha256: str
    size: int
    """Bytes."""
    packages_total: int
    files_total: int


class CheckResult(Value):
    """What one check said."""

    name: str
    passed: bool
    output: str
    duration: timedelta


class TargetResult(Value):
    """How one step ended on one target."""

    target_id: str
    outcome: TargetOutcome
    from_version: str | None = None
    to_version: str | None = None
    """The version in effect after the step, asked from the target; null when unknown."""
    changes: tuple[PackageChange, ...] = ()
    restarted: bool = False
    checks: tuple[CheckResult, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of the report should know, as sentences (for example what was kept aside)."""
    error: str | None = None
    """The tool's own words, their end if they are long."""
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None


class WavePlanned(WaveEvent, topic="waves.planned"):
    """A wave and its targets are planned; sent again when its time changes."""

    starts_at: UtcTime | None = None
    ends_at: UtcTime | None = None
    targets: tuple[WaveTarget, ...]
    expected_downtime: timedelta | None = None
    """For the notice; null when no restart is needed."""


class WaveCancelled(WaveEvent, topic="waves.cancelled"):
    """A wave that has not started will not."""

    reason: str


class WaveDue(WaveEvent, topic="waves.due"):
    """The wave may start: window open, test passed, approved, targets owned."""

    targets: tuple[WaveTarget, ...]


class WaveBackedUp(WaveEvent, topic="waves.backed-up"):
    """Every target of the wave has a backup that was restored once."""

    targets: tuple[WaveTarget, ...]
    backups: tuple[Backup, ...]


class WaveFailed(WaveEvent):
    """Base of the events that say that a step failed."""

    results: tuple[TargetResult, ...]
    error: str


class WaveBackupFailed(WaveFailed, topic="waves.backup-failed"):
    """A target could not be backed up; nothing was deployed."""


class WaveDeployed(WaveEvent, topic="waves.deployed"):
    """The version is installed on every target that was started."""

    results: tuple[TargetResult, ...]
    not_started: tuple[WaveTarget, ...] = ()
    """Targets that the window's end left out; they get a follow-up wave."""


class WaveDeployFailed(WaveFailed, topic="waves.deploy-failed"):
    """A target failed, and the wave was not carried on."""


class WaveChecksPassed(WaveEvent, topic="waves.checks-passed"):
    """The version is in effect and the checks pass; the soak time begins. Targets are free again."""

    results: tuple[TargetResult, ...]
    soak_until: UtcTime


class WaveVerified(WaveEvent, topic="waves.verified"):
    """The checks passed through the whole soak time."""

    results: tuple[TargetResult, ...]


class WaveVerificationFailed(WaveFailed, topic="waves.verification-failed"):
    """The version is not in effect or a check fails."""

    during_soak: bool


class WaveRollbackRequested(WaveEvent, topic="waves.rollback-requested"):
    """Planning wants the wave's targets as their backups have them."""

    targets: tuple[WaveTarget, ...]
    """Those that were changed."""
    backups: tuple[Backup, ...]
    reason: str


class WaveRolledBack(WaveEvent, topic="waves.rolled-back"):
    """The targets have the exact packages and configuration of their backups again."""

    results: tuple[TargetResult, ...]


class WaveRollbackVerified(WaveEvent, topic="waves.rollback-verified"):
    """The checks pass on the targets that were rolled back."""

    results: tuple[TargetResult, ...]


class WaveRollbackFailed(WaveFailed, topic="waves.rollback-failed"):
    """A target could not be rolled back, or does not work after it: a person is needed."""
