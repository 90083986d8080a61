"""Has updates assessed again after targets have become known or unknown: many at once, so gathered."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchline_assessment.messages import Gather, Reassess
from patchline_assessment.settings import Settings
from patchline_assessment.update import UNSETTLED, KnownUpdate
from patchline_kit.context import Context
from patchline_kit.documents import Document

SWEEP = "sweep"
"""Id of the one :class:`Sweep`."""
BLOCK = 200
"""So many updates are told with one write."""


class Sweep(Document, collection="sweep", shared=True):
    """What is to be told to updates, and how far that has come."""

    news: bool = False
    settled_too: bool = False
    """Whether the news is for settled updates too."""
    since: datetime | None = None
    """Since when news is gathered; null when there is none."""
    after: str | None = None
    """While updates are told: the id of the last one told."""
    everything: bool = False
    """Whether settled updates are being told, too."""


async def tell_updates(tag: str | None, after: str, ctx: Context) -> str | None:
    """Tell the next block of updates with ``tag`` to look again; the last one's id, None at the end."""
    page = await ctx.find(KnownUpdate, tag, after=after, limit=BLOCK)
    for update in page:
        ctx.send(Reassess(to=update.id))
    return page[-1].id if len(page) == BLOCK else None


async def call(settled_too: bool, ctx: Context) -> None:
    """Have updates told, unless there are none, or a sweep that has not begun yet will do it anyway.

    Called after the change is stored: a sweep that begins from now on sees it.
    """
    if not await ctx.find(KnownUpdate, None if settled_too else UNSETTLED, limit=1):
        return
    waiting = await ctx.read(Sweep, SWEEP)
    if waiting is None or not waiting.news or (settled_too and not waiting.settled_too):
        ctx.send(Gather(to=SWEEP, settled_too=settled_too))


def gather(sweep: Sweep, message: Gather, now: datetime, delay: timedelta) -> None:
    """Add a piece of news. What comes while updates are told is told after it, from the first one on."""
    sweep.settled_too |= message.settled_too
    sweep.news = True
    sweep.since = sweep.since or now
    sweep.wake_at = min(sweep.wake_at or now + delay, now + delay)


async def advance(sweep: Sweep, still_asking: bool, settings: Settings, ctx: Context) -> None:
    """Begin with what was gathered, or tell the next block of updates.

    While targets are being asked for the first time it gathers on, for as long as a first assessment waits.
    """
    if sweep.after is None:
        if not sweep.news or sweep.since is None:
            return
        if still_asking and ctx.now < sweep.since + settings.inventory_patience:
            sweep.wake_at = ctx.now + settings.assessment_delay
            return
        sweep.after, sweep.everything = "", sweep.settled_too
        sweep.news, sweep.settled_too, sweep.since = False, False, None
    sweep.after = await tell_updates(None if sweep.everything else UNSETTLED, sweep.after, ctx)
    if sweep.after is not None or sweep.news:
        sweep.wake_at = ctx.now
