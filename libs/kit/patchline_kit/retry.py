"""When a record that failed is tried again, and when it is given up: pure rules."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchline_kit.outcomes import Early, Outcome, Poison, RetryLater
from patchline_kit.service import RetryPolicy

JITTER = 0.2
"""A delay varies by this share to both sides, so that what failed together does not come back together."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Park the record until then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make it a dead letter; ``reason`` is for a person."""

    reason: str


def delay(policy: RetryPolicy, attempts: int, seed: str) -> timedelta:
    """How long to wait after the ``attempts``-th failure; the same seed gives the same jitter."""
    plain = min(
        policy.longest.total_seconds(), policy.first.total_seconds() * policy.factor ** (attempts - 1)
    )
    share = zlib.crc32(f"{seed}/{attempts}".encode()) / 0xFFFFFFFF
    return timedelta(seconds=plain * (1 - JITTER + 2 * JITTER * share))


def verdict(
    policy: RetryPolicy,
    error: Exception,
    *,
    attempts: int,
    patience_over: bool,
    now: datetime,
    seed: str,
) -> TryAgain | GiveUp:
    """What becomes of a record whose ``attempts``-th attempt ended with ``error``.

    ``patience_over``: the service was up, and heard its topics, for ``early_for`` since the first attempt.
    """
    if isinstance(error, Poison):
        return GiveUp(str(error))
    if isinstance(error, Early):
        if patience_over:
            return GiveUp(f"still early after {policy.early_for}: {error}")
        return TryAgain(now + delay(policy, attempts, seed))
    if attempts >= policy.attempts:
        what = str(error) if isinstance(error, Outcome) else f"{type(error).__name__}: {error}"
        return GiveUp(f"failed {attempts} times, the last time with: {what}")
    if isinstance(error, RetryLater) and error.after is not None:
        return TryAgain(now + error.after)
    return TryAgain(now + delay(policy, attempts, seed))
