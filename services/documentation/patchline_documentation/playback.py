"""Playing the ledger back to a service that builds its read models anew.

Chain by chain, each in its order: what a reader of the topics could have seen. What is added meanwhile behind
the place that was reached lies on its topic still, where the reader finds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchline_documentation.chains import Entry
from patchline_kit.documents import Document
from patchline_kit.playback import played_back
from patchline_schemas import WireRecord
from patchline_schemas.ledger import PlaybackAdvanced

ENTRIES_AT_ONCE = 500
"""So many entries go out together."""


class Playback(Document, collection="playbacks"):
    """All of the ledger, on its way to one reader; its id is the request's."""

    reader: str
    """The consumer group that asked."""
    cursor: str = ""
    """The entry that went out last."""
    entries_done: int = 0
    ended: bool = False

    def take(self, entries: Sequence[Entry]) -> list[WireRecord]:
        """The records of the next entries; the playback ends when there are fewer than asked for."""
        if entries:
            self.cursor = entries[-1].id
        self.entries_done += len(entries)
        self.ended = len(entries) < ENTRIES_AT_ONCE
        return [played_back(entry.line, self.reader) for entry in entries]

    def advanced(self, entries_total: int) -> PlaybackAdvanced:
        """The event that says how far it is."""
        return PlaybackAdvanced(
            playback_id=self.id,
            reader=self.reader,
            entries_done=self.entries_done,
            entries_total=entries_total,
            ended=self.ended,
        )
