"""What adapters raise while what they stand for cannot be reached."""

from __future__ import annotations


class Unavailable(Exception):
    """The store or the log does not answer just now, or refuses; the text says what to do.

    Handlers need not care: the kit tries again. Who calls a service from outside tells its caller.
    """
