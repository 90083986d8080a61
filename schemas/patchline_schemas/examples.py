"""Two examples of every event: the usual one and one at the edge.

They are exported beside the JSON Schemas; every service's tests replay those it consumes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from patchline_schemas import (
    dead_letters,
    feeds,
    fleet,
    ledger,
    notices,
    policies,
    requests,
    updates,
    waves,
)
from patchline_schemas.envelope import Event


class Examples(NamedTuple):
    """What an event looks like on most days, and where its optional fields are used or absent."""

    usual: Event
    edge: Event


def examples() -> dict[type[Event], Examples]:
    """The examples of every event class."""
    groups = (
        _feeds(),
        _fleet(),
        _assessments(),
        _plans(),
        _endings(),
        _wave_steps(),
        _wave_failures(),
        _requests(),
        _others(),
    )
    return {type(pair.usual): pair for group in groups for pair in group}


JINJA = "pkg:pypi/jinja2"
UPDATE = "jinja2-3.1.6-5f2d1c"
WAVE = f"{UPDATE}.r1.w1"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ENVIRONMENT = "sha256:2c26b46b68ffc68ff99b453c1d304134"


def _at(minute: int, *, day: int = 3) -> datetime:
    return datetime(2026, 3, day, 9, 0, tzinfo=UTC) + timedelta(minutes=minute)


ADVISORY = feeds.Advisory(
    id="CVE-2025-27516",
    aliases=("GHSA-cpwx-vrp4-4pq7",),
    severity="high",
    affected=(feeds.AffectedRange(introduced="0", fixed="3.1.6"),),
)


def _feeds() -> Iterable[Examples]:
    head = {"update_id": UPDATE, "vendor": "palletsprojects", "component": JINJA, "version": "3.1.6"}
    usual = feeds.UpdatePublished(
        **head,
        kind="security",
        released_at=_at(-600),
        advisories=(ADVISORY,),
        notes_url="https://example.org/notes",
        published_by="ada",
    )
    yield Examples(
        usual,
        usual.model_copy(
            update={
                "advisories": (feeds.Advisory(id="EXAMPLE-2026-1", exploited=True),),
                "notes_url": None,
                "emergency": True,
                "restart_required": True,
            }
        ),
    )
    more = feeds.Advisory(
        id="EXAMPLE-2026-2",
        severity=None,
        affected=(feeds.AffectedRange(introduced="3.0", last_affected="3.1.5"),),
    )
    yield Examples(
        feeds.AdvisoryPublished(**head, advisories=(ADVISORY,)),
        feeds.AdvisoryPublished(**head, advisories=(more,)),
    )
    yield Examples(
        feeds.UpdateRetracted(**head, reason="The release breaks async templates.", retracted_by="ada"),
        feeds.UpdateRetracted(**head, reason="Withdrawn."),
    )


def _fleet() -> Iterable[Examples]:
    plain = fleet.Group(name="intranet", criticality="low")
    careful = fleet.Group(
        name="payments",
        criticality="critical",
        exposure="open",
        window=fleet.RecurringWindow(
            rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2), timezone="Europe/Berlin"
        ),
        notice=timedelta(days=2),
        contacts=("file:notices/payments.log",),
        policies=fleet.Policies(
            approval=fleet.Approval(minimum_approvers=2, not_the_requester=True),
            soak=timedelta(hours=1),
            on_failure="roll-back-all",
            required_notice=True,
        ),
    )
    freeze = fleet.Freeze(starts_at=_at(0, day=20), ends_at=_at(0, day=30), reason="end of the quarter")
    yield Examples(
        fleet.GroupRegistered(revision=1, group=plain),
        fleet.GroupRegistered(revision=7, group=careful, freezes=(freeze,)),
    )
    yield Examples(
        fleet.TargetRegistered(
            revision=1,
            target=fleet.Target(
                id="wiki",
                group="intranet",
                driver="venv",
                path="/srv/wiki",
                venv="/srv/wiki/.venv",
                checks=(
                    fleet.CommandCheck(command=(".venv/bin/python", "-m", "wiki.selfcheck")),
                    fleet.HttpCheck(http="http://127.0.0.1:8101/health"),
                ),
                restart=fleet.Restart(command=("./restart.sh",)),
                backup=fleet.BackupRules(paths=("config", "data")),
            ),
        ),
        fleet.TargetRegistered(
            revision=7, target=fleet.Target(id="sim-00001", group="payments", driver="sim")
        ),
    )
    yield Examples(
        fleet.TargetRemoved(revision=2, target_id="wiki", group="intranet"),
        fleet.TargetRemoved(revision=8, target_id="sim-00001", group="payments"),
    )
    report = fleet.InventoryReported(
        target_id="wiki",
        group="intranet",
        collected_at=_at(0),
        runtime="cpython 3.11.7",
        packages=(
            fleet.InstalledPackage(component=JINJA, version="3.1.2"),
            fleet.InstalledPackage(component="pkg:pypi/markupsafe", version="2.1.5"),
        ),
        environment=ENVIRONMENT,
    )
    yield Examples(report, report.model_copy(update={"packages": (), "runtime": None}))
    yield Examples(
        fleet.InventoryFailed(
            target_id="wiki", group="intranet", attempted_at=_at(0), reason="/srv/wiki/.venv is missing"
        ),
        fleet.InventoryFailed(
            target_id="sim-00001", group="payments", attempted_at=_at(5), reason="no answer within PT30S"
        ),
    )


def _head(revision: int = 1) -> dict[str, object]:
    return {"update_id": UPDATE, "revision": revision, "component": JINJA, "version": "3.1.6"}


def _assessments() -> Iterable[Examples]:
    affected = updates.AssessedTarget(
        target_id="wiki",
        group="intranet",
        status="affected",
        reason="3.1.2 is before 3.1.6, the fix of CVE-2025-27516.",
        installed_version="3.1.2",
        environment=ENVIRONMENT,
        advisories=("CVE-2025-27516",),
    )
    unknown = updates.AssessedTarget(
        target_id="sim-00001",
        group="payments",
        status="unknown",
        reason="Its inventory could not be collected.",
    )
    usual = updates.UpdateAssessed.model_validate(
        {
            **_head(),
            "page": 1,
            "pages": 1,
            "vendor": "palletsprojects",
            "kind": "security",
            "urgency": "out-of-cycle",
            "due_at": _at(0, day=17),
            "due_rule": "Out-of-cycle updates are due 14 days after publication.",
            "inputs": (
                updates.AssessmentInput(name="severity", value="high", origin="feed:palletsprojects"),
                updates.AssessmentInput(name="exploited", value=None, origin="feed:palletsprojects"),
            ),
            "released_at": _at(-600),
            "published_at": _at(0),
            "published_by": "ada",
            "advisories": ("CVE-2025-27516",),
            "affected_total": 1,
            "not_affected_total": 6,
            "unknown_total": 0,
            "targets": (affected,),
        }
    )
    yield Examples(
        usual,
        usual.model_copy(
            update={
                "revision": 2,
                "urgency": None,
                "due_at": None,
                "due_rule": "No target is known to be affected, so nothing is due.",
                "affected_total": 0,
                "unknown_total": 1,
                "targets": (unknown,),
            }
        ),
    )
    yield Examples(
        updates.RetractionAssessed.model_validate(
            {**_head(), "reason": "Withdrawn.", "installed_on": ("wiki",), "installed_total": 1}
        ),
        updates.RetractionAssessed.model_validate(
            {**_head(), "reason": "Withdrawn.", "installed_on": (), "installed_total": 0}
        ),
    )


def _plans() -> Iterable[Examples]:
    summary = updates.WaveSummary(
        id=WAVE, number=1, group="intranet", targets_total=1, starts_at=_at(30), ends_at=_at(150)
    )
    usual = updates.UpdatePlanned.model_validate(
        {
            **_head(),
            "round": 1,
            "kind": "security",
            "urgency": "out-of-cycle",
            "due_at": _at(0, day=17),
            "advisories": ("CVE-2025-27516",),
            "approval": "automatic",
            "waves": (summary,),
            "representatives": (
                updates.Representative(
                    environment=ENVIRONMENT, target_id="wiki", from_version="3.1.2", targets_total=1
                ),
            ),
            "environments_total": 1,
            "rollback": ("Wave 1: back to 3.1.2, from the backup taken when the wave becomes due.",),
        }
    )
    yield Examples(
        usual,
        usual.model_copy(
            update={
                "round": 2,
                "revision": 3,
                "urgency": None,
                "due_at": None,
                "approval": "2 people of payments, not the requester",
                "waves": (summary.model_copy(update={"starts_at": None, "ends_at": None}),),
                "restart_required": True,
            }
        ),
    )
    stage = updates.StageResult(
        name="imports",
        before="passed",
        after="passed",
        blamed=False,
        output="",
        duration=timedelta(seconds=1),
    )
    broken = stage.model_copy(
        update={
            "after": "failed",
            "blamed": True,
            "output": "ImportError: cannot import name 'soft_unicode' from 'markupsafe'",
        }
    )
    passed = updates.EnvironmentTest(environment=ENVIRONMENT, target_id="wiki", passed=True, stages=(stage,))
    skipped = stage.model_copy(
        update={"name": "http://127.0.0.1:8101/health", "before": "not-run", "after": "not-run"}
    )
    yield Examples(
        updates.UpdateTested.model_validate({**_head(), "round": 1, "environments": (passed,)}),
        updates.UpdateTested.model_validate(
            {**_head(), "round": 1, "environments": (passed.model_copy(update={"stages": (skipped,)}),)}
        ),
    )
    failed = passed.model_copy(update={"passed": False, "stages": (stage, broken)})
    yield Examples(
        updates.UpdateTestFailed.model_validate(
            {**_head(), "round": 1, "environments": (failed,), "error": broken.output}
        ),
        updates.UpdateTestFailed.model_validate(
            {**_head(), "round": 1, "environments": (), "error": "wiki could not be copied: no space left"}
        ),
    )
    yield Examples(
        updates.UpdateApproved.model_validate(
            {
                **_head(),
                "round": 1,
                "approved_by": ("policy",),
                "automatic": True,
                "reason": "The policy of intranet approves what passed its test.",
            }
        ),
        updates.UpdateApproved.model_validate(
            {
                **_head(),
                "round": 2,
                "approved_by": ("bea", "carl"),
                "automatic": False,
                "reason": "Read the notes.",
            }
        ),
    )
    yield Examples(
        updates.UpdateRejected.model_validate(
            {**_head(), "round": 1, "rejected_by": "bea", "reason": "We leave this product in May."}
        ),
        updates.UpdateRejected.model_validate({**_head(), "round": 2, "rejected_by": "bea", "reason": "No."}),
    )
    held = updates.Held(rule="window", since=_at(10), until=_at(30), who="the window of intranet")
    progress = updates.UpdateProgressed.model_validate(
        {
            **_head(),
            "sequence": 5,
            "round": 1,
            "kind": "security",
            "state": "scheduled",
            "urgency": "out-of-cycle",
            "due_at": _at(0, day=17),
            "held": held,
            "waves": (
                updates.WaveProgress(
                    id=WAVE,
                    round=1,
                    number=1,
                    group="intranet",
                    state="planned",
                    starts_at=_at(30),
                    targets_total=1,
                ),
            ),
        }
    )
    yield Examples(
        progress,
        progress.model_copy(
            update={
                "sequence": 1,
                "state": "assessed",
                "urgency": None,
                "due_at": None,
                "held": updates.Held(rule="inventory-unknown", since=_at(0)),
                "waves": (),
            }
        ),
    )


def _endings() -> Iterable[Examples]:
    due = _at(0, day=17)
    for kind in (updates.UpdateDueSoon, updates.UpdateOverdue):
        yield Examples(
            kind.model_validate({**_head(), "due_at": due, "state": "rolling-out"}),
            kind.model_validate(
                {
                    **_head(),
                    "due_at": due,
                    "state": "awaiting-approval",
                    "held": updates.Held(rule="approval", since=_at(10), who="1 person of payments"),
                }
            ),
        )
    for ended in (updates.UpdateNotApplicable, updates.UpdateCompleted):
        yield Examples(
            ended.model_validate({**_head(), "round": 1, "due_at": due}),
            ended.model_validate({**_head(), "round": 2}),
        )
    yield Examples(
        updates.UpdateFailed.model_validate(
            {**_head(), "round": 1, "due_at": due, "error": "wiki: the version did not change"}
        ),
        updates.UpdateFailed.model_validate(
            {**_head(), "round": 1, "error": "wiki answers 503", "rolled_back_waves": (WAVE,)}
        ),
    )
    yield Examples(
        updates.UpdateCancelled.model_validate(
            {**_head(), "round": 1, "due_at": due, "reason": "Not needed.", "cancelled_by": "bea"}
        ),
        updates.UpdateCancelled.model_validate(
            {
                **_head(),
                "round": 1,
                "reason": "3.1.7 fixes all that 3.1.6 fixes.",
                "cancelled_by": "planning",
                "superseded_by": "jinja2-3.1.7-77aa01",
            }
        ),
    )
    report = updates.Report(format="html", address=f"file:reports/{UPDATE}/round-1.html", sha256=DIGEST)
    yield Examples(
        updates.UpdateDocumented.model_validate(
            {**_head(), "round": 1, "outcome": "completed", "reports": (report,), "events_total": 24}
        ),
        updates.UpdateDocumented.model_validate(
            {**_head(), "round": 2, "outcome": "not-applicable", "reports": (), "events_total": 3}
        ),
    )
    review = updates.UpdateReviewed.model_validate(
        {
            **_head(),
            "round": 1,
            "outcome": "completed",
            "lead_time": timedelta(minutes=42),
            "time_to_due": timedelta(days=13),
            "targets_total": 1,
            "failed_share": 0.0,
            "rolled_back_share": 0.0,
            "time_in_step": {"testing": timedelta(seconds=9)},
            "findings": (),
        }
    )
    late = updates.Finding(
        sentence="The update was in effect 3 days after its due date.", evidence=("0b7e",), deviation=True
    )
    yield Examples(
        review,
        review.model_copy(
            update={
                "time_to_due": timedelta(days=-3),
                "failed_share": 1.0,
                "findings": (late,),
                "outcome": "failed",
            }
        ),
    )


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
    window_ends_at=_at(150),
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
    started_at=_at(31),
    ended_at=_at(32),
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


def _wave_steps() -> Iterable[Examples]:
    yield Examples(
        waves.WavePlanned(order=ORDER, starts_at=_at(30), ends_at=_at(150), targets=TARGETS),
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
        waves.WaveChecksPassed(order=ORDER, results=(checked,), soak_until=_at(33)),
        waves.WaveChecksPassed(order=ALWAYS, results=(SUCCEEDED,), soak_until=_at(33)),
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


def _wave_failures() -> Iterable[Examples]:
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


def _requests() -> Iterable[Examples]:
    item = {"vendor": "palletsprojects", "component": JINJA, "version": "3.1.6", "kind": "security"}
    yield Examples(
        requests.RequestSubmitted(
            action="approve", who="bea", reason="Read the notes.", update_id=UPDATE, plan_revision=1
        ),
        requests.RequestSubmitted(action="publish", who="ada", reason="vendor feed", item=item),
    )
    published = requests.PublishResult(event_id="0b7e", update_id=UPDATE, result="accepted")
    yield Examples(
        requests.RequestAccepted(
            request_id="7d01",
            action="approve",
            update_id=UPDATE,
            who="bea",
            effect="Revision 1 may roll out.",
        ),
        requests.RequestAccepted(
            request_id="7d02",
            action="publish",
            update_id=UPDATE,
            who="ada",
            effect="The update is published.",
            published=published,
        ),
    )
    yield Examples(
        requests.RequestRefused(
            request_id="7d03",
            action="approve",
            update_id=UPDATE,
            who="ada",
            rule="approval.not-the-requester",
            explanation="ada published this update and may not approve it.",
        ),
        requests.RequestRefused(
            request_id="7d04",
            action="halt",
            update_id=None,
            who="ada",
            rule="state",
            explanation="Already halted.",
        ),
    )


def _others() -> Iterable[Examples]:
    sent = notices.NoticeSent(
        notice_id="1c44",
        update_id=UPDATE,
        wave_id=WAVE,
        group="intranet",
        contact="file:notices/intranet.log",
        occasion="planned",
        subject_line="jinja2 3.1.6 on intranet: Tue 3 March, 09:30 UTC",
        sent_at=_at(1),
    )
    yield Examples(sent, sent.model_copy(update={"wave_id": None, "occasion": "overdue"}))
    failed = notices.NoticeFailed(
        notice_id="1c45",
        update_id=UPDATE,
        wave_id=WAVE,
        group="intranet",
        contact="mailto://…@example.org",
        occasion="planned",
        error="connection refused",
        attempts=5,
        required=True,
    )
    yield Examples(failed, failed.model_copy(update={"wave_id": None, "required": False}))
    seal = ledger.LedgerSealed(
        number=1,
        previous="0" * 64,
        hash=DIGEST,
        heads=(ledger.ChainHead(chain=UPDATE, sequence=24, hash=DIGEST),),
        sealed_at=_at(60),
    )
    yield Examples(seal, seal.model_copy(update={"number": 2, "previous": DIGEST, "heads": ()}))
    proposal = policies.PolicyProposed(
        update_id=UPDATE,
        group="intranet",
        reason="Two of the last five updates were rolled back within minutes after the soak time.",
        evidence=("0b7e", "0b7f"),
        patch="--- fleet.yaml\n+++ fleet.yaml\n@@ -9 +9 @@\n-  soak: PT10S\n+  soak: PT10M\n",
    )
    yield Examples(proposal, proposal.model_copy(update={"evidence": ()}))
    record = dead_letters.RawRecord(
        topic="waves.due",
        partition=0,
        offset=17,
        key=base64.b64encode(UPDATE.encode()).decode(),
        headers=(("ce_id", base64.b64encode(b"0b7e").decode()),),
        value=base64.b64encode(b"{").decode(),
    )
    letter = dead_letters.DeadLettered(
        letter_id="d001",
        service="backup",
        reason="The body does not fit the event's type.",
        error="EnvelopeError: dev.patchline.waves.due.v1 0b7e: the body: Invalid JSON",
        attempts=1,
        event_id="0b7e",
        first_failed_at=_at(31),
        record=record,
    )
    yield Examples(
        letter,
        letter.model_copy(
            update={
                "event_id": None,
                "record": record.model_copy(update={"key": None, "headers": (), "value": ""}),
            }
        ),
    )
