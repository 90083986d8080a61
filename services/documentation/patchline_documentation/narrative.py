"""Every event of an update in one sentence, for the timeline of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from patchline_documentation.wording import count, moment, names, package_name, sentence, without_secrets
from patchline_schemas import Event, feeds, fleet, notices, policies, requests, updates, waves

E = TypeVar("E", bound=Event)
Tone = Literal["good", "bad", "plain"]
LONGEST = 400
"""Characters of a sentence; a tool's whole output is in the section of issues."""


class Told(NamedTuple):
    """An event in words."""

    sentence: str
    tone: Tone = "plain"


_TELLERS: dict[type[Event], Callable[[Any], Told]] = {}


def told(event: Event) -> Told | None:
    """The sentence for ``event``; None for one that a timeline is clearer without."""
    teller = _TELLERS.get(type(event))
    if teller is None:
        return None
    text, tone = teller(event)
    text = without_secrets(sentence(text))
    return Told(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…", tone)


def held(progress: updates.UpdateProgressed) -> str:
    """Why an update does not move, in words."""
    state = progress.state.replace("-", " ")
    if progress.held is None:
        return f"The update is {state}"
    rule = progress.held.rule.replace("-", " ").replace(".", ", ")
    by = f", held by the rule “{rule}”" if rule != state else ""
    until = f" until {moment(progress.held.until)}" if progress.held.until else ""
    who = f"; it can be released by: {progress.held.who}" if progress.held.who else ""
    return f"The update is {state}{by}{until}{who}"


def wave_name(order: waves.WaveOrder) -> str:
    """A wave as a report calls it."""
    return f"Wave {order.number} ({order.group})"


def failed_targets(results: Sequence[waves.TargetResult]) -> list[str]:
    """Ids of the targets on which a step did not succeed."""
    return [
        result.target_id
        for result in results
        if result.outcome not in ("succeeded", "rolled-back", "not-started", "pending")
    ]


def _tells(kind: type[E]) -> Callable[[Callable[[E], Told]], Callable[[E], Told]]:
    def register(teller: Callable[[E], Told]) -> Callable[[E], Told]:
        _TELLERS[kind] = teller
        return teller

    return register


@_tells(feeds.UpdatePublished)
def _published(event: feeds.UpdatePublished) -> Told:
    fixes = f"; it fixes {names([advisory.id for advisory in event.advisories])}" if event.advisories else ""
    what = f"{package_name(event.component)} {event.version}"
    return Told(f"{event.vendor} published {what} (handed in by {event.published_by}){fixes}")


@_tells(feeds.AdvisoryPublished)
def _advised(event: feeds.AdvisoryPublished) -> Told:
    added = names([advisory.id for advisory in event.advisories])
    return Told(
        f"{event.vendor} said that {package_name(event.component)} {event.version} also fixes {added}"
    )


@_tells(feeds.UpdateRetracted)
def _retracted(event: feeds.UpdateRetracted) -> Told:
    what = f"{package_name(event.component)} {event.version}"
    return Told(f"{event.vendor} withdrew {what}: {event.reason}", "bad")


@_tells(fleet.InventoryReported)
def _inventoried(event: fleet.InventoryReported) -> Told:
    return Told(f"{event.target_id} reported {count(len(event.packages), 'installed package')}")


@_tells(updates.UpdateAssessed)
def _assessed(event: updates.UpdateAssessed) -> Told:
    urgency = f"; the urgency is {event.urgency}" if event.urgency else ""
    due = f", due {moment(event.due_at)}" if event.due_at else ""
    return Told(
        f"Assessed: {count(event.affected_total, 'target')} affected, "
        f"{event.not_affected_total:,} not affected, {event.unknown_total:,} unknown{urgency}{due}"
    )


@_tells(updates.RetractionAssessed)
def _retraction(event: updates.RetractionAssessed) -> Told:
    where = f": {names(event.installed_on)}" if event.installed_on else ""
    unknown = f"; {count(event.unknown_total, 'target')} could not be asked" if event.unknown_total else ""
    return Told(
        f"The withdrawn version is installed on {count(event.installed_total, 'target')}{where}{unknown}"
    )


@_tells(updates.UpdatePlanned)
def _planned(event: updates.UpdatePlanned) -> Told:
    groups = names([wave.group for wave in event.waves])
    return Told(
        f"Planned (revision {event.revision}) in {count(len(event.waves), 'wave')}"
        f"{' for ' + groups if groups else ''}; approval: {event.approval}"
    )


@_tells(updates.UpdateTested)
def _tested(event: updates.UpdateTested) -> Told:
    copies = names([test.target_id for test in event.environments])
    return Told(f"The test passed in disposable copies of {copies}", "good")


@_tells(updates.UpdateTestFailed)
def _test_failed(event: updates.UpdateTestFailed) -> Told:
    return Told(f"The test failed, so no real target was touched: {event.error}", "bad")


@_tells(updates.UpdateApproved)
def _approved(event: updates.UpdateApproved) -> Told:
    who = "The policy" if event.automatic else names(event.approved_by)
    return Told(f"{who} approved revision {event.revision}: {event.reason}", "good")


@_tells(updates.UpdateRejected)
def _rejected(event: updates.UpdateRejected) -> Told:
    return Told(f"{event.rejected_by} rejected the update: {event.reason}", "bad")


@_tells(updates.UpdateDueSoon)
def _due_soon(event: updates.UpdateDueSoon) -> Told:
    return Told(f"The due date, {moment(event.due_at)}, came near while the update was {event.state}", "bad")


@_tells(updates.UpdateOverdue)
def _overdue(event: updates.UpdateOverdue) -> Told:
    return Told(f"The due date, {moment(event.due_at)}, passed while the update was {event.state}", "bad")


@_tells(updates.UpdateNotApplicable)
def _not_applicable(event: updates.UpdateNotApplicable) -> Told:
    return Told("No target needs the update", "good")


@_tells(updates.UpdateCompleted)
def _completed(event: updates.UpdateCompleted) -> Told:
    unknown = f"; {count(event.unknown_total, 'target')} could not be asked" if event.unknown_total else ""
    return Told(f"The update is completed: every wave is verified{unknown}", "good")


@_tells(updates.UpdateFailed)
def _failed(event: updates.UpdateFailed) -> Told:
    return Told(f"The update failed: {event.error}", "bad")


@_tells(updates.UpdateCancelled)
def _cancelled(event: updates.UpdateCancelled) -> Told:
    instead = f"; {event.superseded_by} takes its place" if event.superseded_by else ""
    return Told(f"{event.cancelled_by} cancelled the update: {event.reason}{instead}")


@_tells(waves.WavePlanned)
def _wave_planned(event: waves.WavePlanned) -> Told:
    start = f"starts {moment(event.starts_at)}" if event.starts_at else "has no window in sight"
    return Told(f"{wave_name(event.order)} with {count(len(event.targets), 'target')} {start}")


@_tells(waves.WaveCancelled)
def _wave_cancelled(event: waves.WaveCancelled) -> Told:
    return Told(f"{wave_name(event.order)} will not start: {event.reason}")


@_tells(waves.WaveDue)
def _wave_due(event: waves.WaveDue) -> Told:
    targets = names([target.target_id for target in event.targets])
    return Told(f"{wave_name(event.order)} started on {targets}")


@_tells(waves.WaveBackedUp)
def _backed_up(event: waves.WaveBackedUp) -> Told:
    return Told(
        f"{wave_name(event.order)}: {count(len(event.backups), 'backup')} taken, and restored once as proof",
        "good",
    )


@_tells(waves.WaveBackupFailed)
def _backup_failed(event: waves.WaveBackupFailed) -> Told:
    return Told(f"{wave_name(event.order)}: a backup failed, so nothing was deployed: {event.error}", "bad")


@_tells(waves.WaveDeployed)
def _deployed(event: waves.WaveDeployed) -> Told:
    left = (
        f"; {count(len(event.not_started), 'target')} left for a later wave at the window's end"
        if event.not_started
        else ""
    )
    outdated = event.left_out()
    if outdated:
        left += f"; {count(len(outdated), 'target')} left out as not as planned any more"
    done = count(sum(result.outcome == "succeeded" for result in event.results), "target")
    return Told(f"{wave_name(event.order)}: {event.order.version} installed on {done}{left}", "good")


@_tells(waves.WaveDeployFailed)
def _deploy_failed(event: waves.WaveDeployFailed) -> Told:
    return Told(f"{wave_name(event.order)}: the deployment failed: {event.error}", "bad")


@_tells(waves.WaveChecksPassed)
def _checks_passed(event: waves.WaveChecksPassed) -> Told:
    return Told(
        f"{wave_name(event.order)}: the version is in effect and the checks pass; "
        f"watched until {moment(event.soak_until)}",
        "good",
    )


@_tells(waves.WaveVerified)
def _verified(event: waves.WaveVerified) -> Told:
    return Told(
        f"{wave_name(event.order)} is verified: the checks passed through the whole soak time", "good"
    )


@_tells(waves.WaveVerificationFailed)
def _verification_failed(event: waves.WaveVerificationFailed) -> Told:
    when = "during the soak time" if event.during_soak else "after the deployment"
    return Told(f"{wave_name(event.order)}: verification failed {when}: {event.error}", "bad")


@_tells(waves.WaveRollbackRequested)
def _rollback_requested(event: waves.WaveRollbackRequested) -> Told:
    return Told(f"{wave_name(event.order)} is to be rolled back: {event.reason}")


@_tells(waves.WaveRolledBack)
def _rolled_back(event: waves.WaveRolledBack) -> Told:
    done = count(sum(result.outcome == "rolled-back" for result in event.results), "target")
    return Told(
        f"{wave_name(event.order)}: {done} back to the packages and configuration of the backup",
        "good",
    )


@_tells(waves.WaveRollbackVerified)
def _rollback_verified(event: waves.WaveRollbackVerified) -> Told:
    return Told(f"{wave_name(event.order)}: the checks pass again after the rollback", "good")


@_tells(waves.WaveRollbackFailed)
def _rollback_failed(event: waves.WaveRollbackFailed) -> Told:
    return Told(f"{wave_name(event.order)}: the rollback failed, a person is needed: {event.error}", "bad")


@_tells(requests.RequestSubmitted)
def _submitted(event: requests.RequestSubmitted) -> Told:
    return Told(f"{event.who} asked to {event.action}: {event.reason}")


@_tells(requests.RequestAccepted)
def _accepted(event: requests.RequestAccepted) -> Told:
    return Told(f"The request of {event.who} to {event.action} was carried out: {event.effect}", "good")


@_tells(requests.RequestRefused)
def _refused(event: requests.RequestRefused) -> Told:
    return Told(f"The request of {event.who} to {event.action} was refused: {event.explanation}", "bad")


@_tells(notices.NoticeSent)
def _notice_sent(event: notices.NoticeSent) -> Told:
    return Told(f"{event.contact} was told: {event.subject_line}")


@_tells(notices.NoticeFailed)
def _notice_failed(event: notices.NoticeFailed) -> Told:
    return Told(
        f"{event.contact} could not be told after {count(event.attempts, 'attempt')}: {event.error}", "bad"
    )


@_tells(policies.PolicyProposed)
def _proposed(event: policies.PolicyProposed) -> Told:
    return Told(f"A change of the policies of {event.group} was proposed: {event.reason}")
