"""The fleet as its file has it: groups and targets, and what a new version of the file changes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_assessment.messages import RegisterTarget, RemoveGroup, RemoveTarget
from patchline_fleet.fleetfile import FleetFile
from patchline_kit.context import Context
from patchline_kit.documents import Document
from patchline_schemas.fleet import Freeze, Group, Target

FLEET = "fleet"
"""Id of the one :class:`Fleet`."""
REGISTERED = "registered"


class Fleet(Document, collection="fleet", shared=True):
    """The fleet file that holds now, and what is wrong with a newer one."""

    digest: str = ""
    """Of the version of the file that holds."""
    revision: int = 0
    """Counts the versions of the file that came to hold; 0 before the first."""
    telling: bool = False
    """Whether its groups and targets are being told what the file says of them."""
    told_revision: int = 0
    """Up to which revision all of them have heard it."""
    targets_total: int = 0
    ask_all: bool = False
    """Whether every target is to be asked again, after a start."""
    refused_digest: str | None = None
    error: str | None = None
    """Why the file as it is now cannot be used; what held before still does."""


class KnownGroup(Document, collection="groups", shared=True):
    """A group; its id is its name. It stays when the file no longer has it: old news must stay old."""

    revision: int
    group: Group
    freezes: tuple[Freeze, ...] = ()
    telling_after: str | None = None
    """While updates are told of a change: the id of the last one told."""
    removed: bool = False


class KnownTarget(Document, collection="targets", id_of="target"):
    """A target; its id is the target's. It stays when the file no longer has it: old news must stay old."""

    revision: int
    target: Target
    removed: bool = False

    def tags(self) -> frozenset[str]:
        """Whether the file has it."""
        return frozenset() if self.removed else frozenset({REGISTERED})


async def groups_gone(fleet: Fleet, file: FleetFile, ctx: Context) -> AsyncIterator[RemoveGroup]:
    """That ``file`` no longer has them, as messages to the known groups that it means."""
    in_file = {group.name for group in file.groups}
    after = ""
    while page := await ctx.find(KnownGroup, after=after):
        after = page[-1].id
        for one in page:
            if not one.removed and one.id not in in_file:
                yield RemoveGroup(to=one.id, revision=fleet.revision)


async def news(fleet: Fleet, file: FleetFile, ctx: Context) -> AsyncIterator[RegisterTarget | RemoveTarget]:
    """What ``file`` says that the known targets do not know yet, as messages to them."""
    in_file = {target.id: target for target in file.targets}
    known: set[str] = set()
    after = ""
    while page := await ctx.find(KnownTarget, REGISTERED, after=after):
        after = page[-1].id
        for one in page:
            known.add(one.id)
            target = in_file.get(one.id)
            if target is None:
                yield RemoveTarget(to=one.id, revision=fleet.revision)
            elif target != one.target:
                yield RegisterTarget(to=one.id, revision=fleet.revision, target=target)
    for id_ in sorted(in_file.keys() - known):
        yield RegisterTarget(to=id_, revision=fleet.revision, target=in_file[id_])
