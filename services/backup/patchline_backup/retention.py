"""How long backups are kept: one document per backup watches over it, by the archives' own rule."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchline_backup.settings import Settings
from patchline_fleet.archives import Archives, KeptArchive, expired
from patchline_kit.context import Context
from patchline_kit.documents import Document, Message
from patchline_schemas.waves import Backup

LOOK_AGAIN = timedelta(days=1)
"""How often a backup is looked at; a rule that was changed meanwhile counts from then on."""
SOONEST = timedelta(minutes=1)
"""With a rule that keeps backups for less than a day it is oftener, but not more often than this."""


class KeepBackup(Message):
    """To a backup's own document: it was made for a wave of this round."""

    backup: Backup
    round_id: str


class EndedRound(Document, collection="ended_rounds"):
    """A round that has ended: its waves need their backups no longer. Its id is :func:`round_id`."""

    ended_at: datetime


class KeptBackup(Document, collection="kept_backups"):
    """A backup that lies in the archive; its id is the address."""

    backup: Backup
    round_id: str
    taken_at: datetime

    def tags(self) -> frozenset[str]:
        """Found by its target."""
        return frozenset({self.backup.target_id})


def round_id(update_id: str, number: int) -> str:
    """The id of an update's round."""
    return f"{update_id}.r{number}"


def next_look(ctx: Context) -> datetime:
    """When a backup that stays is looked at again."""
    return ctx.now + min(max(ctx.setting(Settings).backup_keep_for, SOONEST), LOOK_AGAIN)


async def watch_over(kept: KeptBackup, ctx: Context) -> None:
    """Delete the backup if the retention rule lets it go, else look again.

    While its round runs, a backup is in use: any of its waves may still go back.
    """
    settings = ctx.setting(Settings)
    ended = await ctx.read(EndedRound, kept.round_id)
    of_target = await ctx.find(KeptBackup, kept.backup.target_id)
    gone = expired(
        [KeptArchive(each.id, each.backup.target_id, each.taken_at) for each in of_target],
        now=ctx.now,
        keep_last=settings.backup_keep_last,
        keep_for=settings.backup_keep_for,
        in_use=() if ended is not None else (kept.id,),
    )
    if kept.id not in {each.address for each in gone}:
        kept.wake_at = next_look(ctx)
        return
    await ctx.resource(Archives).delete(kept.id)
    ctx.delete(kept)
