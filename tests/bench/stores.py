"""The stores that the benchmarks run on: one that keeps nothing, and the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from patchline_kit.store.port import Beat, Claim, Parked, Pending, Save, Saved, Store, Stored


class NothingStore:
    """Keeps nothing and answers at once, so that what is left is the kit itself.

    Implements :class:`patchline_kit.store.port.Store`; every document is new to it.
    """

    def __init__(self) -> None:
        self._sequence = count(1)

    async def now(self) -> datetime:
        return datetime.now(UTC)

    async def load(self, collection: str, id: str) -> Stored | None:
        return None

    async def load_unless_handled(self, collection: str, id: str, record_id: str) -> Stored | None:
        return None

    async def handled(self, collection: str, id: str, record_id: str) -> bool:
        return False

    def _saved(self, save: Save) -> Saved:
        return Saved(
            version=save.expected_version + 1,
            pending=tuple(
                Pending(
                    collection=save.collection,
                    document_id=save.id,
                    sequence=next(self._sequence),
                    outgoing=outgoing,
                    cause_id=save.cause_id,
                    traceparent=save.traceparent,
                )
                for outgoing in save.outgoing
            ),
        )

    async def save(self, save: Save) -> Saved:
        return self._saved(save)

    async def save_all(self, saves: Sequence[Save]) -> Sequence[Saved]:
        return [self._saved(save) for save in saves]

    async def note(
        self, collection: str, id: str, expected_version: int, record_id: str, at: datetime
    ) -> None:
        pass

    async def find(
        self, collection: str, tag: str | None, *, after: str = "", limit: int = 500
    ) -> Sequence[Stored]:
        return ()

    async def count(self, collection: str, tag: str | None = None) -> int:
        return 0

    async def pending(
        self, *, document: tuple[str, str] | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[Pending]:
        return ()

    async def clear(self, sent: Sequence[Pending]) -> None:
        pass

    async def claim_due(
        self, collections: Sequence[str], now: datetime, owner: str, limit: int
    ) -> Sequence[Claim]:
        return ()

    async def next_wake(self, collections: Sequence[str]) -> datetime | None:
        return None

    async def beat(self, collection: str, id: str, fence: int) -> bool:
        return True

    async def release(
        self, collection: str, id: str, fence: int, *, retry_at: datetime | None = None, done: bool = False
    ) -> None:
        pass

    async def free_claims(self) -> int:
        return 0

    async def claims(self) -> Sequence[Beat]:
        return ()

    async def take_over(self, seen: Beat) -> bool:
        return False

    async def park(self, parked: Parked) -> None:
        raise AssertionError(f"a benchmark's record failed: {parked.reason}")

    async def parked_lanes(self, lanes: Sequence[str]) -> frozenset[str]:
        return frozenset()

    async def claim_parked(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Parked]:
        return ()

    async def next_parked(self) -> datetime | None:
        return None

    async def parked(self, *, after: tuple[str, int] = ("", -1), limit: int = 100) -> Sequence[Parked]:
        return ()

    async def unpark(self, parked: Parked) -> None:
        pass

    async def let_go(self, documents: Sequence[str]) -> int:
        return 0

    async def wipe(self) -> None:
        pass

    async def prune(self, before: datetime) -> int:
        return 0

    async def close(self) -> None:
        pass


class OneByOne:
    """A store that makes each save, and each clearing of what was sent, a write of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save_all(self, saves: Sequence[Save]) -> Sequence[Saved]:
        return [await self._store.save(save) for save in saves]

    async def clear(self, sent: Sequence[Pending]) -> None:
        for entry in sent:
            await self._store.clear([entry])
