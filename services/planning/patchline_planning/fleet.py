"""What planning remembers of the fleet: its groups, and whether everything is halted."""

from __future__ import annotations

from datetime import datetime

from patchline_kit.context import Context
from patchline_kit.documents import Document
from patchline_planning.messages import LookAgain
from patchline_planning.plan import Pause, Plan
from patchline_planning.windows import Slot, UnusableWindow, next_window
from patchline_schemas.fleet import Freeze, Group, GroupRegistered
from patchline_schemas.updates import AssessedTarget
from patchline_schemas.values import Urgency

FLEET = "fleet"
"""Id of the one :class:`FleetSwitch`."""
TOLD_AT_ONCE = 200
"""So many plans are told of a change with one write."""


class KnownGroup(Document, collection="groups", shared=True):
    """A group as the fleet file has it. Its id is the group's name."""

    revision: int
    """Of the fleet file."""
    group: Group
    freezes: tuple[Freeze, ...] = ()
    telling_after: str | None = None
    """While plans are told of a change: the id of the last that was; None when all were."""

    def learns(self, event: GroupRegistered) -> bool:
        """Whether the event changes when or how waves of this group are done."""
        return (self.group, self.freezes) != (event.group, event.freezes)

    def slot(self, after: datetime, *, notice_given_at: datetime, urgency: Urgency | None) -> Slot | None:
        """When a wave of this group may start next; *immediate* owes no notice.

        None when no window is in sight, or its rule cannot be used (see :meth:`trouble`).
        """
        try:
            return next_window(
                self.group.window,
                after,
                notice_given_at=None if urgency == "immediate" else notice_given_at,
                notice=self.group.notice,
                freezes=self.freezes,
            )
        except UnusableWindow:
            return None

    def open_slot(self, now: datetime) -> Slot | None:
        """What is left of the window that is open at ``now``, whatever notice is owed; None when none is."""
        slot = self.slot(now, notice_given_at=now, urgency="immediate")
        return slot if slot is not None and slot.open_at(now) else None

    def trouble(self, after: datetime) -> str:
        """Why no window is in sight, in words."""
        try:
            next_window(self.group.window, after, freezes=self.freezes)
        except UnusableWindow as error:
            return f"{error}; correct the window of group {self.group.name} in the fleet file"
        return f"a window of group {self.group.name} that comes again; its rule gives none in the calendar"


class FleetSwitch(Document, collection="fleet", shared=True):
    """Whether a person has halted everything."""

    halt: Pause | None = None
    telling_after: str | None = None
    """While plans are told of a change: the id of the last that was; None when all were."""


async def tell_plans(document: KnownGroup | FleetSwitch, tag: str, ctx: Context) -> None:
    """Tell the next block of the plans with ``tag`` to look again, and wake for the one after it."""
    plans = await ctx.find(Plan, tag, after=document.telling_after or "", limit=TOLD_AT_ONCE)
    for plan in plans:
        ctx.send(LookAgain(to=plan.id))
    document.telling_after = plans[-1].id if len(plans) == TOLD_AT_ONCE else None
    document.wake_at = None if document.telling_after is None else ctx.now


class AssessedPage(Document, collection="pages"):
    """One page of an update's newest assessment. Its id is ``<update>/<page>``."""

    revision: int
    targets: tuple[AssessedTarget, ...]


def page_id(update_id: str, page: int) -> str:
    """Id of the document that holds a page; ids sort as pages do."""
    return f"{update_id}/{page:05d}"
