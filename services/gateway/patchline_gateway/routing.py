"""Which views an event is news for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

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
from patchline_gateway.outcomes import wave_news
from patchline_gateway.sentences import summary_of
from patchline_gateway.views import (
    FLEET_FILE,
    AssessmentSummary,
    PackageLine,
    PlanSummary,
    Stopped,
    Withdrawn,
)
from patchline_kit.documents import Message
from patchline_schemas import (
    Envelope,
    Event,
    dead_letters,
    fleet,
    notices,
    policies,
    requests,
    updates,
    waves,
)
from patchline_schemas.feed_items import update_id_of

UNKNOWN_SHOWN = 20
"""How many sentences about unknown targets an update keeps."""

INSTALLED_ON_SHOWN = 20
"""How many of the targets that have a withdrawn version an update keeps."""


def digest(value: BaseModel) -> str:
    """A digest of a definition, the same wherever it is computed."""
    return hashlib.sha256(value.model_dump_json().encode()).hexdigest()


def update_of(event: Event) -> str | None:
    """The update an event belongs to, if it belongs to one."""
    match event:
        case waves.WaveEvent(order=order):
            return order.update_id
        case requests.RequestAccepted(published=requests.PublishResult(update_id=published)):
            return published
        case requests.RequestSubmitted(update_id=None, item=Mapping() as item):
            return update_id_of(item)
        case _:
            return getattr(event, "update_id", None)


def news_of(event: Event, envelope: Envelope) -> Sequence[Message]:  # noqa: PLR0911 - one return for each entity
    """The messages by which the views learn of ``event``; none for most."""
    match event:
        case updates.UpdateEvent():
            told = _update_news(event, envelope)
            return [told] if told else []
        case waves.WaveEvent():
            return [_wave_news(event, envelope)]
        case requests.RequestAccepted() | requests.RequestRefused():
            return [TellRequest(to=event.request_id, answer=event)]
        case notices.NoticeSent() | notices.NoticeDelayed() | notices.NoticeFailed():
            return [TellNotice(to=event.notice_id, time=envelope.time, notice=event)]
        case policies.PolicyProposed():
            return [TellProposal(to=envelope.id, time=envelope.time, proposed=event)]
        case dead_letters.DeadLettered():
            return [TellLetter(to=event.letter_id, event_id=envelope.id, letter=event)]
        case dead_letters.DeadLetterDecided():
            return [TellDecision(to=event.letter_id, decided=event)]
        case fleet.GroupRegistered(group=group, revision=revision):
            return [TellGroup(to=group.name, revision=revision, group=group)]
        case fleet.GroupRemoved(group=name, revision=revision):
            return [TellGroup(to=name, revision=revision, group=None)]
        case fleet.FleetFileEvent():
            return [_fleet_file_news(event, envelope)]
        case _:
            return _target_news(event)


def _update_news(event: updates.UpdateEvent, envelope: Envelope) -> TellUpdate | None:
    news: dict[str, object] = {}
    match event:
        case updates.UpdateProgressed():
            news = {"progress": event}
        case updates.UpdateAssessed(page=1):
            news = {"assessment": _assessment(event)}
        case updates.UpdatePlanned():
            plan = PlanSummary(revision=event.revision, approval=event.approval, rollback=event.rollback)
            news = {"plan": plan}
        case updates.UpdateRejected() | updates.UpdateCancelled():
            news = {"stopped": Stopped(round=event.round, sentence=summary_of(event))}
        case updates.RetractionAssessed():
            withdrawn = Withdrawn(
                revision=event.revision,
                reason=event.reason,
                installed_on=event.installed_on[:INSTALLED_ON_SHOWN],
                installed_total=event.installed_total,
                last_seen_on=event.last_seen_on[:INSTALLED_ON_SHOWN],
                unknown_total=event.unknown_total,
            )
            news = {"withdrawn": withdrawn}
        case updates.UpdateDocumented():
            news = {"documented_round": event.round, "reports": event.reports}
        case updates.UpdateReviewed():
            news = {
                "reviewed_round": event.round,
                "reviewed_at": envelope.time,
                "findings": tuple(finding.sentence for finding in event.findings),
            }
    if not news:
        return None
    about = {"to": event.update_id, "component": event.component, "to_version": event.version}
    return TellUpdate.model_validate({**about, **news})


def _assessment(event: updates.UpdateAssessed) -> AssessmentSummary:
    unknown = [target for target in event.targets if target.status == "unknown"]
    return AssessmentSummary(
        revision=event.revision,
        due_rule=event.due_rule,
        inputs=event.inputs,
        affected_total=event.affected_total,
        not_affected_total=event.not_affected_total,
        unknown_total=event.unknown_total,
        unknown=tuple(f"{target.target_id}: {target.reason}" for target in unknown[:UNKNOWN_SHOWN]),
    )


def _wave_news(event: waves.WaveEvent, envelope: Envelope) -> TellWave:
    order = event.order
    planned = isinstance(event, waves.WavePlanned)
    return TellWave(
        to=order.wave_id,
        update_id=order.update_id,
        round=order.round,
        number=order.number,
        group=order.group,
        to_version=order.version,
        at=envelope.time,
        news=wave_news(event),
        planned=planned,
        starts_at=event.starts_at if isinstance(event, waves.WavePlanned) else None,
        ends_at=event.ends_at if isinstance(event, waves.WavePlanned) else None,
    )


def _fleet_file_news(event: fleet.FleetFileEvent, envelope: Envelope) -> TellFleetFile:
    return TellFleetFile(
        to=FLEET_FILE,
        at=envelope.time,
        revision=event.revision,
        path=event.path,
        digest=event.digest,
        error=event.error if isinstance(event, fleet.FleetFileRefused) else None,
    )


def _target_news(event: Event) -> Sequence[Message]:
    match event:
        case fleet.TargetRegistered(target=target, revision=revision):
            return [
                TellTarget(
                    to=target.id,
                    group=target.group,
                    revision=revision,
                    driver=target.driver,
                    path=target.path,
                    definition=digest(target),
                )
            ]
        case fleet.TargetRemoved(target_id=target_id, group=group, revision=revision):
            return [TellTarget(to=target_id, group=group, revision=revision, removed=True)]
        case fleet.InventoryReported():
            packages = tuple(
                PackageLine(component=package.component, version=package.version)
                for package in event.packages
            )
            return [
                TellTarget(
                    to=event.target_id,
                    group=event.group,
                    asked_at=event.collected_at,
                    runtime=event.runtime,
                    packages_total=len(packages),
                ),
                TellInventory(
                    to=event.target_id,
                    group=event.group,
                    collected_at=event.collected_at,
                    runtime=event.runtime,
                    environment=event.environment,
                    packages=packages,
                ),
            ]
        case fleet.InventoryFailed():
            return [
                TellTarget(
                    to=event.target_id,
                    group=event.group,
                    asked_at=event.attempted_at,
                    inventory_error=event.reason,
                )
            ]
        case _:
            return []
