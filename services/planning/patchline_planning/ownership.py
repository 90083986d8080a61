"""What a gate does with the wishes of waves: it grants, queues, and passes the chain on."""

from __future__ import annotations

from patchline_kit.context import Context
from patchline_planning import gates
from patchline_planning.gates import Claim, TargetGate
from patchline_planning.messages import AcquireTarget, BlockTarget, ReleaseTarget, TargetsOwned, TargetTaken
from patchline_planning.wave import Wave

TOLD_OF_OWNER = 3
"""So many of a queue are told who owns the target now; those behind keep what they were told before."""


async def acquire(gate: TargetGate, message: AcquireTarget, ctx: Context) -> None:
    """Grant the target or put the wave in its queue.

    A wave that asks no more gets nothing: its release may have come here before its wish did, which is passed
    on from gate to gate, and nobody would ever free the target again.
    """
    if await _asking(message.claim, ctx) is None:
        return
    if gates.ask(gate, message.claim):
        _pass_on(message.claim, message.rest, ctx)
    elif gate.owner is not None:
        _tell_owner(gate, message.claim, gate.owner, ctx)


async def release(gate: TargetGate, message: ReleaseTarget, ctx: Context) -> None:
    """Free the target, then grant it to the first in the queue that still wants it."""
    if not gates.leave(gate, message.wave_id, message.attempt):
        return
    while (claim := gates.next_in_queue(gate)) is not None:
        wave = await _asking(claim, ctx)
        if wave is not None:
            _pass_on(claim, tuple(id for id in wave.asked_for if id > gate.id), ctx)
            for waiting in gate.queue[:TOLD_OF_OWNER]:
                _tell_owner(gate, waiting, claim, ctx)
            return
        gate.owner = None


def block(gate: TargetGate, message: BlockTarget, ctx: Context) -> None:
    """Keep the target for a wave whose rollback failed, and tell those who wait for it."""
    if gates.block(gate, message.wave_id) and gate.owner is not None:
        for waiting in gate.queue[:TOLD_OF_OWNER]:
            _tell_owner(gate, waiting, gate.owner, ctx)


async def _asking(claim: Claim, ctx: Context) -> Wave | None:
    """The wave, if it is still asking for its targets with this claim."""
    wave = await ctx.read(Wave, claim.wave_id)
    return wave if wave is not None and wave.gates == "asking" and wave.attempt == claim.attempt else None


def _pass_on(claim: Claim, rest: tuple[str, ...], ctx: Context) -> None:
    if rest:
        ctx.send(AcquireTarget(to=rest[0], claim=claim, rest=rest[1:]))
    else:
        ctx.send(TargetsOwned(to=claim.wave_id, attempt=claim.attempt))


def _tell_owner(gate: TargetGate, waiting: Claim, owner: Claim, ctx: Context) -> None:
    ctx.send(
        TargetTaken(
            to=waiting.wave_id,
            attempt=waiting.attempt,
            target_id=gate.id,
            owner=owner,
            blocked=gate.blocked,
        )
    )
