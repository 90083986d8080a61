"""The one state machine of planning, as tables: of an update's round, of a wave, and of what people may ask.

Nothing else decides what may follow what. ``docs/planning.md`` shows these tables as diagrams, made by
:func:`diagram` and held to them by a test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from patchline_schemas.requests import Action
from patchline_schemas.values import ON_THE_WAY, UpdateState, WaveState
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveBackupFailed,
    WaveChecksPassed,
    WaveDeployed,
    WaveDeployFailed,
    WaveRollbackFailed,
    WaveRollbackVerified,
    WaveVerificationFailed,
    WaveVerified,
)

S = TypeVar("S", bound=str)
Moment = Literal["now", "early", "stale"]


class ImpossibleMove(RuntimeError):
    """A handler asked for a transition that the table does not have: a defect of planning itself."""


@dataclass(frozen=True, slots=True)
class Transition(Generic[S]):
    """In each of ``sources``, ``trigger`` leads to ``target``."""

    sources: tuple[S, ...]
    trigger: str
    target: S
    because: str
    """What has happened, for a reader."""


class Machine(Generic[S]):
    """A table of transitions, with the order in which a life without trouble passes its states."""

    def __init__(self, transitions: Iterable[Transition[S]], *, course: tuple[S, ...]) -> None:
        self.transitions = tuple(transitions)
        self.course = course
        self._targets: dict[tuple[S, str], S] = {}
        for transition in self.transitions:
            for source in transition.sources:
                if (source, transition.trigger) in self._targets:
                    raise TypeError(f"two transitions for {transition.trigger!r} in {source!r}")
                self._targets[source, transition.trigger] = transition.target

    def after(self, state: S, trigger: str) -> S:
        """The state that ``trigger`` leads to. Raises :class:`ImpossibleMove` if the table has none."""
        try:
            return self._targets[state, trigger]
        except KeyError:
            raise ImpossibleMove(f"{trigger!r} cannot happen in state {state!r}") from None

    def allows(self, state: S, trigger: str) -> bool:
        """Whether the table has ``trigger`` in ``state``."""
        return (state, trigger) in self._targets

    def moment(self, state: S, expected: Collection[S]) -> Moment:
        """Whether something that belongs to one of the ``expected`` states fits now, is early, or stale."""
        if state in expected:
            return "now"
        if state not in self.course:
            return "stale"
        ahead = self.course[self.course.index(state) + 1 :]
        return "early" if any(later in expected for later in ahead) else "stale"


NOT_STARTED: tuple[UpdateState, ...] = ("planned", "testing", "awaiting-approval", "scheduled")
"""A plan stands, no target was touched yet."""
APPROVED: tuple[UpdateState, ...] = ("scheduled", "rolling-out")
"""Waves may start."""
PAUSABLE: tuple[UpdateState, ...] = (*NOT_STARTED, "rolling-out")
"""Beneath ``paused`` the round keeps its place in one of these."""
ENDED: tuple[UpdateState, ...] = ("not-applicable", "completed", "failed", "rejected", "cancelled")
REOPENED_BY_ITSELF: tuple[UpdateState, ...] = ("not-applicable", "completed")
"""An inventory that shows a target in need opens the next round; after the other endings a person does."""

UPDATE: Machine[UpdateState] = Machine(
    (
        Transition(
            ("assessed", *NOT_STARTED, "rolling-out"),
            "no-target",
            "not-applicable",
            "no target needs it, none is unknown",
        ),
        Transition(("assessed",), "laid-out", "planned", "waves and windows are set"),
        Transition(
            ("testing", "awaiting-approval", "scheduled"),
            "revised",
            "planned",
            "more targets need it, or from another version",
        ),
        Transition(
            ("assessed", *NOT_STARTED, "rolling-out"),
            "only-unknown",
            "assessed",
            "the targets that are left cannot be asked, or are not as they were assessed",
        ),
        Transition(("planned",), "announced", "testing", "every wave is planned"),
        Transition(("testing",), "test-passed", "awaiting-approval", "it works in copies of real targets"),
        Transition(
            ("testing",), "ended-in-failure", "failed", "it broke a copy, or the test missed its limit"
        ),
        Transition(("awaiting-approval",), "approved", "scheduled", "a policy or enough people agree"),
        Transition(("scheduled",), "wave-started", "rolling-out", "the first wave owns its targets"),
        Transition(
            ("rolling-out",), "all-verified", "completed", "every wave that touched a target is verified"
        ),
        Transition(("rolling-out",), "wave-failed", "rolling-back", "a wave goes back to its backups"),
        Transition(
            ("rolling-out", "rolling-back"),
            "ended-in-failure",
            "failed",
            "a wave failed, and what it changed is as before",
        ),
        Transition(
            ("rolling-out", "rolling-back"),
            "rollback-failed",
            "needs-person",
            "a target is neither updated nor as before",
        ),
        Transition(NOT_STARTED, "rejected", "rejected", "a person said no"),
        Transition(
            ("assessed", *NOT_STARTED, "rolling-out", "needs-person"),
            "cancelled",
            "cancelled",
            "a person, a retraction or a newer update",
        ),
        Transition(("needs-person",), "released", "failed", "a person asked for another try"),
        Transition(ENDED, "reopened", "assessed", "the next round"),
    ),
    course=(*ON_THE_WAY, "completed"),
)

WAVE: Machine[WaveState] = Machine(
    (
        Transition(("planned",), "turn-came", "due", "its window is open and it is its turn"),
        Transition(
            ("due",),
            "stood-down",
            "planned",
            "no window is open any more, a person paused, or what it was planned for has changed",
        ),
        Transition(("due",), "targets-owned", "backing-up", "no other wave works on its targets"),
        Transition(("planned", "due"), "dropped", "cancelled", "it will not happen"),
        Transition(("backing-up",), "backed-up", "deploying", "every backup was restored once"),
        Transition(("backing-up",), "gave-up", "failed", "no backup, so nothing was deployed"),
        Transition(("deploying",), "deployed", "verifying", "the version is installed"),
        Transition(("deploying",), "gave-up", "failed", "no target was changed"),
        Transition(
            ("deploying",),
            "nothing-deployed",
            "cancelled",
            "the window had ended, or its targets are not as planned any more",
        ),
        Transition(("verifying",), "checks-passed", "soaking", "the version is in effect, checks pass"),
        Transition(("soaking",), "verified", "verified", "checks passed through the soak time"),
        Transition(
            ("backing-up", "deploying", "verifying", "soaking"),
            "failing",
            "rolling-back",
            "a target failed or a limit passed",
        ),
        Transition(("verified",), "failing", "rolling-back", "a later wave failed and the policy says all"),
        Transition(("rolling-back",), "rollback-verified", "rolled-back", "everything is as backed up"),
        Transition(("rolling-back", "verified"), "rollback-failed", "failed", "a person is needed"),
    ),
    course=("planned", "due", "backing-up", "deploying", "verifying", "soaking", "verified"),
)
WAVE_ANSWERS: Mapping[str, tuple[WaveState, ...]] = {
    WaveBackedUp.TOPIC: ("backing-up",),
    WaveBackupFailed.TOPIC: ("backing-up",),
    WaveDeployed.TOPIC: ("deploying",),
    WaveDeployFailed.TOPIC: ("deploying",),
    WaveChecksPassed.TOPIC: ("verifying",),
    WaveVerified.TOPIC: ("soaking",),
    WaveVerificationFailed.TOPIC: ("verifying", "soaking"),
    WaveRollbackVerified.TOPIC: ("rolling-back",),
    WaveRollbackFailed.TOPIC: ("rolling-back",),
}
"""In which state a wave takes which answer; before it the answer is early, after it stale."""
WAVE_STARTED: frozenset[WaveState] = frozenset(
    {"backing-up", "deploying", "verifying", "soaking", "rolling-back"}
)
"""Something runs on the wave's targets, or is being watched there."""

ASKED: Mapping[Action, tuple[UpdateState, ...]] = {
    "approve": ("awaiting-approval",),
    "reject": NOT_STARTED,
    "cancel": ("assessed", *NOT_STARTED, "rolling-out", "needs-person"),
    "retry": ("failed", "cancelled", "rejected", "needs-person"),
    "pause": PAUSABLE,
    "resume": PAUSABLE,
    "halt": PAUSABLE,
}
"""In which states, beneath any pause, a person may ask for what."""


def diagram(machine: Machine[S], *, composites: Mapping[str, tuple[S, ...]] | None = None) -> str:
    """The machine as a Mermaid state diagram.

    States that a composite holds are drawn within it, and what happens in each of them starts from it.
    """
    composites = composites or {}
    lines = ["stateDiagram-v2", f"    [*] --> {_name(machine.course[0])}"]
    for name, members in composites.items():
        lines += [f"    state {name} {{", *(f"        {_name(member)}" for member in members), "    }"]
    for transition in machine.transitions:
        sources = set(transition.sources)
        arrows = []
        for name, members in composites.items():
            if sources.issuperset(members):
                sources -= set(members)
                arrows.append(name)
        arrows += [_name(source) for source in transition.sources if source in sources]
        lines += [f"    {arrow} --> {_name(transition.target)}: {transition.trigger}" for arrow in arrows]
    left = {source for transition in machine.transitions for source in transition.sources}
    targets = dict.fromkeys(transition.target for transition in machine.transitions)
    lines += [f"    {_name(end)} --> [*]" for end in targets if end not in left]
    return "\n".join(lines)


def table(machine: Machine[S]) -> str:
    """The machine as a Markdown table."""
    rows = ["| from | trigger | to | because |", "|---|---|---|---|"]
    rows += [
        f"| {', '.join(each.sources)} | {each.trigger} | {each.target} | {each.because} |"
        for each in machine.transitions
    ]
    return "\n".join(rows)


def _name(state: str) -> str:
    return state.replace("-", "_")


def documentation() -> dict[str, str]:
    """The parts of ``docs/planning.md`` that are made from the tables, by the name of their place there."""
    asked = ["| request | possible while the update is |", "|---|---|"]
    asked += [f"| {action} | {', '.join(states)} |" for action, states in ASKED.items()]
    composites = {"before_the_rollout": NOT_STARTED, "ended": ENDED}
    return {
        "update diagram": f"```mermaid\n{diagram(UPDATE, composites=composites)}\n```",
        "update table": table(UPDATE),
        "wave diagram": f"```mermaid\n{diagram(WAVE)}\n```",
        "wave table": table(WAVE),
        "request table": "\n".join(asked),
    }
