"""How long each step may take, and when a due date is near."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

MARGIN = timedelta(minutes=5)
"""What every step gets on top, for the hops between services and a replica that starts again."""
LEAST_TEST = timedelta(minutes=30)
LONGEST_WARNING = timedelta(hours=24)


def step_limit(targets: int, concurrency: int, target_timeout: timedelta) -> timedelta:
    """The limit of backup, deployment or verification of one wave.

    Each target has ``target_timeout`` and ``concurrency`` of them run at once.
    """
    return target_timeout * max(1, ceil(targets / concurrency)) + MARGIN


def rollback_limit(targets: int, concurrency: int, target_timeout: timedelta) -> timedelta:
    """The limit of a rollback with the verification that ends it: two steps."""
    return 2 * step_limit(targets, concurrency, target_timeout)


def test_limit(environments: int, target_timeout: timedelta) -> timedelta:
    """The limit of a test: three stages (before, apply, after) an environment, one after another."""
    return max(LEAST_TEST, 3 * target_timeout * max(1, environments)) + MARGIN


def due_soon_at(published_at: datetime, due_at: datetime) -> datetime:
    """When an update that is not done is said to be due soon.

    One fifth of the time from publication to the due date is left, or 24 hours if that is more; but never
    before half of the time has passed.
    """
    whole = max(due_at - published_at, timedelta(0))
    return due_at - min(max(whole / 5, LONGEST_WARNING), whole / 2)
