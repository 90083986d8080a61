"""What a handler may say of a record instead of returning (returning means *done*).

The kit turns each into what becomes of the record; see ``docs/kit.md``.
"""

from __future__ import annotations

from datetime import timedelta

from patchline_kit.documents import Document


class Outcome(Exception):
    """Base of the outcomes that are raised. Nothing that the handler did so far is stored."""


class Early(Outcome):
    """The document is not yet where the record needs it.

    The record is parked, with the later records of its key and topic behind it, and tried again when
    the document ``waits_for`` is saved, and now and then besides.
    """

    def __init__(self, why: str, *, waits_for: tuple[type[Document], str] | None = None) -> None:
        super().__init__(why)
        self.waits_for = waits_for


class Stale(Outcome):
    """The document has moved past the record: recorded, no effect."""


class RetryLater(Outcome):
    """Something outside failed; parked with backoff and jitter (or exactly ``after``), key order kept.

    Past the service's last attempt it becomes a dead letter.
    """

    def __init__(self, why: str, *, after: timedelta | None = None) -> None:
        super().__init__(why)
        self.after = after


class Poison(Outcome):
    """The record can never be handled; it goes to the dead letters with this reason."""


class LeaseLost(Outcome):
    """Another worker has taken the document over; raised inside a ``wakes`` handler that must end."""
