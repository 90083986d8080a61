"""From an occasion to the notices of everybody concerned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from patchline_communication.documents import KnownGroup, Tell, UpdateNews, WaveNews, contact_key
from patchline_communication.texts import Text
from patchline_kit.context import Context
from patchline_kit.outcomes import Early, Stale
from patchline_schemas.envelope import derived_id
from patchline_schemas.notices import Occasion
from patchline_schemas.waves import WaveEvent


async def tell(
    ctx: Context,
    groups: Iterable[str],
    occasion: Occasion,
    text: Text,
    *,
    update_id: str,
    wave_id: str | None = None,
    which: str,
    about_at: datetime | None = None,
) -> None:
    """Send a notice to every contact of ``groups``.

    ``which`` tells this occasion from another of its kind; a notice's id follows from it, so the same
    occasion is never told twice. A contact of several groups is told once. ``about_at`` is the instant that
    the notice is about; by default that of the event in hand.
    """
    happened_at = ctx.envelope.time if ctx.envelope else ctx.now
    told: set[str] = set()
    for name in groups:
        group = await known_group(name, ctx)
        for contact in group.contacts:
            if contact in told:
                continue
            told.add(contact)
            ctx.send(
                Tell(
                    to=derived_id(f"{wave_id or update_id}/{which}", f"notice.{occasion}", contact),
                    update_id=update_id,
                    wave_id=wave_id,
                    group=name,
                    contact=contact_key(contact),
                    required=group.required_notice,
                    occasion=occasion,
                    subject_line=text.subject,
                    body=text.body,
                    about_at=about_at or happened_at,
                )
            )


async def tell_of_wave(
    event: WaveEvent,
    occasion: Occasion,
    text: Text,
    ctx: Context,
    *,
    which: str = "",
    about_at: datetime | None = None,
) -> None:
    """Send a notice to every contact of the wave's group. Raises :class:`Early` before the wave is known."""
    order = event.order
    await ctx.require(WaveNews, order.wave_id)
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


async def known_group(name: str, ctx: Context) -> KnownGroup:
    """The group. Raises :class:`Early` until ``fleet.group-registered`` was handled."""
    group = await ctx.read(KnownGroup, name)
    if group is None:
        raise Early(f"the group {name} is not registered here yet", waits_for=(KnownGroup, name))
    return group


async def known_news(update_id: str, ctx: Context) -> UpdateNews:
    """What the update is about. Raises :class:`Early` until it was assessed or planned."""
    news = await ctx.read(UpdateNews, update_id)
    if news is None:
        raise Early(f"the plan of {update_id} is not known here yet", waits_for=(UpdateNews, update_id))
    return news


async def news_of(update_id: str, once: str, ctx: Context) -> UpdateNews:
    """The update's news, to tell something ``once``. Raises :class:`Stale` if that was told before."""
    news = await ctx.require(UpdateNews, update_id)
    if once in news.told:
        raise Stale(f"{once} was told before")
    news.told = news.told | {once}
    return news
