"""How soon an update must be in effect: a table over severity, exposure and criticality.

The outcomes are those of SSVC's deployer tree (CERT/CC SSVC, "Deployer"). The table is our own, stated for
users in ``docs/assessment.md``; it never gets laxer as any of its inputs gets worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from patchline_schemas.advisories import SEVERITY_ORDER
from patchline_schemas.feeds import Advisory
from patchline_schemas.fleet import Group
from patchline_schemas.updates import AssessmentInput
from patchline_schemas.values import CRITICALITY_ORDER, Exposure, Kind, Severity, Urgency

ASSUMED_SEVERITY: Severity = "high"
"""What an advisory counts as that nobody has scored."""
DUE_AFTER: Mapping[Urgency, timedelta] = {
    "immediate": timedelta(days=3),
    "out-of-cycle": timedelta(days=14),
    "scheduled": timedelta(days=30),
    "defer": timedelta(days=90),
}
"""Time from publication. 3 and 14 days are those of CISA BOD 26-04 and BOD 22-01."""
URGENCY_ORDER: tuple[Urgency, ...] = ("defer", "scheduled", "out-of-cycle", "immediate")
RULE = "rule of urgency"
"""The origin of what the rule itself assumes."""

_D, _S, _O, _I = URGENCY_ORDER
_TABLE: Mapping[Severity, Mapping[Exposure, tuple[Urgency, Urgency, Urgency, Urgency]]] = {
    # Criticality:      low medium high critical
    "low": {
        "small": (_D, _D, _D, _S),
        "controlled": (_D, _D, _S, _S),
        "open": (_S, _S, _S, _S),
    },
    "medium": {
        "small": (_D, _D, _S, _S),
        "controlled": (_S, _S, _S, _S),
        "open": (_S, _S, _S, _O),
    },
    "high": {
        "small": (_S, _S, _S, _O),
        "controlled": (_S, _S, _O, _O),
        "open": (_O, _O, _O, _I),
    },
    "critical": {
        "small": (_S, _S, _O, _O),
        "controlled": (_S, _O, _O, _I),
        "open": (_O, _O, _I, _I),
    },
}
_OTHERWISE: Mapping[Kind, Urgency] = {"bugfix": "scheduled", "feature": "defer", "other": "defer"}


@dataclass(frozen=True, slots=True)
class Exposed:
    """A group with affected targets, and the advisories that they are exposed to."""

    group: Group
    advisories: Sequence[Advisory]


@dataclass(frozen=True, slots=True)
class Decision:
    """How soon, by which rule, from which facts."""

    urgency: Urgency
    due_after: timedelta
    """From publication."""
    rule: str
    """A sentence."""
    inputs: tuple[AssessmentInput, ...]


def decide(kind: Kind, groups: Iterable[Exposed], origins: Mapping[str, str]) -> Decision:
    """The most urgent decision over all ``groups``, of which there is at least one.

    ``origins`` says by advisory id where its account comes from.
    """
    decisions = [_decide(kind, each, origins) for each in sorted(groups, key=lambda each: each.group.name)]
    return max(decisions, key=lambda each: URGENCY_ORDER.index(each.urgency))


def security_urgency(severity: Severity, exploited: bool, group: Group) -> Urgency:
    """The table's word. Known exploitation makes it a step sooner, at least out-of-cycle; where the group is
    open to the outside, immediate.
    """
    urgency = _TABLE[severity][group.exposure][CRITICALITY_ORDER.index(group.criticality)]
    if not exploited:
        return urgency
    if group.exposure == "open":
        return "immediate"
    sooner = min(URGENCY_ORDER.index(urgency) + 1, len(URGENCY_ORDER) - 1)
    return URGENCY_ORDER[max(sooner, URGENCY_ORDER.index("out-of-cycle"))]


def _decide(kind: Kind, exposed: Exposed, origins: Mapping[str, str]) -> Decision:
    if kind != "security" and not exposed.advisories:
        return _decision(_OTHERWISE[kind], f"it is a {kind} update", [])
    worst = max(exposed.advisories, key=_weight, default=None)
    exploited = next((each for each in exposed.advisories if each.exploited), None)
    severity = (worst.severity if worst else None) or ASSUMED_SEVERITY
    group = exposed.group
    known = f"severity {severity}" if worst and worst.severity else f"unknown severity, taken as {severity}"
    because = f"{known}, exposure {group.exposure} and criticality {group.criticality} of group {group.name}"
    if exploited:
        because += f", and {exploited.id} is known to be exploited"
    return _decision(
        security_urgency(severity, exploited is not None, group),
        because,
        [*_severity_inputs(worst, exploited, origins), *_group_inputs(group)],
    )


def _decision(urgency: Urgency, because: str, inputs: list[AssessmentInput]) -> Decision:
    after = DUE_AFTER[urgency]
    return Decision(
        urgency, after, f"{urgency}: {after.days} days from publication, for {because}", tuple(inputs)
    )


def _weight(advisory: Advisory) -> tuple[int, str]:
    return (SEVERITY_ORDER.index(advisory.severity or ASSUMED_SEVERITY), advisory.id)


def _severity_inputs(
    worst: Advisory | None, exploited: Advisory | None, origins: Mapping[str, str]
) -> Iterable[AssessmentInput]:
    if worst is None:
        yield AssessmentInput(name="severity", origin=f"{RULE}: the update names no advisory")
    else:
        origin = f"feed:{origins.get(worst.id, 'unknown')}"
        yield AssessmentInput(name=f"severity of {worst.id}", value=worst.severity, origin=origin)
    if worst is None or worst.severity is None:
        yield AssessmentInput(name="severity assumed", value=ASSUMED_SEVERITY, origin=RULE)
    told = exploited or worst
    if told is not None:
        value = None if told.exploited is None else "yes" if told.exploited else "no"
        origin = f"feed:{origins.get(told.id, 'unknown')}"
        yield AssessmentInput(name=f"exploitation of {told.id}", value=value, origin=origin)


def _group_inputs(group: Group) -> Iterable[AssessmentInput]:
    origin = f"fleet file, group {group.name}"
    yield AssessmentInput(name="exposure", value=group.exposure, origin=origin)
    yield AssessmentInput(name="criticality", value=group.criticality, origin=origin)
