"""What is known of a read model's generations: which one answers, which is being built, which may go.

The record lies in the store under a name of its own, apart from every generation, and whoever changes it
compares its version: so all replicas agree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel
from uuid_utils import uuid7

from patchline_kit.core import body_of, to_document
from patchline_kit.documents import Document
from patchline_kit.store.port import Save, Store, VersionConflict
from patchline_kit.transport.topics import KEEP_PLAYBACK

RECORD_ID = "record"
LEFT_FOR = timedelta(minutes=1)
"""A generation that was replaced stays so long: a replica may notice late, and take requests meanwhile."""
TOO_OLD = KEEP_PLAYBACK - timedelta(hours=6)
"""What was played back may soon be gone from its topic: a rebuild this old begins anew."""


class Rebuild(BaseModel):
    """A generation that is being built."""

    id: str
    """Also of the playback."""
    generation: int
    requested_by: str
    requested_at: datetime


class Finished(BaseModel):
    """The rebuild that ended last."""

    id: str
    requested_by: str
    requested_at: datetime
    ended_at: datetime
    entries_total: int
    """Of the ledger, that were played back."""


class Retired(BaseModel):
    """A generation that answers no more."""

    generation: int
    since: datetime
    answered: bool
    """Whether it ever did: then what it still has to publish goes out before it is deleted."""


class Generations(Document, collection="generations"):
    """See the module."""

    current: int = 0
    highest: int = 0
    """No number is used twice."""
    rebuild: Rebuild | None = None
    finished: Finished | None = None
    retired: tuple[Retired, ...] = ()

    def begin(self, who: str, now: datetime) -> None:
        """Begin to build the next generation, unless one is being built."""
        if self.rebuild is None:
            self.highest += 1
            self.rebuild = Rebuild(
                id=str(uuid7()), generation=self.highest, requested_by=who, requested_at=now
            )

    def begin_anew_if_too_old(self, now: datetime) -> None:
        """Give a rebuild up that takes too long, and begin another."""
        if self.rebuild is not None and now - self.rebuild.requested_at > TOO_OLD:
            given_up, self.rebuild = self.rebuild, None
            self._retire(given_up.generation, now, answered=False)
            self.begin(given_up.requested_by, now)

    def replace(self, rebuild_id: str, entries_total: int, now: datetime) -> None:
        """The generation that was built answers from now on."""
        rebuild = self.rebuild
        if rebuild is None or rebuild.id != rebuild_id:
            return
        self._retire(self.current, now, answered=True)
        self.current, self.rebuild = rebuild.generation, None
        self.finished = Finished(
            id=rebuild.id,
            requested_by=rebuild.requested_by,
            requested_at=rebuild.requested_at,
            ended_at=now,
            entries_total=entries_total,
        )

    def gone(self, generation: int) -> None:
        """A retired generation is deleted."""
        self.retired = tuple(each for each in self.retired if each.generation != generation)

    def _retire(self, generation: int, now: datetime, *, answered: bool) -> None:
        self.retired = (*self.retired, Retired(generation=generation, since=now, answered=answered))


class RebuildStatus(BaseModel):
    """How far a rebuild is, for a person."""

    service: str
    state: Literal["never", "rebuilding", "rebuilt"]
    """``never`` while nobody has asked for one."""
    rebuild_id: str | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    entries_done: int = 0
    """Of the ledger, on their way to the new read model."""
    entries_total: int | None = None
    """Null until the ledger has begun to play back."""
    records_left: int | None = None
    """Still to be taken in by this process; null where that is not known."""
    trouble: tuple[str, ...] = ()
    """Why it does not go on, if so."""
    ended_at: datetime | None = None


def generation_name(service: str, generation: int) -> str:
    """Under which name a generation keeps its documents and reads its topics."""
    return service if generation == 0 else f"{service}@{generation}"


def record_name(service: str) -> str:
    """Under which name the record of a service's generations lies in the store."""
    return f"{service}@generations"


async def load(store: Store) -> Generations:
    """The record as it is."""
    stored = await store.load(Generations.COLLECTION, RECORD_ID)
    return to_document(Generations, stored) if stored else Generations(id=RECORD_ID)


async def change(store: Store, act: Callable[[Generations], object]) -> Generations:
    """Change the record and store it, again on the newest one where somebody else was faster."""
    while True:
        record = await load(store)
        before = body_of(record)
        act(record)
        body = body_of(record)
        if body == before:
            return record
        save = Save(
            collection=Generations.COLLECTION,
            id=RECORD_ID,
            expected_version=record.version,
            body=body,
            wake_at=None,
            wake_priority=0,
            tags=frozenset(),
            handled=None,
            outgoing=(),
        )
        try:
            await store.save(save)
        except VersionConflict:
            continue
        return record
