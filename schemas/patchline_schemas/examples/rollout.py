"""The life of a wave."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from patchline_schemas import waves
from patchline_schemas.examples.shared import DIGEST, ENVIRONMENT, JINJA, UPDATE, WAVE, Examples, at

ORDER = waves.WaveOrder(
    wave_id=WAVE,
    update_id=UPDATE,
    revision=1,
    round=1,
    number=1,
    group="intranet",
    component=JINJA,
    version="3.1.6",
    restart_required=False,
    window_ends_at=at(150),
    concurrency=10,
    max_failures=0,
    target_timeout=timedelta(minutes=10),
    soak=timedelta(seconds=10),
)
ALWAYS = ORDER.model_copy(update={"window_ends_at": None, "restart_required": True})
TARGETS = (waves.WaveTarget(target_id="wiki", from_version="3.1.2", environment=ENVIRONMENT),)
BACKUPS = (
    waves.Backup(
        target_id="wiki",
        address="file:archives/wiki/20260303T093000Z.tar.zst",
        sha256=DIGEST,
        size=1_482_113,
        packages_total=2,
        files_total=41,
    ),
)
SUCCEEDED = waves.TargetResult(
    target_id="wiki",
    outcome="succeeded",
    from_version="3.1.2",
    to_version="3.1.6",
    changes=(waves.PackageChange(component=JINJA, before="3.1.2", after="3.1.6"),),
    started_at=at(31),
    ended_at=at(32),
)
FAILED = waves.TargetResult(
    target_id="wiki", outcome="failed", from_version="3.1.2", to_version="3.1.6", error="wiki answers 503"
)
RESTORED = waves.TargetResult(
    target_id="wiki",
    outcome="rolled-back",
    from_version="3.1.6",
    to_version="3.1.2",
    notes=("config was kept aside in .patchline/aside/20260303T094000Z.",),
)


def wave_steps() -> Iterable[Examples]:
    """Examples of wave steps."""
    yield Examples(
        waves.WavePlanned(order=ORDER, starts_at=at(30), ends_at=at(150), targets=TARGETS),
        waves.WavePlanned(
            order=ALWAYS,
            starts_at=None,
            ends_at=None,
            targets=TARGETS,
            expected_downtime=timedelta(seconds=60),
        ),
    )
    yield Examples(
        waves.WaveCancelled(order=ORDER, reason="The update was cancelled by bea."),
        waves.WaveCancelled(order=ALWAYS, reason="Its targets need the update no more."),
    )
    yield Examples(waves.WaveDue(order=ORDER, targets=TARGETS), waves.WaveDue(order=ALWAYS, targets=TARGETS))
    yield Examples(
        waves.WaveBackedUp(order=ORDER, targets=TARGETS, backups=BACKUPS),
        waves.WaveBackedUp(order=ALWAYS, targets=TARGETS, backups=BACKUPS),
    )
    yield Examples(
        waves.WaveDeployed(order=ORDER, results=(SUCCEEDED,)),
        waves.WaveDeployed(order=ALWAYS, results=(), not_started=TARGETS),
    )
    checked = SUCCEEDED.model_copy(
        update={
            "checks": (
                waves.CheckResult(
                    name="wiki.selfcheck", passed=True, output="ok", duration=timedelta(seconds=1)
                ),
            )
        }
    )
    yield Examples(
        waves.WaveChecksPassed(order=ORDER, results=(checked,), soak_until=at(33)),
        waves.WaveChecksPassed(order=ALWAYS, results=(SUCCEEDED,), soak_until=at(33)),
    )
    yield Examples(
        waves.WaveVerified(order=ORDER, results=(checked,)),
        waves.WaveVerified(order=ALWAYS, results=(SUCCEEDED,)),
    )
    yield Examples(
        waves.WaveRollbackRequested(order=ORDER, targets=TARGETS, backups=BACKUPS, reason="wiki answers 503"),
        waves.WaveRollbackRequested(
            order=ALWAYS, targets=TARGETS, backups=BACKUPS, reason="A later wave failed (roll-back-all)."
        ),
    )
    for kind in (waves.WaveRolledBack, waves.WaveRollbackVerified):
        yield Examples(
            kind(order=ORDER, results=(RESTORED,)),
            kind(order=ALWAYS, results=(RESTORED.model_copy(update={"notes": ()}),)),
        )


def wave_failures() -> Iterable[Examples]:
    """Examples of wave failures."""
    pairs = (
        (waves.WaveBackupFailed, "no space left on the archives' disk"),
        (waves.WaveDeployFailed, "wiki failed"),
    )
    for kind, error in pairs:
        yield Examples(
            kind(order=ORDER, results=(FAILED,), error=error),
            kind(order=ALWAYS, results=(FAILED.model_copy(update={"outcome": "timed-out"}),), error=error),
        )
    yield Examples(
        waves.WaveVerificationFailed(
            order=ORDER, results=(FAILED,), error="wiki answers 503", during_soak=False
        ),
        waves.WaveVerificationFailed(
            order=ALWAYS, results=(FAILED,), error="wiki answers 503", during_soak=True
        ),
    )
    yield Examples(
        waves.WaveRollbackFailed(order=ORDER, results=(FAILED,), error="the archive's checksum differs"),
        waves.WaveRollbackFailed(
            order=ALWAYS, results=(FAILED.model_copy(update={"outcome": "unreachable"}),), error="no answer"
        ),
    )
