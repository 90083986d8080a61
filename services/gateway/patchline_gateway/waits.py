"""When a wait for an update is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from patchline_gateway.views import UpdateView
from patchline_schemas.values import ON_THE_WAY, TERMINAL_STATES, UpdateState

BEYOND: frozenset[UpdateState] = frozenset({"rolling-back", "needs-person", "completed"})
"""States to which the way leads through all of :data:`~patchline_schemas.values.ON_THE_WAY`."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for."""

    state: UpdateState | Literal["closed"]
    since: int
    """The update's sequence when the wait began."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a wait stands."""

    reached: bool
    ended: bool
    """The round ended another way: the goal will not be reached without a new round."""

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.reached or self.ended


def standing(view: UpdateView, goal: Goal) -> Standing:
    """How a wait for ``goal`` stands.

    A state is reached when the update is in it, was in it since the wait began, or, for a state on the
    way, passed it in this round.
    """
    if goal.state == "closed":
        return Standing(reached=view.closed is not None, ended=False)
    reached = view.state == goal.state or any(
        (seen.state == goal.state and seen.sequence > goal.since) or _lies_behind(goal.state, seen.state)
        for seen in view.reached
    )
    return Standing(reached, ended=not reached and view.state in TERMINAL_STATES)


def _lies_behind(goal: UpdateState, seen: UpdateState) -> bool:
    """Whether an update that was in ``seen`` has passed ``goal``.

    Some states are passed within one step of planning, and so without a word.
    """
    if goal not in ON_THE_WAY:
        return False
    if seen in BEYOND or goal == ON_THE_WAY[0]:
        return True
    return seen in ON_THE_WAY and ON_THE_WAY.index(seen) >= ON_THE_WAY.index(goal)
