"""When a wave that soaks is looked at again: a pure rule."""

from __future__ import annotations

from datetime import datetime, timedelta

LOOKS = 3
"""A soak is looked at as often at least, the last time at its end."""


def next_look(now: datetime, soak_until: datetime, *, soak: timedelta, longest: timedelta) -> datetime:
    """A third of the soak time from ``now``, or ``longest`` if that is sooner; the last is at the end."""
    return max(now, min(now + min(soak / LOOKS, longest), soak_until))
