"""How news changes a view. Every rule here is idempotent, and old news changes nothing that is newer."""

from __future__ import annotations

from datetime import datetime

from patchline_gateway.messages import (
    TellDecision,
    TellFleetFile,
    TellGroup,
    TellInventory,
    TellLetter,
    TellNotice,
    TellProposal,
    TellRequest,
    TellTarget,
    TellUpdate,
    TellWave,
)
from patchline_gateway.outcomes import TargetNews
from patchline_gateway.routing import digest
from patchline_gateway.views import (
    DeadLetterView,
    FleetFileView,
    GroupView,
    InventoryView,
    NoticeView,
    ProposalView,
    Reached,
    RequestView,
    TargetLine,
    TargetView,
    UpdateView,
    WaveView,
)
from patchline_kit.contacts import without_secrets
from patchline_schemas.fleet import Approval, Group
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent
from patchline_schemas.requests import RequestRefused
from patchline_schemas.updates import UpdateProgressed


def update_told(view: UpdateView, news: TellUpdate) -> None:
    """Take in news of an update."""
    view.component, view.to_version = news.component, news.to_version
    if news.progress:
        _progressed(view, news.progress)
    if news.assessment and (view.assessment is None or news.assessment.revision >= view.assessment.revision):
        view.assessment = news.assessment
    if news.plan and (view.plan is None or news.plan.revision >= view.plan.revision):
        view.plan = news.plan
    if news.stopped and (view.stopped is None or news.stopped.round >= view.stopped.round):
        view.stopped = news.stopped
    if news.withdrawn and (view.withdrawn is None or news.withdrawn.revision >= view.withdrawn.revision):
        view.withdrawn = news.withdrawn
    if news.documented_round is not None and news.documented_round >= view.documented_round:
        view.documented_round, view.reports = news.documented_round, news.reports
    if news.reviewed_round is not None and news.reviewed_round > view.reviewed_round:
        view.reviewed_round, view.reviewed_at = news.reviewed_round, news.reviewed_at
        view.findings = news.findings


def _progressed(view: UpdateView, news: UpdateProgressed) -> None:
    if news.round > view.round:
        view.reached = ()
    if news.round >= view.round:
        others = tuple(state for state in view.reached if state.state != news.state)
        before = next((state for state in view.reached if state.state == news.state), None)
        last = max(news.sequence, before.sequence if before else 0)
        view.reached = (*others, Reached(state=news.state, sequence=last))
    if news.sequence <= view.sequence:
        return
    view.sequence, view.round, view.revision = news.sequence, news.round, news.revision
    view.kind, view.state, view.urgency, view.due_at = news.kind, news.state, news.urgency, news.due_at
    view.held, view.error, view.superseded_by = news.held, news.error, news.superseded_by
    view.waves = news.waves


def wave_told(view: WaveView, message: TellWave) -> None:
    """Take in news of a wave: the later step of its life wins, of one step the later news."""
    view.update_id, view.round, view.number = message.update_id, message.round, message.number
    view.group, view.to_version = message.group, message.to_version
    if message.planned and (view.planned_at is None or message.at >= view.planned_at):
        view.planned_at, view.starts_at, view.ends_at = message.at, message.starts_at, message.ends_at
    news = message.news
    if _is_newer(news.step, message.at, view.step, view.at):
        view.step, view.at, view.state = news.step, message.at, news.state
    for target_id, told in news.targets.items():
        line = view.targets.setdefault(target_id, TargetLine())
        _target_line_told(line, told, news.step, message.at)


def _target_line_told(line: TargetLine, told: TargetNews, step: int, at: datetime) -> None:
    if told.from_version and _is_newer(step, at, line.from_step, line.from_at):
        line.from_step, line.from_at, line.from_version = step, at, told.from_version
    line.failing_since = line.failing_since or told.failing_since
    if told.outcome is None or not _is_newer(step, at, line.step, line.at):
        line.error = line.error or told.error
        return
    line.step, line.at, line.outcome = step, at, told.outcome
    line.none_passed, line.unchecked = told.none_passed, told.unchecked
    line.error = None if told.outcome == "succeeded" else (told.error or line.error)


def _is_newer(step: int, at: datetime, known_step: int, known_at: datetime | None) -> bool:
    return step > known_step or (step == known_step and (known_at is None or at >= known_at))


def target_told(view: TargetView, news: TellTarget) -> None:
    """Take in what the fleet file or an inventory says of a target."""
    if news.revision is not None and news.revision >= view.revision:
        view.revision, view.group, view.removed = news.revision, news.group, news.removed
        view.driver, view.path, view.definition = news.driver, news.path, news.definition
    if news.asked_at and (view.asked_at is None or news.asked_at >= view.asked_at):
        view.asked_at, view.inventory_error = news.asked_at, news.inventory_error
        if news.inventory_error is None:
            view.collected_at, view.runtime = news.asked_at, news.runtime
            view.packages_total = news.packages_total


def inventory_told(view: InventoryView, news: TellInventory) -> None:
    """Take in a newer inventory."""
    if view.collected_at is None or news.collected_at >= view.collected_at:
        view.group, view.collected_at = news.group, news.collected_at
        view.runtime, view.environment, view.packages = news.runtime, news.environment, news.packages


def group_told(view: GroupView, news: TellGroup) -> None:
    """Take in a group as a newer fleet file has it."""
    if news.revision < view.revision:
        return
    group = news.group
    view.revision, view.removed = news.revision, group is None
    if group is None:
        return
    view.criticality, view.exposure = group.criticality, group.exposure
    view.window, view.approval = _window_in_words(group), _approval_in_words(group)
    view.contacts = tuple(without_secrets(contact) for contact in group.contacts)
    view.definition = digest(group)


def fleet_file_told(view: FleetFileView, news: TellFleetFile) -> None:
    """Take in what became of a newer version of the fleet file."""
    if view.told_at is None or news.at >= view.told_at:
        view.told_at, view.revision, view.path = news.at, news.revision, news.path
        view.digest, view.error = news.digest, news.error


def _window_in_words(group: Group) -> str:
    if group.window == "always":
        return "always"
    return f"{group.window.rrule}, {group.window.duration}, {group.window.timezone}"


def _approval_in_words(group: Group) -> str:
    approval = group.policies.approval
    if not isinstance(approval, Approval):
        return "automatic"
    who = "person" if approval.minimum_approvers == 1 else "people"
    text = f"{approval.minimum_approvers} {who}"
    return f"{text}, not the requester" if approval.not_the_requester else text


def proposal_view(news: TellProposal) -> ProposalView:
    """A proposal as it was made."""
    return ProposalView(id=news.to, time=news.time, **news.proposed.model_dump())


def notice_told(view: NoticeView, news: TellNotice) -> None:
    """Take in how a notice goes; what was sent stays sent, at the first time, what failed stays failed."""
    notice = news.notice
    view.update_id, view.wave_id, view.group = notice.update_id, notice.wave_id, notice.group
    view.contact, view.occasion = notice.contact, notice.occasion
    if isinstance(notice, NoticeSent):
        view.time = min(view.time, notice.sent_at) if view.state == "sent" else notice.sent_at
        view.state, view.subject, view.error = "sent", notice.subject_line, None
        view.next_attempt_at = None
    elif isinstance(notice, NoticeFailed):
        if view.state != "sent":
            view.state, view.error, view.time = "failed", notice.error, news.time
            view.attempts, view.next_attempt_at = notice.attempts, None
    elif view.state in ("retrying", "dropped"):
        _notice_delayed(view, notice, news.time)


def _notice_delayed(view: NoticeView, notice: NoticeDelayed, time: datetime) -> None:
    dropped = notice.next_attempt_at is None
    if (notice.attempts, dropped) < (view.attempts, view.state == "dropped"):
        return
    view.state, view.error, view.time = "dropped" if dropped else "retrying", notice.error, time
    view.attempts, view.next_attempt_at = notice.attempts, notice.next_attempt_at


def letter_told(view: DeadLetterView, news: TellLetter) -> None:
    """Take in a dead letter; one that comes after a decision opens the case again."""
    letter = news.letter
    decided = news.event_id == view.decided_on
    if news.event_id == view.letter_event_id or (decided and view.letter_event_id):
        return
    view.letter_event_id = news.event_id
    view.service, view.reason, view.error = letter.service, letter.reason, letter.error
    view.attempts, view.event_id = letter.attempts, letter.event_id
    view.first_failed_at = letter.first_failed_at
    record = letter.record
    view.topic, view.partition, view.offset = record.topic, record.partition, record.offset
    view.key, view.headers, view.value = record.key, record.headers, record.value
    if not decided:
        view.state = "open"


def decision_told(view: DeadLetterView, news: TellDecision) -> None:
    """Take in what a person decided about a dead letter, which may not be here yet."""
    decided = news.decided
    if view.letter_event_id in ("", decided.letter_event_id):
        view.state, view.decided_on = decided.decision, decided.letter_event_id
        view.decided_by, view.decided_at = decided.who, decided.decided_at


def answer_view(news: TellRequest) -> RequestView:
    """The view of an answer."""
    answer = news.answer
    if isinstance(answer, RequestRefused):
        return RequestView(
            id=news.to,
            accepted=False,
            action=answer.action,
            update_id=answer.update_id,
            rule=answer.rule,
            explanation=answer.explanation,
        )
    published = answer.published
    return RequestView(
        id=news.to,
        accepted=True,
        action=answer.action,
        update_id=published.update_id if published else answer.update_id,
        effect=answer.effect,
        event_id=published.event_id if published else None,
        result=published.result if published else None,
    )
