"""What is told of a wave to its group, and the wave's calendar entry."""

from __future__ import annotations

import asyncio

from patchline_communication import ical, texts
from patchline_communication.declaration import service
from patchline_communication.documents import WaveNews
from patchline_communication.settings import Settings
from patchline_communication.telling import known_news, tell_of_wave
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
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


@service.on(WavePlanned)
async def tell_of_plan(event: WavePlanned, ctx: Context) -> None:
    """Tell when a wave will be, and put it into the calendar; again when its time changes."""
    order = event.order
    news = await known_news(order.update_id, ctx)
    wave = await ctx.load(WaveNews, order.wave_id) or ctx.create(
        WaveNews(
            id=order.wave_id,
            update_id=order.update_id,
            group=order.group,
            component=order.component,
            to_version=order.version,
            changed_at=ctx.now,
        )
    )
    before = wave.shown_at
    occasion = wave.plan(event, ctx.now)
    if occasion is None:
        raise Stale("its time has not changed")
    text = texts.planned(wave, news, downtime=event.expected_downtime, before=before)
    await tell_of_wave(event, occasion, text, ctx, which=str(wave.sequence), about_at=event.starts_at)


@service.on(WaveCancelled)
async def tell_of_cancellation(event: WaveCancelled, ctx: Context) -> None:
    """Tell that a wave will not be, and cancel its calendar entry."""
    wave = await ctx.require(WaveNews, event.order.wave_id)
    if wave.cancelled:
        raise Stale("its cancellation was told")
    wave.cancel(ctx.now)
    text = texts.cancelled(wave, event.reason)
    await tell_of_wave(event, "cancelled", text, ctx, which=str(wave.sequence))


@service.on(WaveDue)
async def tell_of_start(event: WaveDue, ctx: Context) -> None:
    """Tell that a wave begins."""
    order = event.order
    text = texts.started(_what(event), order.group, len(event.targets), order.window_ends_at)
    await tell_of_wave(event, "started", text, ctx)


@service.on(WaveVerified)
async def tell_of_end(event: WaveVerified, ctx: Context) -> None:
    """Tell that a wave ended well."""
    text = texts.ended(_what(event), event.order.group, event.results)
    await tell_of_wave(event, "ended", text, ctx)


@service.on(WaveRollbackVerified)
async def tell_of_rollback(event: WaveRollbackVerified, ctx: Context) -> None:
    """Tell that a wave is as it was before."""
    text = texts.rolled_back(_what(event), event.order.group, event.results)
    await tell_of_wave(event, "ended", text, ctx, which="rolled back")


@service.on(WaveBackupFailed, WaveDeployFailed, WaveVerificationFailed)
async def tell_of_failure(event: WaveFailed, ctx: Context) -> None:
    """Tell that a step failed, and what follows."""
    backup = isinstance(event, WaveBackupFailed)
    next_step = "Nothing was changed." if backup else "What was changed is rolled back."
    text = texts.failed(_what(event), event.order.group, event.error, next_step)
    await tell_of_wave(event, "failed", text, ctx, which=event.TYPE)


@service.wakes(WaveNews)
async def write_calendar(wave: WaveNews, ctx: Context) -> None:
    """Write the wave's calendar entry."""
    folder = ctx.setting(Settings).dir / "notices" / "calendar"
    await asyncio.to_thread(ical.write, folder, wave)


def _what(event: WaveEvent) -> str:
    return texts.subject_of(event.order.component, event.order.version)
