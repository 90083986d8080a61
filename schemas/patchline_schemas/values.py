"""Values that events share: enumerations, UTC times and the frozen base of every nested value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


UtcTime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An instant with a zone, kept in UTC; RFC 3339 with ``Z`` on the wire."""

Kind = Literal["security", "bugfix", "feature", "other"]
Severity = Literal["low", "medium", "high", "critical"]
Urgency = Literal["immediate", "out-of-cycle", "scheduled", "defer"]
"""How soon an update must be in effect: the outcomes of SSVC's deployer tree (CERT/CC SSVC, "Deployer")."""
Criticality = Literal["low", "medium", "high", "critical"]
Exposure = Literal["small", "controlled", "open"]
"""How reachable a group is from outside: the values of SSVC's "System Exposure"."""

CRITICALITY_ORDER: tuple[Criticality, ...] = ("low", "medium", "high", "critical")

UpdateState = Literal[
    "assessed",
    "not-applicable",
    "planned",
    "testing",
    "awaiting-approval",
    "scheduled",
    "rolling-out",
    "paused",
    "rolling-back",
    "needs-person",
    "completed",
    "failed",
    "rejected",
    "cancelled",
]
ON_THE_WAY: tuple[UpdateState, ...] = (
    "assessed",
    "planned",
    "testing",
    "awaiting-approval",
    "scheduled",
    "rolling-out",
)
"""The states that an update passes, in this order, before it is completed."""
TERMINAL_STATES: frozenset[UpdateState] = frozenset(
    {"not-applicable", "completed", "failed", "rejected", "cancelled"}
)
"""States that end a round. ``needs-person`` is none of them: somebody still has to act."""

WaveState = Literal[
    "planned",
    "due",
    "backing-up",
    "deploying",
    "verifying",
    "soaking",
    "verified",
    "rolling-back",
    "rolled-back",
    "failed",
    "cancelled",
]
TargetOutcome = Literal[
    "pending",
    "running",
    "succeeded",
    "failed",
    "timed-out",
    "unreachable",
    "not-started",
    "rolled-back",
]
AssessmentStatus = Literal["affected", "not-affected", "unknown"]


class Value(BaseModel):
    """A nested value of an event: frozen, and blind to fields that a later schema adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)
