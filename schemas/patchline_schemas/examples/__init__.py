"""Two examples of every event: the usual one and one at the edge.

They are exported beside the JSON Schemas; every service's tests replay those it consumes.
"""

from __future__ import annotations

from patchline_schemas.envelope import Event
from patchline_schemas.examples import around, life, rollout, world
from patchline_schemas.examples.shared import Examples

__all__ = ["Examples", "examples"]


def examples() -> dict[type[Event], Examples]:
    """The examples of every event class."""
    groups = (
        world.feed_examples(),
        world.fleet_examples(),
        life.assessments(),
        life.plans(),
        life.endings(),
        rollout.wave_steps(),
        rollout.wave_failures(),
        around.request_examples(),
        around.others(),
    )
    return {type(pair.usual): pair for group in groups for pair in group}
