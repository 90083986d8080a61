"""What a wave does when a step fails: give up where nothing was changed, else go back to the backups."""

from __future__ import annotations

from collections.abc import Iterable

from patchline_kit.context import Context
from patchline_planning import deadlines
from patchline_planning.messages import BlockTarget
from patchline_planning.wave import Wave
from patchline_planning.wave_targets import ask_for_targets, release_targets
from patchline_schemas.waves import TargetResult, WaveRollbackRequested

UNTOUCHED = frozenset({"pending", "not-started", "unreachable"})
"""Outcomes of a deployment that leave a target as it was."""
FAULTY = frozenset({"failed", "timed-out", "unreachable"})


def give_up(wave: Wave, error: str, ctx: Context) -> None:
    """End in failure where no target was changed."""
    wave.error = error
    wave.move("gave-up")
    release_targets(wave, ctx)
    wave.idle()
    ctx.send(wave.moved())


def fail(wave: Wave, error: str, changed: Iterable[str], ctx: Context) -> None:
    """Take back what was changed; a wave that has let its targets go must own them again first."""
    wave.error = error
    wave.changed = tuple(sorted(changed))
    wave.move("failing")
    if not wave.changed:
        rolled_back(wave, ctx)
        return
    if wave.gates == "owned":
        request_rollback(wave, ctx)
    else:
        wave.idle()
        ask_for_targets(wave, wave.changed, ctx)
    ctx.send(wave.moved())


def mend(wave: Wave, ctx: Context) -> None:
    """The wave is verified: take back those of its targets whose failure the policy tolerates."""
    wave.changed = tuple(sorted(set(wave.changed) & set(wave.failed)))
    if wave.changed:
        wave.mending = True
        ask_for_targets(wave, wave.changed, ctx)


def request_rollback(wave: Wave, ctx: Context) -> None:
    """Ask for the rollback of every changed target to its backup."""
    changed = frozenset(wave.changed)
    ctx.emit(
        WaveRollbackRequested(
            order=wave.order,
            targets=tuple(target for target in wave.targets if target.target_id in changed),
            backups=tuple(backup for backup in wave.backups if backup.target_id in changed),
            reason=wave.error or "a person asked for it",
        ),
        part=f"{wave.id}/{wave.attempt}",
    )
    wave.begin_step(ctx.now, deadlines.rollback_limit(*wave.size()))


def rolled_back(wave: Wave, ctx: Context) -> None:
    """The rollback has ended well."""
    if wave.mending:
        wave.mending = False
    else:
        wave.move("rollback-verified")
    release_targets(wave, ctx)
    wave.idle()
    ctx.send(wave.moved())


def need_person(wave: Wave, error: str, ctx: Context) -> None:
    """The rollback failed: keep the targets, so that nobody touches them before a person has looked."""
    wave.error = f"{wave.error}; then the rollback failed: {error}" if wave.error else error
    wave.needs_person, wave.mending = True, False
    wave.move("rollback-failed")
    wave.idle()
    for target_id in wave.asked_for:
        ctx.send(BlockTarget(to=target_id, wave_id=wave.id))
    ctx.send(wave.moved())


def touched(results: Iterable[TargetResult]) -> tuple[str, ...]:
    """Ids of the targets that a deployment may have changed."""
    return tuple(
        sorted(result.target_id for result in results if result.changes or result.outcome not in UNTOUCHED)
    )


def faulty(results: Iterable[TargetResult]) -> tuple[str, ...]:
    """Ids of the targets on which a step failed."""
    return tuple(sorted(result.target_id for result in results if result.outcome in FAULTY))
