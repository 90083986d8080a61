"""The documents that hold most stay far below what a MongoDB document may hold (16 MiB)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from patchline_fleet.runs.documents import Assignment, WaveRun
from patchline_gateway.views import TargetLine, WaveView
from patchline_kit.core import body_of
from patchline_kit.documents import Document
from patchline_planning.plan import Plan, PlannedWave
from patchline_planning.wave import Wave
from patchline_schemas.waves import Backup, WaveOrder, WaveTarget

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MOST = 1 << 20
ID = "a-target-with-a-rather-long-name-in-a-data-centre-{:06d}.example.org"
WORDS = "the check .venv/bin/python -m app.selfcheck ended with code 1: " + "what it said " * 20

ORDER = WaveOrder(
    wave_id="pkg:pypi/some-component@10.20.30/1/200",
    update_id="pkg:pypi/some-component@10.20.30",
    revision=3,
    round=1,
    number=200,
    group="a-group",
    component="pkg:pypi/some-component",
    version="10.20.30",
    restart_required=True,
    concurrency=10,
    max_failures=0,
    target_timeout=timedelta(minutes=10),
    soak=timedelta(hours=1),
)
TARGETS = tuple(
    WaveTarget(target_id=ID.format(number), from_version="10.20.29", environment="e" * 64)
    for number in range(500)
)
IDS = tuple(target.target_id for target in TARGETS)
BACKUPS = tuple(
    Backup(
        target_id=id,
        address=f"file:///var/lib/patchline/backups/{id}/pkg-pypi-some-component@10.20.30-1-200.tar.zst",
        sha256="d" * 64,
        size=1 << 40,
        packages_total=500,
        files_total=100_000,
    )
    for id in IDS
)


def kib(document: Document) -> int:
    """The size, which must be far below the limit."""
    assert len(body_of(document)) < MOST
    return len(body_of(document)) >> 10


def test_the_plan_of_an_update_of_100_000_targets():
    waves = [
        PlannedWave(
            id=ORDER.wave_id,
            round=1,
            number=number,
            group="a-group",
            first=IDS[0],
            last=IDS[-1],
            targets_total=500,
            starts_at=NOW,
            ends_at=NOW,
            notice_given_at=NOW,
            soak_until=NOW,
            waits_for=WORDS,
            error=WORDS,
        )
        for number in range(200)
    ]
    assert kib(Plan(id=ORDER.update_id, waves=waves)) > 100


def test_a_wave_of_500_targets_as_planning_sees_it():
    wave = Wave(
        id=ORDER.wave_id,
        order=ORDER,
        targets=TARGETS,
        asked_for=IDS,
        backups=BACKUPS,
        changed=IDS,
        not_started=TARGETS,
        failed=IDS,
    )
    assert kib(wave) > 100


def test_a_run_over_500_targets():
    waiting = tuple(
        Assignment(target=target, backup=backup, expected_version="10.20.30", failed_before=(WORDS,))
        for target, backup in zip(TARGETS, BACKUPS, strict=True)
    )
    run = WaveRun(id="run", step="deploy", order=ORDER, waiting=waiting, started=IDS, ended=IDS, failed=IDS)
    assert kib(run) > 100


def test_a_wave_of_500_failed_targets_as_the_gateway_shows_it():
    lines = {id: TargetLine(outcome="failed", from_version="10.20.29", error=WORDS, at=NOW) for id in IDS}
    assert kib(WaveView(id=ORDER.wave_id, targets=lines)) > 100
