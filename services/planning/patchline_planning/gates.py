"""The ownership of a target: one wave at a time, the others in a queue."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from patchline_kit.documents import Document


class Claim(BaseModel):
    """A wave's wish to own a target."""

    wave_id: str
    update_id: str
    attempt: int
    """Counts the wave's tries, so that an answer to an earlier one is told apart."""
    purpose: Literal["start", "rollback"] = "start"
    priority: int = 0
    """Of waves that want to start, the one with the highest number is next."""


class TargetGate(Document, collection="gates", id_of="target", shared=True):
    """Who may work on a target. Its id is the target's."""

    owner: Claim | None = None
    blocked: bool = False
    """The owner's rollback failed: only a person frees the target."""
    queue: list[Claim] = Field(default_factory=list)


def ask(gate: TargetGate, claim: Claim) -> bool:
    """Grant the target to ``claim`` if it is free, or put the claim in the queue; whether it was granted.

    A rollback goes before waves that have not started. A later attempt of the same wave replaces an earlier.
    """
    gate.queue = [waiting for waiting in gate.queue if waiting.wave_id != claim.wave_id]
    if gate.owner is None or gate.owner.wave_id == claim.wave_id:
        gate.owner = claim
        return True
    behind = [index for index, waiting in enumerate(gate.queue) if _before(claim, waiting)]
    gate.queue.insert(behind[0] if behind else len(gate.queue), claim)
    return False


def leave(gate: TargetGate, wave_id: str, attempt: int) -> bool:
    """Take the wave out of the queue or free the target; whether the target is free now.

    A claim of a later attempt than ``attempt`` stays.
    """
    gate.queue = [w for w in gate.queue if w.wave_id != wave_id or w.attempt > attempt]
    if gate.owner is not None and gate.owner.wave_id == wave_id and gate.owner.attempt <= attempt:
        gate.owner = None
        gate.blocked = False
    return gate.owner is None


def next_in_queue(gate: TargetGate) -> Claim | None:
    """Grant a free target to the first in the queue, who is returned."""
    if gate.owner is not None or not gate.queue:
        return None
    gate.owner = gate.queue.pop(0)
    return gate.owner


def block(gate: TargetGate, wave_id: str) -> bool:
    """Mark the target as one that only a person frees; whether the wave owns it."""
    if gate.owner is None or gate.owner.wave_id != wave_id:
        return False
    gate.blocked = True
    return True


def _before(claim: Claim, waiting: Claim) -> bool:
    return (claim.purpose == "rollback", claim.priority) > (waiting.purpose == "rollback", waiting.priority)
