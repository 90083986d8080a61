"""One attempt of a step on one target: whatever happens there becomes a result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from patchline_fleet.driver import Busy, Driver, DriverError, Fenced, TimedOut, Unreachable
from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import KnownTarget
from patchline_fleet.runs.documents import TargetRun
from patchline_kit.context import Context
from patchline_kit.outcomes import LeaseLost, RetryLater
from patchline_schemas.fleet import Target
from patchline_schemas.values import TargetOutcome
from patchline_schemas.waves import TargetResult

Work = Callable[[Target, Driver, TargetRun, Context], Awaitable[TargetResult]]
"""What a step does on one target. It raises what its driver raises; everything else is its result."""
ASK_AGAIN = timedelta(seconds=2)
"""How soon a target that is busy is asked again."""
PATIENCE = 3
"""So many time limits after it was allowed to start, work that is tried again and again is given up."""


class LeftOut(Exception):
    """The target is not what the wave was planned for, so it is left as it is; the text says why.

    That is no failure: the next assessment decides about it.
    """


async def attempt(
    work: Work, run: TargetRun, known: KnownTarget, ctx: Context, *, removed_too: bool
) -> TargetResult:
    """Do ``work`` on the run's target within the order's time limit, and say how it ended.

    With ``removed_too`` a target that has left the fleet file is still worked on. Raises
    :class:`LeaseLost` if a newer worker was on the target, and :class:`RetryLater` while another change
    is under way there and the time limit has not passed.
    """
    began = ctx.now
    limit = run.order.target_timeout
    try:
        _patience(run, ctx)
        target = _of_the_fleet(known, removed_too=removed_too)
        driver = ctx.resource(Drivers).for_target(target)
        async with asyncio.timeout(limit.total_seconds()):
            result = await work(target, driver, run, ctx)
    except Fenced as error:
        raise LeaseLost(str(error)) from error
    except Busy as error:
        raise RetryLater(str(error), after=ASK_AGAIN) from error
    except LeftOut as error:
        result = _ended(run, "not-started", error)
    except Unreachable as error:
        if run.touched_at is None:
            result = _ended(run, "unreachable", error)
        else:
            lost = DriverError(f"the target was lost while it was being changed: {error}")
            result = _ended(run, "failed", lost)
    except TimedOut as error:
        result = _ended(run, "timed-out", error)
    except TimeoutError:
        sentence = f"not done within {limit.total_seconds():g} s, the time limit of a step on one target"
        result = _ended(run, "timed-out", TimeoutError(sentence))
    except (DriverError, OSError) as error:
        result = _ended(run, "failed", error)
    started_at = result.started_at or run.touched_at or began
    return result.model_copy(update={"started_at": started_at, "ended_at": ctx.now})


def _patience(run: TargetRun, ctx: Context) -> None:
    longest = run.order.target_timeout * PATIENCE
    if ctx.deadline_passed(run.allowed_at, longest):
        raise TimedOut(f"tried again and again for {longest} without an end; the service's log says why")


def _of_the_fleet(known: KnownTarget, *, removed_too: bool) -> Target:
    if known.target is None and removed_too:
        raise DriverError(f"nobody knows what {known.id} is: it was removed before it was registered here")
    if known.target is None or (known.removed and not removed_too):
        raise LeftOut(
            f"{known.id} is no longer in the fleet file (since its revision {known.revision}), "
            "so it was left as it is"
        )
    return known.target


def _ended(run: TargetRun, outcome: TargetOutcome, error: Exception) -> TargetResult:
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome=outcome,
        from_version=run.version_before or run.assignment.target.from_version,
        checks=run.checks_before,
        error=str(error) or type(error).__name__,
    )
