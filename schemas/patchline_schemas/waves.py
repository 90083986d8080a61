"""Waves: the targets that are worked on together, from planned to verified or rolled back."""

from __future__ import annotations

from datetime import timedelta

from patchline_schemas.envelope import Event
from patchline_schemas.values import TargetOutcome, UtcTime, Value


class WaveOrder(Value):
    """What every step of a wave needs to know, unchanged through the wave's life."""

    wave_id: str
    """Names the wave: the update's id, round and number."""
    update_id: str
    """Names the update: it follows from component and version."""
    revision: int
    """Revision of the plan."""
    round: int
    """From 1; the next each time that the update is taken up again."""
    number: int
    """From 1, within the round."""
    group: str
    """Name of the group in the fleet file."""
    component: str
    """Package URL without version, in normal form: ``pkg:pypi/jinja2``."""
    version: str
    """The version to bring into effect."""
    restart_required: bool
    """Whether a target must be restarted for the version to be in effect."""
    window_ends_at: UtcTime | None = None
    """After it nothing is started; null for ``always``."""
    concurrency: int
    """How many targets are worked on at once."""
    max_failures: int
    """How many targets may fail before no further one is started."""
    target_timeout: timedelta
    """The time limit of one step on one target."""
    soak: timedelta
    """How long the wave is watched after its checks passed."""


class WaveTarget(Value):
    """A target of a wave."""

    target_id: str
    """Id of the target in the fleet file."""
    from_version: str
    """As assessed; a deployment that finds another version does not touch the target."""
    environment: str | None = None
    """Digest of what is installed, as ``fleet.inventory-reported`` says; alike targets have the same."""


class WaveEvent(Event):
    """Base of all events of a wave; the key is the update's id."""

    order: WaveOrder
    """The wave, and how it is to be done."""

    def key(self) -> str:
        return self.order.update_id

    def subject(self) -> str:
        return self.order.wave_id


class PackageChange(Value):
    """A package that differs after a step; null where it is absent."""

    component: str
    """Package URL without version, in normal form: ``pkg:pypi/jinja2``."""
    before: str | None = None
    """The version before; null when it was absent."""
    after: str | None = None
    """The version after; null when it is absent."""


class Backup(Value):
    """A restored-once backup of a target, by address and digest."""

    target_id: str
    """Id of the target in the fleet file."""
    address: str
    """Where the archive is, such as ``file:archives/…``."""
    sha256: str
    """SHA-256 of its bytes, in hex."""
    size: int
    """Bytes."""
    packages_total: int
    """How many packages it records."""
    files_total: int
    """How many files it holds."""


class CheckResult(Value):
    """What one check said."""

    name: str
    """The check's command or URL."""
    passed: bool
    """Whether the target works, as far as this check sees."""
    output: str
    """What it printed or answered, its end if that is long."""
    duration: timedelta
    """How long it took."""


class TargetResult(Value):
    """How one step ended on one target."""

    target_id: str
    """Id of the target in the fleet file."""
    outcome: TargetOutcome
    """How the step ended on it."""
    from_version: str | None = None
    """The version before the step; null when unknown."""
    to_version: str | None = None
    """The version in effect after the step, asked from the target; null when unknown."""
    changes: tuple[PackageChange, ...] = ()
    """Every package that differs now."""
    restarted: bool = False
    """Whether its program was restarted."""
    checks: tuple[CheckResult, ...] = ()
    """In their order."""
    notes: tuple[str, ...] = ()
    """What a reader of the report should know, as sentences (for example what was kept aside)."""
    error: str | None = None
    """The tool's own words, their end if they are long."""
    started_at: UtcTime | None = None
    """When the step began there; null when it did not."""
    ended_at: UtcTime | None = None
    """When the step ended there; null when it did not."""


class WavePlanned(WaveEvent, topic="waves.planned"):
    """A wave and its targets are planned; sent again when its time changes."""

    starts_at: UtcTime | None = None
    """Null when no window is in sight."""
    ends_at: UtcTime | None = None
    """End of the window; null for ``always``."""
    targets: tuple[WaveTarget, ...]
    """The wave's targets; at most 500."""
    expected_downtime: timedelta | None = None
    """For the notice; null when no restart is needed."""


class WaveCancelled(WaveEvent, topic="waves.cancelled"):
    """A wave will not happen, or has ended without touching a target."""

    reason: str
    """A sentence for a person."""


class WaveDue(WaveEvent, topic="waves.due"):
    """The wave may start: window open, test passed, approved, targets owned."""

    targets: tuple[WaveTarget, ...]
    """The wave's targets; at most 500."""


class WaveBackedUp(WaveEvent, topic="waves.backed-up"):
    """Every target of the wave has a backup that was restored once."""

    targets: tuple[WaveTarget, ...]
    """The wave's targets; at most 500."""
    backups: tuple[Backup, ...]
    """One per target; none of one that has left the fleet file, which is then not deployed."""


class WaveFailed(WaveEvent):
    """Base of the events that say that a step failed."""

    results: tuple[TargetResult, ...]
    """One per target that the step touched."""
    error: str
    """A sentence that says what failed."""


class WaveBackupFailed(WaveFailed, topic="waves.backup-failed"):
    """A target could not be backed up; nothing was deployed."""


class WaveDeployed(WaveEvent, topic="waves.deployed"):
    """The version is installed on every target that was started."""

    results: tuple[TargetResult, ...]
    """One per target whose turn came; ``not-started``, with an error that says why, for one that is not as
    planned any more: it was not touched, and the next assessment decides."""
    not_started: tuple[WaveTarget, ...] = ()
    """Targets that the window's end left unstarted; they get a follow-up wave."""

    def left_out(self) -> tuple[TargetResult, ...]:
        """The results of targets that were not as planned any more, and so were left as they were."""
        return tuple(result for result in self.results if result.outcome == "not-started")


class WaveDeployFailed(WaveFailed, topic="waves.deploy-failed"):
    """A target failed, and the wave was not carried on."""


class WaveChecksPassed(WaveEvent, topic="waves.checks-passed"):
    """The version is in effect and the checks pass; the soak time begins. Targets are free again."""

    results: tuple[TargetResult, ...]
    """One per target that the step touched."""
    soak_until: UtcTime
    """When the soak time is over."""


class WaveVerified(WaveEvent, topic="waves.verified"):
    """The checks passed through the whole soak time."""

    results: tuple[TargetResult, ...]
    """One per target that the step touched."""


class WaveVerificationFailed(WaveFailed, topic="waves.verification-failed"):
    """The version is not in effect or a check fails."""

    during_soak: bool
    """Whether it had worked at first."""


class WaveRollbackRequested(WaveEvent, topic="waves.rollback-requested"):
    """Planning wants the wave's targets as their backups have them."""

    targets: tuple[WaveTarget, ...]
    """Those that were changed, or all where that is not known."""
    backups: tuple[Backup, ...]
    """What to put back: one per target; none where the wave is given up before its backups were known."""
    reason: str
    """A sentence for a person."""


class WaveRolledBack(WaveEvent, topic="waves.rolled-back"):
    """The targets have the exact packages and configuration of their backups again."""

    results: tuple[TargetResult, ...]
    """One per target; ``not-started`` for one that the deployment had not changed."""


class WaveRollbackVerified(WaveEvent, topic="waves.rollback-verified"):
    """The checks pass on the targets that were rolled back."""

    results: tuple[TargetResult, ...]
    """One per target that the step touched."""


class WaveRollbackFailed(WaveFailed, topic="waves.rollback-failed"):
    """A target could not be rolled back, or does not work after it: a person is needed."""
