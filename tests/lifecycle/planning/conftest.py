"""Planning alone, with a test that answers as the other services would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from patchline_kit.clock import ManualClock
from patchline_kit.testing import ServiceHarness
from patchline_planning.plan import Plan
from patchline_planning.service import service
from patchline_planning.wave import Wave
from patchline_schemas.fleet import Freeze, Group, GroupRegistered, Policies
from patchline_schemas.ids import update_id
from patchline_schemas.requests import Action, RequestAccepted, RequestRefused, RequestSubmitted
from patchline_schemas.updates import (
    AssessedTarget,
    UpdateAssessed,
    UpdatePlanned,
    UpdateProgressed,
    UpdateTested,
    UpdateTestFailed,
)
from patchline_schemas.waves import (
    Backup,
    TargetResult,
    WaveBackedUp,
    WaveBackupFailed,
    WaveChecksPassed,
    WaveDeployed,
    WaveDeployFailed,
    WaveDue,
    WaveEvent,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRollbackVerified,
    WaveVerificationFailed,
    WaveVerified,
)

E = TypeVar("E", bound=WaveEvent)
COMPONENT = "pkg:pypi/jinja2"
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""A Monday, at noon."""


class Life:
    """A fleet, its updates, and everybody else's answers."""

    def __init__(self, harness: ServiceHarness) -> None:
        self.harness = harness

    @property
    def now(self) -> datetime:
        return self.harness.clock.now()

    async def group(
        self,
        name: str,
        *,
        criticality: str = "low",
        revision: int = 1,
        freezes: Iterable[Freeze] = (),
        policies: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        group = Group(name=name, criticality=criticality, policies=Policies(**(policies or {})), **fields)
        await self.harness.publish(GroupRegistered(revision=revision, group=group, freezes=tuple(freezes)))
        await self.harness.settle()

    async def assess(
        self,
        version: str,
        targets: dict[str, str],
        *,
        revision: int = 1,
        unknown: Iterable[str] = (),
        from_version: str = "3.1.2",
        component: str = COMPONENT,
        pages: int = 1,
        page: int = 1,
        settle: bool = True,
        urgent: bool = False,
        collected_at: datetime | None = None,
        **fields: Any,
    ) -> str:
        """``targets``: the affected ones with their groups; asked at ``collected_at``, by default now."""
        id_ = update_id(component, version)
        assessed = [
            AssessedTarget(
                target_id=target,
                group=group,
                status="affected",
                reason="older than the fix",
                installed_version=from_version,
                environment=f"env-{target}",
                collected_at=collected_at or self.now,
            )
            for target, group in targets.items()
        ]
        unsure = [
            AssessedTarget(target_id=target, group="intranet", status="unknown", reason="unreachable")
            for target in unknown
        ]
        values: dict[str, Any] = {
            "vendor": "palletsprojects",
            "kind": "security",
            "urgency": "out-of-cycle" if assessed else None,
            "due_at": None,
            "due_rule": "none",
            "inputs": (),
            "released_at": START,
            "published_at": START,
            "published_by": "ada",
            "advisories": ("CVE-1",),
            "affected_total": len(assessed),
            "not_affected_total": 0,
            "unknown_total": len(unsure),
        } | fields
        await self.harness.publish(
            UpdateAssessed(
                update_id=id_,
                revision=revision,
                component=component,
                version=version,
                page=page,
                pages=pages,
                targets=(*assessed, *unsure),
                **values,
            ),
            urgent=urgent,
        )
        if settle:
            await self.harness.settle()
        return id_

    async def test_passes(self, id_: str) -> None:
        plan = self.planned(id_)
        await self.say(UpdateTested(**self._identity(plan), round=plan.round, environments=()))

    async def test_fails(self, id_: str, error: str) -> None:
        plan = self.planned(id_)
        await self.say(
            UpdateTestFailed(**self._identity(plan), round=plan.round, environments=(), error=error)
        )

    async def ask(self, action: Action, id_: str | None, who: str = "bea", **fields: Any) -> str:
        """The effect, or ``refused: `` and the rule."""
        request_id = await self.harness.publish(
            RequestSubmitted(action=action, who=who, reason="because", update_id=id_, **fields)
        )
        await self.harness.settle()
        for accepted in self.harness.published(RequestAccepted):
            if accepted.request_id == request_id:
                return accepted.effect
        for refused in self.harness.published(RequestRefused):
            if refused.request_id == request_id:
                return f"refused: {refused.rule}"
        raise AssertionError(f"no answer to {action}")

    async def say(self, *events: Any) -> None:
        for event in events:
            await self.harness.publish(event)
        await self.harness.settle()

    # A wave's answers -------------------------------------------------------------------------------

    async def back_up(self, wave_id: str) -> None:
        due = self.due(wave_id)
        backups = tuple(
            Backup(
                target_id=target.target_id,
                address=f"file:///archives/{target.target_id}",
                sha256="0" * 64,
                size=1,
                packages_total=1,
                files_total=1,
            )
            for target in due.targets
        )
        await self.say(WaveBackedUp(order=due.order, targets=due.targets, backups=backups))

    async def fail_backup(self, wave_id: str) -> None:
        due = self.due(wave_id)
        await self.say(
            WaveBackupFailed(order=due.order, results=self.results(due, "failed"), error="no room")
        )

    async def deploy(self, wave_id: str, *, late: int = 0, outdated: Iterable[str] = ()) -> None:
        """``late``: for so many there was no time. ``outdated``: these were not as planned any more."""
        due = self.due(wave_id)
        started = len(due.targets) - late
        changed = {"outcome": "not-started", "error": "it has another version", "to_version": None}
        results = tuple(
            result.model_copy(update=changed) if result.target_id in set(outdated) else result
            for result in self.results(due)
        )
        await self.say(
            WaveDeployed(
                order=due.order,
                results=results[:started],
                not_started=due.targets[started:],
            )
        )

    async def fail_deploy(self, wave_id: str, outcomes: dict[str, str]) -> None:
        due = self.due(wave_id)
        results = tuple(
            TargetResult(target_id=target.target_id, outcome=outcomes[target.target_id])
            for target in due.targets
        )
        await self.say(WaveDeployFailed(order=due.order, results=results, error="pip said no"))

    async def pass_checks(self, wave_id: str) -> None:
        due = self.due(wave_id)
        soak_until = self.now + due.order.soak
        await self.say(WaveChecksPassed(order=due.order, results=self.results(due), soak_until=soak_until))

    async def verify(self, wave_id: str) -> None:
        due = self.due(wave_id)
        await self.harness.advance(due.order.soak)
        await self.say(WaveVerified(order=due.order, results=self.results(due)))

    async def fail_verification(self, wave_id: str, *, during_soak: bool = False) -> None:
        due = self.due(wave_id)
        await self.say(
            WaveVerificationFailed(
                order=due.order,
                results=self.results(due, "failed"),
                error="HTTP 500",
                during_soak=during_soak,
            )
        )

    async def roll_back(self, wave_id: str) -> None:
        due = self.due(wave_id)
        await self.say(WaveRollbackVerified(order=due.order, results=self.results(due, "rolled-back")))

    async def fail_rollback(self, wave_id: str) -> None:
        due = self.due(wave_id)
        await self.say(
            WaveRollbackFailed(order=due.order, results=self.results(due, "failed"), error="disk gone")
        )

    async def carry(self, wave_id: str) -> None:
        """All steps of a wave, to verified."""
        await self.back_up(wave_id)
        await self.deploy(wave_id)
        await self.pass_checks(wave_id)
        await self.verify(wave_id)

    async def roll_out(self, version: str, targets: dict[str, str], **fields: Any) -> str:
        """Assess and test an update, so that its first wave is due where nothing holds it."""
        id_ = await self.assess(version, targets, **fields)
        await self.test_passes(id_)
        return id_

    # What planning has said ------------------------------------------------------------------------

    def planned(self, id_: str) -> UpdatePlanned:
        return [event for event in self.harness.published(UpdatePlanned) if event.update_id == id_][-1]

    def progress(self, id_: str) -> UpdateProgressed:
        return [event for event in self.harness.published(UpdateProgressed) if event.update_id == id_][-1]

    def states(self, id_: str) -> list[str]:
        """Every state it was in, one after another."""
        told = [event.state for event in self.harness.published(UpdateProgressed) if event.update_id == id_]
        return [state for index, state in enumerate(told) if index == 0 or told[index - 1] != state]

    def state(self, id_: str) -> str:
        return self.progress(id_).state

    def held(self, id_: str) -> str | None:
        held = self.progress(id_).held
        return held.rule if held else None

    def waves(self, id_: str) -> dict[str, str]:
        return {wave.id: wave.state for wave in self.progress(id_).waves}

    def due(self, wave_id: str) -> WaveDue:
        return self.of_wave(WaveDue, wave_id)[-1]

    def due_waves(self) -> list[str]:
        return [event.order.wave_id for event in self.harness.published(WaveDue)]

    def rollback(self, wave_id: str) -> WaveRollbackRequested:
        return self.of_wave(WaveRollbackRequested, wave_id)[-1]

    def of_wave(self, kind: type[E], wave_id: str) -> list[E]:
        return [event for event in self.harness.published(kind) if event.order.wave_id == wave_id]

    async def plan(self, id_: str) -> Plan:
        plan = await self.harness.document(Plan, id_)
        assert plan is not None
        return plan

    async def wave(self, id_: str) -> Wave:
        wave = await self.harness.document(Wave, id_)
        assert wave is not None
        return wave

    def results(self, due: WaveDue, outcome: str = "succeeded") -> tuple[TargetResult, ...]:
        return tuple(
            TargetResult(
                target_id=target.target_id,
                outcome=outcome,
                from_version=target.from_version,
                to_version=due.order.version,
            )
            for target in due.targets
        )

    @staticmethod
    def _identity(plan: UpdatePlanned) -> dict[str, Any]:
        return {
            "update_id": plan.update_id,
            "revision": plan.revision,
            "component": plan.component,
            "version": plan.version,
        }


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with ServiceHarness(service, tmp_path=tmp_path, clock=ManualClock(START)) as harness:
        yield Life(harness)
    assert not harness.dead_letters()
