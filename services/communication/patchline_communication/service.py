"""Communication: tells each group's contacts ahead of a window, at its start and end, and on failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta

from patchline_communication import calendar, texts
from patchline_communication.courier import AppriseCourier, Courier, Letter, NotDelivered
from patchline_communication.documents import KnownGroup, Notice, Tell, UpdateNews, WaveNews
from patchline_communication.settings import Settings
from patchline_communication.telling import known_news, news_of, tell
from patchline_fleet.registry import known_target, remember_targets
from patchline_kit.contacts import without_secrets
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_kit.service import Service
from patchline_schemas.fleet import GroupRegistered
from patchline_schemas.notices import NoticeFailed, NoticeSent, Occasion
from patchline_schemas.updates import (
    RetractionAssessed,
    UpdateDue,
    UpdateDueSoon,
    UpdateOverdue,
    UpdatePlanned,
    UpdateProgressed,
    UpdateTestFailed,
)
from patchline_schemas.waves import (
    WaveBackupFailed,
    WaveCancelled,
    WaveDeployFailed,
    WaveDue,
    WaveEvent,
    WaveFailed,
    WavePlanned,
    WaveRollbackVerified,
    WaveVerificationFailed,
    WaveVerified,
)

LATE_AFTER = timedelta(minutes=5)
"""A notice that comes so long after the time it announces says so."""

service = Service("communication", emits=[NoticeSent, NoticeFailed], settings=Settings)
remember_targets(service)


@service.on(GroupRegistered)
async def know_group(event: GroupRegistered, ctx: Context) -> None:
    """Remember whom to tell."""
    group = event.group
    known = await ctx.load(KnownGroup, group.name)
    if known is not None and known.revision >= event.revision:
        raise Stale(f"{group.name} is known as of revision {known.revision} of the fleet file")
    facts = {"contacts": group.contacts, "required_notice": group.policies.required_notice}
    if known is None:
        ctx.create(KnownGroup(id=group.name, revision=event.revision, **facts))
    else:
        known.revision, known.contacts = event.revision, group.contacts
        known.required_notice = group.policies.required_notice


@service.on(UpdatePlanned)
async def know_update(event: UpdatePlanned, ctx: Context) -> None:
    """Remember what the update is about and whom it concerns."""
    facts = {
        "revision": event.revision,
        "component": event.component,
        "to_version": event.version,
        "groups": tuple(dict.fromkeys(wave.group for wave in event.waves)),
        "advisories": event.advisories,
        "notes_url": event.notes_url,
        "approval": event.approval,
    }
    news = await ctx.load(UpdateNews, event.update_id)
    if news is None:
        ctx.create(UpdateNews.model_validate({"id": event.update_id, **facts}))
    elif news.revision < event.revision:
        for name, value in facts.items():
            setattr(news, name, value)
    else:
        raise Stale(f"plan {news.revision} is known")


@service.on(WavePlanned)
async def tell_of_plan(event: WavePlanned, ctx: Context) -> None:
    """Tell when a wave will be, and put it into the calendar; again when its time changes."""
    order = event.order
    news = await known_news(order.update_id, ctx)
    wave = await ctx.load(WaveNews, order.wave_id)
    before = wave.starts_at if wave is not None else None
    if wave is None:
        wave = ctx.create(
            WaveNews(
                id=order.wave_id,
                update_id=order.update_id,
                group=order.group,
                component=order.component,
                to_version=order.version,
                targets_total=len(event.targets),
                starts_at=event.starts_at,
                ends_at=event.ends_at,
                changed_at=ctx.now,
            )
        )
    elif (wave.starts_at, wave.ends_at) == (event.starts_at, event.ends_at) and not wave.cancelled:
        raise Stale("its time has not changed")
    else:
        wave.starts_at, wave.ends_at, wave.cancelled = event.starts_at, event.ends_at, False
        wave.targets_total = len(event.targets)
        wave.sequence, wave.changed_at = wave.sequence + 1, ctx.now
    wave.wake_at = ctx.now
    text = texts.planned(wave, news, downtime=event.expected_downtime, before=before)
    which = event.starts_at.isoformat() if event.starts_at else "no window"
    occasion: Occasion = "planned" if before is None else "rescheduled"
    await _tell_wave(event, occasion, text, ctx, which=which)


@service.on(WaveCancelled)
async def tell_of_cancellation(event: WaveCancelled, ctx: Context) -> None:
    """Tell that a wave will not be, and cancel its calendar entry."""
    wave = await ctx.require(WaveNews, event.order.wave_id)
    if wave.cancelled:
        raise Stale("its cancellation was told")
    wave.cancelled, wave.sequence, wave.changed_at = True, wave.sequence + 1, ctx.now
    wave.wake_at = ctx.now
    await _tell_wave(event, "cancelled", texts.cancelled(wave, event.reason), ctx, which=str(wave.sequence))


@service.on(WaveDue)
async def tell_of_start(event: WaveDue, ctx: Context) -> None:
    """Tell that a wave begins."""
    order = event.order
    text = texts.started(_what(event), order.group, len(event.targets), order.window_ends_at)
    await _tell_once(event, "started", text, ctx)


@service.on(WaveVerified)
async def tell_of_end(event: WaveVerified, ctx: Context) -> None:
    """Tell that a wave ended well."""
    await _tell_once(event, "ended", texts.ended(_what(event), event.order.group, event.results), ctx)


@service.on(WaveRollbackVerified)
async def tell_of_rollback(event: WaveRollbackVerified, ctx: Context) -> None:
    """Tell that a wave is as it was before."""
    text = texts.rolled_back(_what(event), event.order.group, event.results)
    await _tell_once(event, "ended", text, ctx, which="rolled back")


@service.on(WaveBackupFailed, WaveDeployFailed, WaveVerificationFailed)
async def tell_of_failure(event: WaveFailed, ctx: Context) -> None:
    """Tell that a step failed, and what follows."""
    backup = isinstance(event, WaveBackupFailed)
    next_step = "Nothing was changed." if backup else "What was changed is rolled back."
    text = texts.failed(_what(event), event.order.group, event.error, next_step)
    await _tell_once(event, "failed", text, ctx, which=event.TYPE)


@service.on(UpdateTestFailed)
async def tell_of_failed_test(event: UpdateTestFailed, ctx: Context) -> None:
    """Tell that an update was stopped before it touched anything."""
    news = await news_of(event.update_id, f"test-failed {event.revision}", ctx)
    what = texts.subject_of(news.component, news.to_version)
    text = texts.failed(what, "a copy", event.error, "No target was touched.")
    await tell(ctx, news.groups, "failed", text, update_id=event.update_id, which=f"test {event.revision}")


@service.on(UpdateProgressed)
async def tell_of_waiting(event: UpdateProgressed, ctx: Context) -> None:
    """Tell at once that an update waits for a person, once for each plan."""
    if event.state not in ("awaiting-approval", "needs-person"):
        raise Stale("only what waits for a person is told")
    news = await news_of(event.update_id, f"{event.state} {event.revision}", ctx)
    if event.state == "awaiting-approval":
        text = texts.awaiting_approval(news)
    else:
        text = texts.needs_person(news, event.error or "A rollback failed.")
    await tell(ctx, news.groups, event.state, text, update_id=event.update_id, which=str(event.revision))


@service.on(UpdateDueSoon, UpdateOverdue)
async def tell_of_due_date(event: UpdateDue, ctx: Context) -> None:
    """Tell that a due date is near, or past."""
    over = isinstance(event, UpdateOverdue)
    occasion: Occasion = "overdue" if over else "due-soon"
    news = await news_of(event.update_id, f"{occasion} {event.due_at.isoformat()}", ctx)
    text = texts.due(news, event.due_at, event.held, over=over)
    await tell(ctx, news.groups, occasion, text, update_id=event.update_id, which=event.due_at.isoformat())


@service.on(RetractionAssessed)
async def tell_of_retraction(event: RetractionAssessed, ctx: Context) -> None:
    """Tell the groups in which a withdrawn version is installed."""
    if not event.installed_on:
        raise Stale("it is installed nowhere")
    by_group: dict[str, list[str]] = defaultdict(list)
    for target_id in event.installed_on:
        known = await known_target(target_id, ctx)
        if known.target is not None:
            by_group[known.target.group].append(target_id)
    if await ctx.load(UpdateNews, event.update_id) is None:
        ctx.create(
            UpdateNews(
                id=event.update_id,
                revision=0,
                component=event.component,
                to_version=event.version,
                groups=tuple(by_group),
            )
        )
    what = texts.subject_of(event.component, event.version)
    for group, target_ids in by_group.items():
        text = texts.retracted(what, event.reason, target_ids, group)
        await tell(
            ctx, [group], "retracted", text, update_id=event.update_id, which=f"{group} {event.revision}"
        )


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
    settings = ctx.setting(Settings)
    head = {
        "notice_id": notice.id,
        "update_id": notice.update_id,
        "wave_id": notice.wave_id,
        "group": notice.group,
        "contact": without_secrets(notice.contact),
        "occasion": notice.occasion,
    }
    late = texts.late(notice.about_at, ctx.now, tolerance=LATE_AFTER)
    letter = Letter(notice.id, ctx.now, notice.subject_line, late + notice.body)
    try:
        await ctx.resource(Courier).deliver(notice.contact, letter)
    except NotDelivered as error:
        notice.attempts += 1
        notice.error = str(error)
        if notice.attempts < settings.notice_attempts:
            notice.wake_at = ctx.now + settings.notice_retry * 2 ** (notice.attempts - 1)
            return
        notice.done = True
        ctx.log.warning("%s cannot be told: %s", head["contact"], error)
        failure = {"error": notice.error, "attempts": notice.attempts, "required": notice.required}
        ctx.emit(NoticeFailed.model_validate({**head, **failure}))
        return
    notice.done = True
    ctx.emit(NoticeSent.model_validate({**head, "subject_line": notice.subject_line, "sent_at": ctx.now}))


@service.wakes(WaveNews)
async def write_calendar(wave: WaveNews, ctx: Context) -> None:
    """Write the wave's calendar entry; a wave without a time has none until it has one."""
    if wave.starts_at is not None:
        calendar.write(ctx.setting(Settings).dir / "notices" / "calendar", wave)


@service.resource(Courier)
async def courier(settings: Settings) -> AsyncIterator[Courier]:
    """Files beside the fleet file, Apprise for the rest."""
    base = settings.fleet.resolve().parent if settings.fleet else settings.dir / "notices"
    yield AppriseCourier(base, timeout=settings.notice_timeout)


def _what(event: WaveEvent) -> str:
    return texts.subject_of(event.order.component, event.order.version)


async def _tell_once(
    event: WaveEvent, occasion: Occasion, text: texts.Text, ctx: Context, *, which: str = ""
) -> None:
    await ctx.require(WaveNews, event.order.wave_id)
    await _tell_wave(event, occasion, text, ctx, which=which)


async def _tell_wave(
    event: WaveEvent, occasion: Occasion, text: texts.Text, ctx: Context, *, which: str
) -> None:
    order = event.order
    about_at = event.starts_at if isinstance(event, WavePlanned) else None
    await tell(
        ctx,
        [order.group],
        occasion,
        text,
        update_id=order.update_id,
        wave_id=order.wave_id,
        which=which,
        about_at=about_at,
    )
