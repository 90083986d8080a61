"""One update's life as its spans tell it, in all services, on a clock that is moved by hand."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
from span_tree import Spans, tree
from starlette.applications import Starlette

from patchline_gateway.api.app import build_app
from patchline_kit.host import discover_services, settings_of
from patchline_kit.settings import ServiceSettings
from patchline_kit.testing import SystemHarness
from patchline_schemas.ids import update_id

UPDATE = update_id("pkg:pypi/jinja2", "3.1.6")
SNAPSHOTS = Path(__file__).parent
FLEET = """\
groups:
  - {{name: intranet, criticality: low, window: {window}, contacts: ["file:it"], policies: {{soak: PT4S}}}}
targets:
  - id: wiki
    group: intranet
    driver: sim
    path: sim
    settings: {{packages: "pkg:pypi/jinja2@3.1.2"{fault}}}
"""
ITEM = {
    "vendor": "acme",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "bugfix",
    "released_at": "2026-01-05T10:00:00Z",
}


@asynccontextmanager
async def patchline(
    folder: Path, spans: Spans, *, window: str = "always", fault: str = ""
) -> AsyncIterator[SystemHarness]:
    """All services on a simulated fleet."""
    fleet = folder / "fleet.yaml"
    fleet.write_text(FLEET.format(window=window, fault=fault))
    common = ServiceSettings(dir=folder, fleet=fleet, port=0)
    services = discover_services()
    settings = {service.name: settings_of(service, common) for service in services}
    async with SystemHarness(
        services, tmp_path=folder, settings=settings, telemetry=spans.telemetry
    ) as harness:
        await harness.settle(60)
        yield harness


async def publish(harness: SystemHarness) -> None:
    app: Starlette = build_app(harness.handle("gateway"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        answer = await http.post("/v1/feeds/updates", json=[ITEM], params={"who": "dana"})
        assert answer.status_code == 200, answer.text


def same_as(name: str, text: str) -> None:
    """Compare with the snapshot; PATCHLINE_WRITE_SNAPSHOTS=1 writes it."""
    file = SNAPSHOTS / name
    if os.environ.get("PATCHLINE_WRITE_SNAPSHOTS"):
        file.write_text(f"{text}\n")
    assert text == file.read_text().rstrip()


async def test_an_update_is_one_trace_through_every_service(tmp_path: Path):
    spans = Spans()
    async with patchline(tmp_path, spans) as harness:
        await publish(harness)
        await harness.advance(timedelta(minutes=5))
    found = spans.of_update(UPDATE)
    same_as("one_update.txt", tree(found, UPDATE))


async def test_after_a_wait_of_over_an_hour_an_update_goes_on_in_a_trace_linked_to_the_first(tmp_path: Path):
    spans = Spans()
    window = '{rrule: "FREQ=DAILY;BYHOUR=14", duration: PT1H, timezone: UTC}'
    async with patchline(tmp_path, spans, window=window) as harness:
        await publish(harness)
        await harness.settle(60)
        before = {span.context.trace_id for span in spans.of_update(UPDATE)}
        harness.clock.advance(timedelta(hours=2))
        await harness.settle(60)
        await harness.advance(timedelta(minutes=1))
    found = spans.of_update(UPDATE)
    deployed = next(span for span in found if span.name == "deploy target")
    first = next(span for span in found if "trace.continues" in span.attributes)
    assert (first.name, first.parent) == ("look after plan", None)
    assert {int(first.attributes["trace.continues"], 16)} == before
    assert [link.context.trace_id for link in first.links] == list(before)
    assert first.context.trace_id == deployed.context.trace_id
    assert all(span.attributes["update.id"] == UPDATE for span in found if span.parent is None)


async def test_a_step_that_ends_in_failure_says_so_and_why(tmp_path: Path):
    spans = Spans()
    async with patchline(tmp_path, spans, fault=', missing: "pkg:pypi/jinja2@3.1.6"') as harness:
        await publish(harness)
        await harness.advance(timedelta(minutes=5))
    why = (
        "in a copy of wiki: the update cannot be applied: sim: there is no version of pkg:pypi/jinja2==3.1.6"
    )
    errors = {
        f"{span.resource.attributes['service.name']}: {span.name}": span.status.description
        for span in spans.of_update(UPDATE)
        if not span.status.is_ok
    }
    assert errors == dict.fromkeys(
        ("testing: rehearse trial", "testing: tried in", "planning: test failed updates.test-failed"), why
    )
