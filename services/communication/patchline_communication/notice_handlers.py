"""How a notice gets to its contact: once, tried again while it fails, and reported either way."""

from __future__ import annotations

from datetime import timedelta

from patchline_communication import texts
from patchline_communication.courier import Courier, Letter, NotDelivered
from patchline_communication.declaration import service
from patchline_communication.documents import KnownGroup, Notice, Tell
from patchline_communication.settings import Settings
from patchline_kit.contacts import without_secrets
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_schemas.fleet import GroupRegistered
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent

LATE_AFTER = timedelta(minutes=5)
"""A notice that comes so long after the time it is about says so."""
LONGEST_PAUSE = timedelta(minutes=30)


@service.on(GroupRegistered)
async def know_group(event: GroupRegistered, ctx: Context) -> None:
    """Remember whom to tell."""
    group = event.group
    known = await ctx.load(KnownGroup, group.name)
    if known is not None and known.revision >= event.revision:
        raise Stale(f"{group.name} is known as of revision {known.revision} of the fleet file")
    required = group.policies.required_notice
    if known is None:
        ctx.create(
            KnownGroup(
                id=group.name, revision=event.revision, contacts=group.contacts, required_notice=required
            )
        )
    else:
        known.revision, known.contacts, known.required_notice = event.revision, group.contacts, required


@service.on(Tell)
async def make_notice(message: Tell, ctx: Context) -> None:
    """Make the notice, unless it exists."""
    if await ctx.load(Notice, message.to) is not None:
        raise Stale("the notice exists")
    ctx.create(
        Notice.model_validate({"id": message.to, "wake_at": ctx.now, **message.model_dump(exclude={"to"})})
    )


@service.wakes(Notice)
async def deliver(notice: Notice, ctx: Context) -> None:
    """Deliver a notice; try again with growing pauses, and report it when it cannot be."""
    group = await ctx.read(KnownGroup, notice.group)
    contact = group.contact(notice.contact) if group else None
    if contact is None:
        ctx.log.info("notice %s is dropped: the fleet file has its contact no more", notice.id)
        notice.done = True
        if notice.contact_shown:
            _delayed(notice, ctx)
        return
    late = texts.late(notice.about_at, ctx.now, tolerance=LATE_AFTER)
    letter = Letter(notice.id, ctx.now, notice.subject_line, late + notice.body)
    try:
        await ctx.resource(Courier).deliver(contact, letter)
    except NotDelivered as error:
        _failed(notice, contact, str(error), ctx)
        return
    notice.done = True
    sent = {"subject_line": notice.subject_line, "sent_at": ctx.now}
    ctx.emit(NoticeSent.model_validate({**_head(notice, without_secrets(contact)), **sent}))


def _failed(notice: Notice, contact: str, error: str, ctx: Context) -> None:
    settings = ctx.setting(Settings)
    notice.attempts += 1
    notice.error = error
    notice.contact_shown = without_secrets(contact)
    if notice.attempts < settings.notice_attempts:
        pause = settings.notice_retry * 2 ** (notice.attempts - 1)
        notice.wake_at = ctx.now + min(pause, LONGEST_PAUSE)
        _delayed(notice, ctx)
        return
    notice.done = True
    ctx.log.warning("%s cannot be told: %s", notice.contact_shown, error)
    ctx.emit(NoticeFailed.model_validate(_failure(notice)))


def _delayed(notice: Notice, ctx: Context) -> None:
    """Say that a contact is not told yet, and when it is tried again, if it is."""
    delayed = {**_failure(notice), "next_attempt_at": None if notice.done else notice.wake_at}
    ctx.emit(NoticeDelayed.model_validate(delayed), part=f"{notice.attempts}/{notice.done}")


def _failure(notice: Notice) -> dict[str, object]:
    head = _head(notice, notice.contact_shown)
    return {**head, "error": notice.error, "attempts": notice.attempts, "required": notice.required}


def _head(notice: Notice, contact: str) -> dict[str, object]:
    """What all events of a notice say; ``contact`` is without its secrets."""
    return {
        "notice_id": notice.id,
        "update_id": notice.update_id,
        "wave_id": notice.wave_id,
        "group": notice.group,
        "contact": contact,
        "occasion": notice.occasion,
    }
