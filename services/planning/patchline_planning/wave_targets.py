"""How a wave comes to own its targets, and lets them go."""

from __future__ import annotations

from patchline_kit.context import Context
from patchline_planning.gates import Claim
from patchline_planning.messages import AcquireTarget, ReleaseTarget, TargetTaken
from patchline_planning.wave import Wave


def ask_for_targets(wave: Wave, ids: tuple[str, ...], ctx: Context) -> None:
    """Start the chain of gates; :class:`~patchline_planning.messages.TargetsOwned` ends it."""
    wave.attempt += 1
    wave.gates = "asking"
    wave.asked_for = ids
    wave.waits_for = None
    claim = Claim(
        wave_id=wave.id,
        update_id=wave.order.update_id,
        attempt=wave.attempt,
        purpose="start" if wave.state == "due" else "rollback",
        priority=wave.priority,
    )
    ctx.send(AcquireTarget(to=ids[0], claim=claim, rest=ids[1:]))


def release_targets(wave: Wave, ctx: Context) -> None:
    """Give back what the wave owns, or no longer ask for it."""
    for target_id in wave.asked_for:
        ctx.send(ReleaseTarget(to=target_id, wave_id=wave.id, attempt=wave.attempt))
    wave.gates = "none"
    wave.asked_for = ()
    wave.waits_for = None


def waits(wave: Wave, taken: TargetTaken, ctx: Context) -> None:
    """Remember, and tell, who owns a target that the wave needs."""
    if wave.gates != "asking" or wave.attempt != taken.attempt:
        return
    owner = taken.owner.update_id
    wave.waits_for = (
        f"a person who frees {taken.target_id}: the rollback of {owner} failed there"
        if taken.blocked
        else f"{owner}, which works on {taken.target_id}"
    )
    ctx.send(wave.moved())
