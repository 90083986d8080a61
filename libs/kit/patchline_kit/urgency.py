"""Urgent first: what follows from an urgent event goes before all that is routine.

An urgent event lies on an urgent topic; a local message that follows from it has :data:`URGENT_HEADER`; a
document that is to wake because of it lies in the store with a raised priority.
"""

from __future__ import annotations

from patchline_kit.store.port import Outgoing
from patchline_schemas.envelope import URGENT_SUFFIX

URGENT_HEADER = "urgent"
RAISE = 1_000
"""More than any priority that a service gives its documents."""


def is_urgent(outgoing: Outgoing) -> bool:
    """Whether an event or message overtakes routine ones on its way out."""
    if outgoing.topic is not None:
        return outgoing.topic.endswith(URGENT_SUFFIX)
    return any(name == URGENT_HEADER for name, _value in outgoing.headers)


def raised(wake_priority: int) -> int:
    """The priority of a document that an urgent event has made to wake."""
    return wake_priority + RAISE


def is_raised(wake_priority: int) -> bool:
    """Whether a priority in the store is raised."""
    return wake_priority > RAISE // 2


def plain(wake_priority: int) -> int:
    """The priority that the service gave."""
    return wake_priority - RAISE if is_raised(wake_priority) else wake_priority
