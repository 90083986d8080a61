"""An emergency behind a backlog: assessment and planning take it first, and what is older changes nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from kafka_world import kafka_world

import patchline_assessment.service
import patchline_assessment.settings
import patchline_planning.service
import patchline_planning.settings
from patchline_kit.clock import SystemClock
from patchline_kit.settings import load_settings
from patchline_kit.testing import SOURCE, SystemHarness
from patchline_kit.transport.port import Transport
from patchline_kit.transport.topics import declared_topics
from patchline_planning.plan import Plan
from patchline_schemas import Envelope, decode, encode
from patchline_schemas.feeds import Advisory, AffectedRange, UpdatePublished
from patchline_schemas.fleet import InventoryReported
from patchline_schemas.ids import update_id
from patchline_schemas.updates import UpdateAssessed, UpdatePlanned

TARGETS = 20
RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
EMERGENCY = "pkg:generic/emergency"
CHUNK = 5_000
SHARE = 0.05
NATIVE = pytest.param("kafka", marks=pytest.mark.native)


@dataclass
class Passage:
    """How the emergency went through."""

    seconds: float
    backlog_seconds: float
    """How long the backlog needed, or was seen to be at work yet."""
    planned_before: int
    """Routine updates planned between the emergency's publication and its plan."""
    routine_left: int
    """Updates of the backlog that were not planned yet at the end."""

    @property
    def share(self) -> float:
        """Of the time that the backlog needs; at most this, if some of it is left."""
        return self.seconds / self.backlog_seconds


async def test_an_emergency_is_planned_before_nearly_all_of_the_backlog(tmp_path, request):
    async with _system("embedded", tmp_path, request, routine=3_000) as system:
        passage = await _pass(system, 3_000)
    # a batch of 500 in hand at either service may be ahead of it
    assert passage.planned_before <= 1_200, passage


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("log", ["embedded", NATIVE])
async def test_an_emergency_behind_50_000_events_takes_less_than_a_twentieth_of_their_time(
    log, tmp_path, request
):
    async with _system(log, tmp_path, request, routine=50_000) as system:
        passage = await _pass(system, 50_000)
    print(f"\n{log}: the emergency took {passage.share:.2%} of the backlog's time: {passage}")
    assert passage.share < SHARE, passage


@pytest.mark.parametrize("log", ["embedded", NATIVE])
async def test_an_older_routine_event_of_the_same_update_that_comes_later_changes_nothing(
    log, tmp_path, request
):
    async with _system(log, tmp_path, request, routine=0) as system:
        await _publish(system, [_emergency()], urgent=True)
        await system.settle(60)
        id_ = update_id(EMERGENCY, "2")
        plan = await system.document(Plan, id_)
        assessed = [event for event in system.published(UpdateAssessed) if event.update_id == id_]
        before = len(system.transport.records)

        await _publish(system, [_emergency().model_copy(update={"emergency": False})], urgent=False)
        older = assessed[-1].model_copy(update={"revision": assessed[-1].revision - 1, "urgency": None})
        await system.publish(older)
        await system.settle(60)

        assert await system.document(Plan, id_) == plan
        assert len(system.transport.records) == before + 2  # those that the test has published itself


async def _pass(system: SystemHarness, routine: int) -> Passage:
    """Publish the backlog and the emergency behind it; see it through, the backlog as far as it matters."""
    for first in range(0, routine, CHUNK):
        await _publish(system, [_routine(number) for number in range(first, min(first + CHUNK, routine))])
    progress = Progress(system)
    planned = progress.routine()
    await _publish(system, [_emergency()], urgent=True)
    start = time.monotonic()
    await system.until(lambda: progress.has(update_id(EMERGENCY, "2")), timeout=600)
    seconds, planned_before = time.monotonic() - start, progress.routine() - planned
    enough = start + seconds / SHARE
    await system.until(lambda: progress.routine() >= routine or time.monotonic() > enough, timeout=1_200)
    return Passage(seconds, time.monotonic() - start, planned_before, routine - progress.routine())


class Progress:
    """Which updates are planned, read from what was published; each record is looked at once."""

    def __init__(self, system: SystemHarness) -> None:
        self._system = system
        self._read = 0
        self._planned: set[str] = set()

    def has(self, id_: str) -> bool:
        """Whether an update is planned."""
        self._look()
        return id_ in self._planned

    def routine(self) -> int:
        """How many routine updates are planned."""
        self._look()
        return len(self._planned) - (update_id(EMERGENCY, "2") in self._planned)

    def _look(self) -> None:
        records = self._system.transport.records
        for record in records[self._read :]:
            if record.topic == UpdatePlanned.TOPIC:
                _envelope, event = decode(record.headers, record.value)
                self._planned.add(event.update_id)  # type: ignore[attr-defined]
        self._read = len(records)


@asynccontextmanager
async def _system(
    log: str, folder: Path, request: pytest.FixtureRequest, *, routine: int
) -> AsyncIterator[SystemHarness]:
    """Assessment and planning over a simulated fleet that has every component, its inventory collected."""
    (folder / "fleet.yaml").write_text(_fleet(routine))
    settings = {
        "assessment": load_settings(
            patchline_assessment.settings.Settings, dir=folder / "state", fleet=folder / "fleet.yaml"
        ),
        "planning": load_settings(patchline_planning.settings.Settings, dir=folder / "state"),
    }

    @asynccontextmanager
    async def harness(transport: Callable[[], Transport] | None) -> AsyncIterator[SystemHarness]:
        async with SystemHarness(
            [patchline_assessment.service.service, patchline_planning.service.service],
            tmp_path=folder,
            clock=SystemClock(),
            settings=settings,
            transport=transport,
        ) as system:
            await _known(system)
            yield system

    if log == "embedded":
        async with harness(None) as system:
            yield system
    else:
        request.getfixturevalue("kafka_bootstrap")
        async with kafka_world(declared_topics()) as world, harness(world.transport) as system:
            yield system


async def _known(system: SystemHarness) -> None:
    """Return when every target has told what it has."""

    def told() -> int:
        return sum(record.topic == InventoryReported.TOPIC for record in system.transport.records)

    await system.until(lambda: told() >= TARGETS, timeout=60)


def _fleet(routine: int) -> str:
    lines = [
        "groups:",
        "  - {name: one, criticality: low, window: always}",
        "policies: {approval: {minimum_approvers: 1, not_the_requester: false}}",
        "targets:",
    ]
    for target in range(TARGETS):
        packages = [f"pkg:generic/app-{number}@1" for number in range(target, routine, TARGETS)]
        packages.append("pkg:generic/always-there@1")
        if target == 0:
            packages.append(f"{EMERGENCY}@1")
        lines.append(
            f"  - {{id: sim-{target}, group: one, driver: sim, path: sim,"
            f" settings: {{packages: '{' '.join(packages)}'}}}}"
        )
    return "\n".join(lines) + "\n"


def _routine(number: int) -> UpdatePublished:
    return _update(f"pkg:generic/app-{number}", emergency=False)


def _emergency() -> UpdatePublished:
    return _update(EMERGENCY, emergency=True)


def _update(component: str, *, emergency: bool) -> UpdatePublished:
    return UpdatePublished(
        update_id=update_id(component, "2"),
        vendor="vendor",
        component=component,
        version="2",
        kind="security",
        released_at=RELEASED,
        advisories=(Advisory(id="A-1", severity="medium", affected=(AffectedRange(fixed="2"),)),),
        emergency=emergency,
    )


async def _publish(system: SystemHarness, events: list[UpdatePublished], *, urgent: bool = False) -> None:
    await system.transport.publish(
        [
            encode(
                event,
                Envelope(
                    id=str(uuid4()),
                    source=SOURCE,
                    type=event.TYPE,
                    subject=event.subject(),
                    time=datetime.now(UTC),
                    urgent=urgent,
                ),
            )
            for event in events
        ]
    )
