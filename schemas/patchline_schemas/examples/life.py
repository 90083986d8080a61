"""The life of an update."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from patchline_schemas import updates
from patchline_schemas.examples.shared import DIGEST, ENVIRONMENT, UPDATE, WAVE, Examples, at, head


def assessments() -> Iterable[Examples]:
    """Examples of assessments."""
    affected = updates.AssessedTarget(
        target_id="wiki",
        group="intranet",
        status="affected",
        reason="3.1.2 is before 3.1.6, the fix of CVE-2025-27516.",
        installed_version="3.1.2",
        environment=ENVIRONMENT,
        advisories=("CVE-2025-27516",),
        collected_at=at(-30),
    )
    unknown = updates.AssessedTarget(
        target_id="sim-00001",
        group="payments",
        status="unknown",
        reason="Its inventory could not be collected.",
    )
    usual = updates.UpdateAssessed.model_validate(
        {
            **head(),
            "page": 1,
            "pages": 1,
            "vendor": "palletsprojects",
            "kind": "security",
            "urgency": "out-of-cycle",
            "due_at": at(0, day=17),
            "due_rule": "Out-of-cycle updates are due 14 days after publication.",
            "inputs": (
                updates.AssessmentInput(name="severity", value="high", origin="feed:palletsprojects"),
                updates.AssessmentInput(name="exploited", value=None, origin="feed:palletsprojects"),
            ),
            "released_at": at(-600),
            "published_at": at(0),
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
            {**head(), "reason": "Withdrawn.", "installed_on": ("wiki",), "installed_total": 1}
        ),
        updates.RetractionAssessed.model_validate(
            {
                **head(),
                "reason": "Withdrawn.",
                "installed_on": (),
                "installed_total": 0,
                "last_seen_on": ("wiki",),
                "unknown": ("forum", "wiki"),
                "unknown_total": 2,
            }
        ),
    )


def plans() -> Iterable[Examples]:
    """Examples of plans."""
    summary = updates.WaveSummary(
        id=WAVE, number=1, group="intranet", targets_total=1, starts_at=at(30), ends_at=at(150)
    )
    usual = updates.UpdatePlanned.model_validate(
        {
            **head(),
            "round": 1,
            "kind": "security",
            "urgency": "out-of-cycle",
            "due_at": at(0, day=17),
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
        updates.UpdateTested.model_validate({**head(), "round": 1, "environments": (passed,)}),
        updates.UpdateTested.model_validate(
            {**head(), "round": 1, "environments": (passed.model_copy(update={"stages": (skipped,)}),)}
        ),
    )
    failed = passed.model_copy(update={"passed": False, "stages": (stage, broken)})
    yield Examples(
        updates.UpdateTestFailed.model_validate(
            {**head(), "round": 1, "environments": (failed,), "error": broken.output}
        ),
        updates.UpdateTestFailed.model_validate(
            {**head(), "round": 1, "environments": (), "error": "wiki could not be copied: no space left"}
        ),
    )
    yield Examples(
        updates.UpdateApproved.model_validate(
            {
                **head(),
                "round": 1,
                "approved_by": ("policy",),
                "automatic": True,
                "reason": "The policy of intranet approves what passed its test.",
            }
        ),
        updates.UpdateApproved.model_validate(
            {
                **head(),
                "round": 2,
                "approved_by": ("bea", "carl"),
                "automatic": False,
                "reason": "Read the notes.",
            }
        ),
    )
    yield Examples(
        updates.UpdateRejected.model_validate(
            {**head(), "round": 1, "rejected_by": "bea", "reason": "We leave this product in May."}
        ),
        updates.UpdateRejected.model_validate({**head(), "round": 2, "rejected_by": "bea", "reason": "No."}),
    )
    held = updates.Held(rule="window", since=at(10), until=at(30), who="the window of intranet")
    progress = updates.UpdateProgressed.model_validate(
        {
            **head(),
            "sequence": 5,
            "round": 1,
            "kind": "security",
            "state": "scheduled",
            "urgency": "out-of-cycle",
            "due_at": at(0, day=17),
            "held": held,
            "waves": (
                updates.WaveProgress(
                    id=WAVE,
                    round=1,
                    number=1,
                    group="intranet",
                    state="planned",
                    starts_at=at(30),
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
                "held": updates.Held(rule="inventory-unknown", since=at(0)),
                "waves": (),
            }
        ),
    )


def endings() -> Iterable[Examples]:
    """Examples of endings."""
    due = at(0, day=17)
    for kind in (updates.UpdateDueSoon, updates.UpdateOverdue):
        yield Examples(
            kind.model_validate({**head(), "due_at": due, "state": "rolling-out"}),
            kind.model_validate(
                {
                    **head(),
                    "due_at": due,
                    "state": "awaiting-approval",
                    "held": updates.Held(rule="approval", since=at(10), who="1 person of payments"),
                }
            ),
        )
    for ended in (updates.UpdateNotApplicable, updates.UpdateCompleted):
        yield Examples(
            ended.model_validate({**head(), "round": 1, "due_at": due}),
            ended.model_validate({**head(), "round": 2}),
        )
    yield Examples(
        updates.UpdateFailed.model_validate(
            {**head(), "round": 1, "due_at": due, "error": "wiki: the version did not change"}
        ),
        updates.UpdateFailed.model_validate(
            {**head(), "round": 1, "error": "wiki answers 503", "rolled_back_waves": (WAVE,)}
        ),
    )
    yield Examples(
        updates.UpdateCancelled.model_validate(
            {**head(), "round": 1, "due_at": due, "reason": "Not needed.", "cancelled_by": "bea"}
        ),
        updates.UpdateCancelled.model_validate(
            {
                **head(),
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
            {**head(), "round": 1, "outcome": "completed", "reports": (report,), "events_total": 24}
        ),
        updates.UpdateDocumented.model_validate(
            {**head(), "round": 2, "outcome": "not-applicable", "reports": (), "events_total": 3}
        ),
    )
    review = updates.UpdateReviewed.model_validate(
        {
            **head(),
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
