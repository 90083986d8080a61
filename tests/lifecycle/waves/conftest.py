"""The four services that work on targets, together; the test plays planning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from wave_doubles import JINJA, NEW, OLD, wave_targets

import patchline_backup.service
import patchline_backup.settings
import patchline_deployment.service
import patchline_deployment.settings
import patchline_testing.service
import patchline_testing.settings
import patchline_verification.service
import patchline_verification.settings
from patchline_kit.testing import SystemHarness
from patchline_schemas.fleet import Target, TargetRegistered
from patchline_schemas.updates import Representative, UpdatePlanned
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveDue,
    WaveEvent,
    WaveOrder,
    WaveRollbackRequested,
)

SERVICES = (patchline_testing, patchline_backup, patchline_deployment, patchline_verification)
PATIENCE = 60.0
"""Seconds that real tools may need."""


class Waves:
    """A running system, and the words of planning."""

    def __init__(self, harness: SystemHarness) -> None:
        self.harness = harness

    async def settle(self) -> None:
        await self.harness.settle(PATIENCE)

    async def register(self, *targets: Target) -> None:
        for target in targets:
            await self.harness.publish(TargetRegistered(revision=1, target=target))
        await self.settle()

    async def plan(self, *ids: str, component: str = JINJA, version: str = NEW, old: str = OLD) -> None:
        representatives = tuple(
            Representative(environment=f"sha256:{id}", target_id=id, from_version=old, targets_total=1)
            for id in ids
        )
        await self.harness.publish(
            UpdatePlanned(
                update_id="update",
                revision=1,
                component=component,
                version=version,
                round=1,
                kind="security",
                advisories=(),
                approval="automatic",
                waves=(),
                representatives=representatives,
                environments_total=len(ids),
                rollback=(),
            )
        )
        await self.settle()

    async def due(self, order: WaveOrder, *ids: str, old: str = OLD) -> None:
        await self.harness.publish(WaveDue(order=order, targets=wave_targets(*ids, version=old)))
        await self.settle()

    async def go_back(self, reason: str) -> None:
        """Ask for the rollback of the wave that was backed up last."""
        event = self.harness.published(WaveBackedUp)[-1]
        await self.harness.publish(
            WaveRollbackRequested(
                order=event.order, targets=event.targets, backups=event.backups, reason=reason
            )
        )
        await self.settle()

    def said(self, kind: type[WaveEvent]) -> WaveEvent:
        """The one event of its kind."""
        (event,) = self.harness.published(kind)
        return event


@pytest.fixture
async def waves(tmp_path: Path) -> AsyncIterator[Waves]:
    services = [package.service.service for package in SERVICES]
    settings = {
        service.name: package.settings.Settings(dir=tmp_path / "state")
        for service, package in zip(services, SERVICES, strict=True)
    }
    (tmp_path / "state").mkdir()
    async with SystemHarness(services, tmp_path=tmp_path, settings=settings) as harness:
        yield Waves(harness)


@pytest.fixture
def sim(tmp_path: Path) -> Callable[..., Target]:
    """Makes targets of one simulated fleet."""
    (tmp_path / "sim").mkdir()

    def make(id: str, **settings: str) -> Target:
        given = {"packages": f"{JINJA}@{OLD}", **settings}
        return Target(
            id=id, group="intranet", driver="sim", path=str(tmp_path / "sim"), settings=given, checks=()
        )

    return make
