"""One document's outbox, as the relay knows it: what is to be sent, and what is sent but not yet cleared."""

from __future__ import annotations

from collections.abc import Iterable

from patchline_kit.store.port import Pending
from patchline_kit.urgency import is_urgent

DocumentKey = tuple[str, str]

ENTRIES_PER_SEND = 500


class Outbox:
    """What is known of one document's outbox."""

    __slots__ = ("busy", "document", "queue", "stale", "uncleared", "urgent")

    def __init__(self, document: DocumentKey) -> None:
        self.document = document
        self.queue: list[Pending] = []
        """What is to be sent, in order."""
        self.uncleared: set[int] = set()
        """Sequences of what is in the queue or sent, and still in the store."""
        self.busy = False
        """Whether its first entries are on their way."""
        self.stale = False
        """Whether the store holds more of it than is known."""
        self.urgent = False
        """Whether something urgent is in it, were it behind something routine."""

    def add(self, entries: Iterable[Pending]) -> int:
        """Queue what is new of ``entries``; how many."""
        before = len(self.uncleared)
        for entry in entries:
            if entry.sequence not in self.uncleared:
                self.uncleared.add(entry.sequence)
                self.queue.append(entry)
                self.urgent = self.urgent or is_urgent(entry.outgoing)
        return len(self.uncleared) - before

    def merge(self, stored: Iterable[Pending]) -> int:
        """Queue what is new of ``stored`` in its place; how many. What is sent but not cleared stays out."""
        added = self.add(stored)
        self.queue.sort(key=lambda entry: entry.sequence)
        return added

    def first_run(self) -> list[Pending]:
        """The entries at the head that may go together: of one topic and key, or to different receivers.

        Empty where the store is to be asked first.
        """
        run: list[Pending] = []
        if self.stale or not self.queue:
            return run
        first = self.queue[0].outgoing
        receivers: set[bytes] = set()
        for entry in self.queue:
            outgoing = entry.outgoing
            if outgoing.topic != first.topic or len(run) == ENTRIES_PER_SEND:
                break
            if outgoing.topic is None:
                if outgoing.key in receivers:
                    break
                receivers.add(outgoing.key)
            elif outgoing.key != first.key:
                break
            run.append(entry)
        return run

    def sent(self, count: int) -> None:
        """The first ``count`` entries are delivered."""
        del self.queue[:count]
        self.busy = False

    def clear(self, entries: Iterable[Pending]) -> int:
        """``entries`` are no longer in the store; how many of them were known to be."""
        before = len(self.uncleared)
        self.uncleared.difference_update([entry.sequence for entry in entries])
        if not self.uncleared:
            self.urgent = False
        return before - len(self.uncleared)
