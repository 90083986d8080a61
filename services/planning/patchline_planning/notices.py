"""Notices that a policy requires before a wave may start."""

from __future__ import annotations

from patchline_planning.plan import Plan, PlannedWave
from patchline_schemas.notices import NoticeFailed, NoticeSent


def counts(plan: Plan | None, event: NoticeSent | NoticeFailed) -> bool:
    """Whether a notice, sent or not, is about a planned wave that may not start without it."""
    return plan is not None and _wave_of(plan, event) is not None


def note(plan: Plan, event: NoticeSent | NoticeFailed) -> None:
    """Remember that a contact knows of the wave, or could not be told."""
    wave = _wave_of(plan, event)
    if wave is None:
        return
    if isinstance(event, NoticeFailed):
        wave.notice_missed = event.contact
        return
    if event.contact not in wave.told:
        wave.told.append(event.contact)
    if wave.notice_missed == event.contact:
        wave.notice_missed = None


def _wave_of(plan: Plan, event: NoticeSent | NoticeFailed) -> PlannedWave | None:
    if event.wave_id is None or event.occasion not in ("planned", "rescheduled"):
        return None
    wave = plan.wave(event.wave_id)
    return wave if wave is not None and wave.contacts and wave.state == "planned" else None
