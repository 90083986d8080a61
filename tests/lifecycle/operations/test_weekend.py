"""All of Patchline is down from Friday evening to Monday morning, with an update in the middle of a step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from patchline_gateway.api.app import build_app
from patchline_kit.clock import ManualClock
from patchline_kit.host import discover_services, settings_of
from patchline_kit.settings import ServiceSettings
from patchline_kit.testing import SystemHarness
from patchline_schemas import Event, updates, waves

FRIDAY_EVENING = datetime(2026, 1, 9, 18, 0, tzinfo=UTC)
WEEKEND = timedelta(hours=62)
FLEET = """\
groups:
  - {name: web, criticality: low, window: always, policies: {soak: PT10M}}
targets:
  - {id: web-1, group: web, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
  - {id: web-2, group: web, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
"""
ITEM = {
    "vendor": "somebody",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "feature",
    "released_at": "2026-01-09T17:00:00Z",
}
STEPS = (
    updates.UpdateAssessed,
    updates.UpdatePlanned,
    updates.UpdateTested,
    waves.WaveDue,
    waves.WaveBackedUp,
    waves.WaveDeployed,
    waves.WaveChecksPassed,
    waves.WaveVerified,
    updates.UpdateCompleted,
)
SHORT = (updates.UpdatePlanned, waves.WaveBackedUp)
FAILURES = (
    updates.UpdateTestFailed,
    updates.UpdateFailed,
    waves.WaveBackupFailed,
    waves.WaveDeployFailed,
    waves.WaveVerificationFailed,
    waves.WaveRollbackRequested,
)


async def publish(harness: SystemHarness) -> None:
    app: Starlette = build_app(harness.handle("gateway"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        answer = await http.post("/v1/feeds/updates", json=[ITEM], params={"who": "dana"})
        assert answer.status_code == httpx.codes.OK, answer.text


@pytest.mark.parametrize(
    "step",
    [step if step in SHORT else pytest.param(step, marks=pytest.mark.long) for step in STEPS],
    ids=lambda step: step.TOPIC,
)
async def test_nothing_times_out_that_only_waited_for_patchline(tmp_path: Path, step: type[Event]) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET)
    common = ServiceSettings(dir=tmp_path, fleet=fleet, port=0)
    services = discover_services()
    settings = {service.name: settings_of(service, common) for service in services}
    clock = ManualClock(FRIDAY_EVENING)
    harness = SystemHarness(services, tmp_path=tmp_path, settings=settings, clock=clock)
    await harness.start()
    try:
        await harness.settle(60)
        await publish(harness)
        if step in (waves.WaveVerified, updates.UpdateCompleted):
            await harness.settle(60)
            clock.advance(timedelta(minutes=11))
        await harness.until(lambda: bool(harness.published(step)), timeout=60)

        await harness.kill()
        clock.advance(WEEKEND)
        await harness.start()

        await harness.settle(60)
        await harness.advance(timedelta(minutes=30))
        assert [event for kind in FAILURES for event in harness.published(kind)] == []
        assert len(harness.published(updates.UpdateCompleted)) == 1
        assert len(harness.published(updates.UpdateReviewed)) == 1
        (deployed,) = harness.published(waves.WaveDeployed)
        assert [result.outcome for result in deployed.results] == ["succeeded", "succeeded"]
        assert harness.dead_letters() == []
        assert await harness.parked() == []
    finally:
        await harness.stop()
