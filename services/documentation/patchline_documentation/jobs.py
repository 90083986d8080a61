"""The work of documenting a round: gather its facts from the ledger, wait for what is still on its way."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchline_documentation.building import ENDINGS, Ending
from patchline_documentation.chains import Entry, event_tag, update_tag
from patchline_documentation.facts import Fact, fact_of, missing_cause
from patchline_kit.context import Context
from patchline_kit.documents import Document
from patchline_schemas.updates import UpdateDocumented
from patchline_schemas.values import UpdateState

LOOK_AGAIN = timedelta(milliseconds=250)
LOOK_RARELY = timedelta(seconds=30)


class ReportJob(Document, collection="reports"):
    """A round that ended and is to be documented, or is."""

    update_id: str
    round: int
    revision: int
    component: str
    to_version: str
    outcome: UpdateState
    ending_id: str
    """The event that ended the round."""
    ordered_at: datetime
    written: bool = False

    def waits_for(self, cause_id: str, now: datetime, *, patience_over: bool) -> bool:
        """Look again soon for a cause that is not in the ledger yet; False once patience is over.

        Without the ending itself there is no report, so that is waited for as long as it takes.
        """
        if not patience_over:
            self.wake_at = now + LOOK_AGAIN
        elif cause_id == self.ending_id:
            self.wake_at = now + LOOK_RARELY
        else:
            return False
        return True


def report_id(update_id: str, round_: int) -> str:
    """The id of a round's :class:`ReportJob`."""
    return f"{update_id}/{round_}"


def job_for(ending: Ending, ending_id: str, now: datetime) -> ReportJob:
    """The job of documenting the round that ``ending`` ended."""
    return ReportJob(
        id=report_id(ending.update_id, ending.round),
        update_id=ending.update_id,
        round=ending.round,
        revision=ending.revision,
        component=ending.component,
        to_version=ending.version,
        outcome=ENDINGS[type(ending)],
        ending_id=ending_id,
        ordered_at=now,
        wake_at=now,
    )


def documented(job: ReportJob, reports: tuple[object, ...], events_total: int) -> UpdateDocumented:
    """The event that says so."""
    return UpdateDocumented.model_validate(
        {
            "update_id": job.update_id,
            "revision": job.revision,
            "component": job.component,
            "version": job.to_version,
            "round": job.round,
            "outcome": job.outcome,
            "reports": reports,
            "events_total": events_total,
        }
    )


async def gather(job: ReportJob, ctx: Context) -> tuple[list[Fact], str | None]:
    """The facts about the job's update, with the causes of its ending; and a cause that is not there yet."""
    facts: list[Fact] = []
    after = ""
    while page := await ctx.find(Entry, update_tag(job.update_id), after=after):
        facts += [fact_of(entry.line, entry.update_id) for entry in page]
        after = page[-1].id
    while missing := missing_cause(facts, job.ending_id, job.update_id):
        found = await ctx.find(Entry, event_tag(missing), limit=1)
        if not found:
            return facts, missing
        facts.append(fact_of(found[0].line, found[0].update_id))
    return facts, None
