"""What can go wrong on a target. Kept free of imports: the small processes that do the work load it too."""

from __future__ import annotations


class DriverError(Exception):
    """The target refused or the tool failed; the text is the tool's own words, with what to do."""


class Unreachable(DriverError):
    """The target did not answer or is not there."""


class TimedOut(DriverError):
    """The step did not end within its time limit; what it started was stopped."""


class Fenced(DriverError):
    """A newer worker has touched the target since: this one must not."""


class TooLate(DriverError):
    """The time in which the change could begin is over: nothing was touched."""


class NotEnoughSpace(DriverError):
    """No room on the target or where the backup goes."""


class Busy(DriverError):
    """A change is under way on the target, or one was cut off and is not yet repaired: ask again later.

    It says nothing about the target's health; a check that meets it has not failed.
    """


BY_NAME: dict[str, type[DriverError]] = {
    kind.__name__: kind
    for kind in (DriverError, Unreachable, TimedOut, Fenced, TooLate, NotEnoughSpace, Busy)
}
"""For an error that comes back from another process."""
