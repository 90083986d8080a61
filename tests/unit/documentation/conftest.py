"""Whole lives of updates as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchline_documentation.chains import Head, chain_of, update_of
from patchline_documentation.facts import Fact, fact_of
from patchline_kit.ledger import LedgerLine
from patchline_schemas import Envelope, Event, encode, feeds, notices, requests, updates, waves

NINE = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
UPDATE = "jinja2-3.1.6-5f2d1c"
JINJA = "pkg:pypi/jinja2"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Ledger:
    """Appends events as the service does, a second apart."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.lines: list[LedgerLine] = []
        self.facts: list[Fact] = []

    def keep(self, event: Event, *, cause: str | None = None, at: datetime | None = None) -> str:
        number = len(self.lines)
        event_id = f"e{number}"
        envelope = Envelope(
            id=event_id,
            source="planning",
            type=event.TYPE,
            subject=event.subject(),
            time=at or NINE + timedelta(seconds=number),
            causationid=cause,
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        record = encode(event, envelope)
        head = self.heads.setdefault(
            chain_of(record.topic, event.key()), Head(id=chain_of(record.topic, event.key()))
        )
        line = head.append(
            event_id=event_id,
            topic=record.topic,
            key=event.key(),
            headers=record.headers,
            value=record.value,
            at=envelope.time,
        )
        self.lines.append(line)
        self.facts.append(fact_of(line, update_of(event)))
        return event_id


def of_update(kind: type[Any], /, **fields: Any) -> Any:
    return kind.model_validate(
        {"update_id": UPDATE, "revision": 1, "component": JINJA, "version": "3.1.6", **fields}
    )


def order(number: int = 1, group: str = "intranet") -> waves.WaveOrder:
    return waves.WaveOrder(
        wave_id=f"{UPDATE}.r1.w{number}",
        update_id=UPDATE,
        revision=1,
        round=1,
        number=number,
        group=group,
        component=JINJA,
        version="3.1.6",
        restart_required=True,
        concurrency=10,
        max_failures=0,
        target_timeout=timedelta(minutes=10),
        soak=timedelta(seconds=10),
    )


class Life:
    """An update's life, step by step; each method returns the id of its last event."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.last: str | None = None

    def step(self, event: Event, *, at: datetime | None = None) -> str:
        self.last = self.ledger.keep(event, cause=self.last, at=at)
        return self.last

    def published(self, due_at: datetime | None = NINE + timedelta(days=14)) -> str:
        item = {"vendor": "palletsprojects", "component": JINJA, "version": "3.1.6"}
        self.step(requests.RequestSubmitted(action="publish", who="ada", reason="vendor feed", item=item))
        self.step(
            feeds.UpdatePublished(
                update_id=UPDATE,
                vendor="palletsprojects",
                component=JINJA,
                version="3.1.6",
                kind="security",
                released_at=NINE - timedelta(hours=10),
                advisories=(
                    feeds.Advisory(id="CVE-2025-27516", severity="high", summary="The sandbox can be left"),
                ),
                notes_url="https://example.org/notes",
                restart_required=True,
                published_by="ada",
            )
        )
        return self.step(
            of_update(
                updates.UpdateAssessed,
                page=1,
                pages=1,
                vendor="palletsprojects",
                kind="security",
                urgency="out-of-cycle",
                due_at=due_at,
                due_rule="Out-of-cycle updates are due 14 days after publication.",
                inputs=(
                    updates.AssessmentInput(name="severity", value="high", origin="feed:palletsprojects"),
                    updates.AssessmentInput(name="exploited", origin="feed:palletsprojects"),
                ),
                released_at=NINE - timedelta(hours=10),
                published_at=NINE,
                published_by="ada",
                advisories=("CVE-2025-27516",),
                affected_total=2,
                not_affected_total=6,
                unknown_total=0,
                targets=(),
            )
        )

    def planned(self) -> str:
        return self.step(
            of_update(
                updates.UpdatePlanned,
                round=1,
                kind="security",
                urgency="out-of-cycle",
                due_at=NINE + timedelta(days=14),
                advisories=("CVE-2025-27516",),
                approval="1 person, not the requester",
                waves=(
                    updates.WaveSummary(
                        id=order().wave_id, number=1, group="intranet", targets_total=1, starts_at=NINE
                    ),
                ),
                representatives=(),
                environments_total=1,
                rollback=("Wave 1: back to 3.1.2, from the backup taken when the wave becomes due.",),
            )
        )

    def tested(self, *, passed: bool = True, output: str = "") -> str:
        stage = updates.StageResult(
            name="imports",
            before="passed",
            after="passed" if passed else "failed",
            blamed=not passed,
            output=output,
            duration=timedelta(seconds=1.2),
        )
        test = updates.EnvironmentTest(
            environment="sha256:2c26", target_id="wiki", passed=passed, stages=(stage,)
        )
        if passed:
            return self.step(of_update(updates.UpdateTested, round=1, environments=(test,)))
        return self.step(of_update(updates.UpdateTestFailed, round=1, environments=(test,), error=output))

    def approved(self) -> str:
        asked = self.step(
            requests.RequestSubmitted(
                action="approve", who="bea", reason="read the notes", update_id=UPDATE, plan_revision=1
            )
        )
        self.ledger.keep(
            requests.RequestAccepted(
                request_id=asked, action="approve", update_id=UPDATE, who="bea", effect="It may roll out."
            ),
            cause=asked,
        )
        return self.step(
            of_update(
                updates.UpdateApproved,
                round=1,
                approved_by=("bea",),
                automatic=False,
                reason="read the notes",
            )
        )

    def paused(self) -> str:
        held = updates.Held(rule="paused", since=NINE, who="bea")
        facts = {"sequence": 1, "round": 1, "kind": "security", "state": "paused", "urgency": None}
        return self.step(of_update(updates.UpdateProgressed, **facts, due_at=None, held=held, waves=()))

    def retracted(self) -> str:
        facts = {"vendor": "palletsprojects", "reason": "broken wheel"}
        retracted = {"update_id": UPDATE, "component": JINJA, "version": "3.1.6", **facts}
        return self.step(feeds.UpdateRetracted.model_validate(retracted))

    def wave_planned(self, version: str, target: str = "wiki", number: int = 1) -> str:
        targets = (waves.WaveTarget(target_id=target, from_version=version),)
        return self.step(waves.WavePlanned(order=order(number), starts_at=NINE, targets=targets))

    def deployed(
        self,
        number: int = 1,
        group: str = "intranet",
        target: str = "wiki",
        *,
        passed: bool = True,
        at: datetime | None = None,
    ) -> str:
        wave = order(number, group)
        targets = (waves.WaveTarget(target_id=target, from_version="3.1.2"),)
        self.step(waves.WavePlanned(order=wave, starts_at=NINE, targets=targets))
        self.step(waves.WaveDue(order=wave, targets=targets))
        backup = waves.Backup(
            target_id=target,
            address=f"file:archives/{target}/20260303T090000Z.tar.zst",
            sha256=DIGEST,
            size=1_482_113,
            packages_total=2,
            files_total=41,
        )
        self.step(waves.WaveBackedUp(order=wave, targets=targets, backups=(backup,)))
        return self.step(
            waves.WaveDeployed(
                order=wave,
                results=(
                    self.result(target, checked=not passed, passed=passed).model_copy(
                        update={"started_at": at}
                    ),
                ),
            )
        )

    def left_out(self, error: str) -> None:
        """The deployment does not touch the wave's target, which is not as planned any more."""
        wave = order(1, "intranet")
        targets = (waves.WaveTarget(target_id="wiki", from_version="3.1.2"),)
        self.step(waves.WavePlanned(order=wave, starts_at=NINE, targets=targets))
        self.step(waves.WaveDue(order=wave, targets=targets))
        outdated = waves.TargetResult(target_id="wiki", outcome="not-started", error=error)
        self.step(waves.WaveDeployed(order=wave, results=(outdated,)))
        self.step(waves.WaveCancelled(order=wave, reason="none of its targets is as planned any more"))

    def verified(
        self,
        number: int = 1,
        group: str = "intranet",
        target: str = "wiki",
        *,
        passed: bool = True,
        checked: bool = True,
    ) -> str:
        results = (self.result(target, checked=checked, passed=passed),)
        wave = order(number, group)
        self.step(waves.WaveChecksPassed(order=wave, results=results, soak_until=NINE))
        return self.step(waves.WaveVerified(order=wave, results=results))

    def rolled_back(
        self, number: int = 1, group: str = "intranet", target: str = "wiki", error: str = "wiki answers 503"
    ) -> str:
        wave = order(number, group)
        bad = (self.result(target).model_copy(update={"outcome": "failed", "error": error}),)
        self.step(waves.WaveVerificationFailed(order=wave, results=bad, error=error, during_soak=True))
        self.step(waves.WaveRollbackRequested(order=wave, targets=(), backups=(), reason=error))
        back = (
            waves.TargetResult(
                target_id=target,
                outcome="rolled-back",
                from_version="3.1.6",
                to_version="3.1.2",
                notes=("config was kept aside in .patchline/aside/20260303T094000Z.",),
            ),
        )
        self.step(waves.WaveRolledBack(order=wave, results=back))
        return self.step(waves.WaveRollbackVerified(order=wave, results=back))

    def told(self) -> str:
        return self.ledger.keep(
            notices.NoticeSent(
                notice_id="1c44",
                update_id=UPDATE,
                wave_id=order().wave_id,
                group="intranet",
                contact="file:intranet.log",
                occasion="planned",
                subject_line="jinja2 3.1.6 on intranet: Tue 3 March, 09:00 UTC",
                sent_at=NINE,
            ),
            cause=self.last,
        )

    def completed(self, *, at: datetime | None = None) -> str:
        due = NINE + timedelta(days=14)
        return self.step(of_update(updates.UpdateCompleted, round=1, due_at=due), at=at)

    def failed(self, error: str) -> str:
        return self.step(
            of_update(updates.UpdateFailed, round=1, due_at=NINE + timedelta(days=14), error=error)
        )

    @staticmethod
    def result(target: str, *, checked: bool = False, passed: bool = True) -> waves.TargetResult:
        checks = (
            waves.CheckResult(name="selfcheck", passed=passed, output="ok", duration=timedelta(seconds=1)),
        )
        return waves.TargetResult(
            target_id=target,
            outcome="succeeded",
            from_version="3.1.2",
            to_version="3.1.6",
            changes=(waves.PackageChange(component="pkg:pypi/markupsafe", before="2.0.1", after="2.1.5"),),
            restarted=True,
            checks=checks if checked else (),
        )


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.fixture
def new_life() -> Callable[[], Life]:
    return Life


@pytest.fixture
def completed_life(life: Life) -> Life:
    life.published()
    life.planned()
    life.told()
    life.tested()
    life.approved()
    life.deployed()
    life.verified()
    life.completed()
    return life
