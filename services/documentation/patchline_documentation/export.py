"""The ledger as lines, read from the documentation service's store.

The command line finds these functions by the entry point group ``patchline.ledger`` (``entries`` and
``seals``), so that it imports no service. Read the seals first: entries that are added meanwhile are
then merely newer than the last seal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from patchline_documentation.chains import Entry
from patchline_documentation.seals import SealRecord
from patchline_kit.ledger import LedgerLine, SealLine

PAGE = 500


class StoredBody(Protocol):
    """A document as a store gives it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def body(self) -> bytes:
        """Its JSON."""


class ReadableStore(Protocol):
    """What is needed of a store."""

    async def find(
        self, collection: str, tag: str | None, *, after: str = "", limit: int = 500
    ) -> Sequence[StoredBody]:
        """Documents by ascending id, beginning after ``after``."""


async def entries(store: ReadableStore) -> AsyncIterator[LedgerLine]:
    """Every entry, those of one chain in order.

    Raises :class:`pydantic.ValidationError` for a document that is no entry at all.
    """
    async for document in _all(store, Entry.COLLECTION):
        yield Entry.model_validate_json(document.body).line


async def seals(store: ReadableStore) -> AsyncIterator[SealLine]:
    """Every seal, by number."""
    async for document in _all(store, SealRecord.COLLECTION):
        yield SealRecord.model_validate_json(document.body).line


async def _all(store: ReadableStore, collection: str) -> AsyncIterator[StoredBody]:
    after = ""
    while page := await store.find(collection, None, after=after, limit=PAGE):
        for document in page:
            yield document
        after = page[-1].id
