"""What happens to a wave, and to the targets that it owns."""

from __future__ import annotations

from patchline_kit.context import Context
from patchline_kit.outcomes import Early, Stale
from patchline_planning import ownership, wave_failures, wave_steps, wave_targets
from patchline_planning.declaration import service
from patchline_planning.gates import TargetGate
from patchline_planning.machine import WAVE, WAVE_ANSWERS
from patchline_planning.messages import (
    AcquireTarget,
    BeginWave,
    BlockTarget,
    DropWave,
    FreeTargets,
    OpenWave,
    ReleaseTarget,
    ReplanWave,
    RollBackWave,
    StandDown,
    TargetsOwned,
    TargetTaken,
)
from patchline_planning.wave import Wave
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveBackupFailed,
    WaveChecksPassed,
    WaveDeployed,
    WaveDeployFailed,
    WaveEvent,
    WaveRollbackFailed,
    WaveRollbackVerified,
    WaveVerificationFailed,
    WaveVerified,
)

# Waves -------------------------------------------------------------------------------------------


@service.on(OpenWave)
async def open_wave(message: OpenWave, ctx: Context) -> None:
    """A plan has a new wave."""
    if await ctx.load(Wave, message.to) is None:
        wave_steps.announce(ctx.create(wave_steps.opened(message)), ctx)


@service.on(ReplanWave)
async def replan_wave(message: ReplanWave, ctx: Context) -> None:
    """Its time or its targets have changed."""
    wave_steps.replan(await ctx.require(Wave, message.to), message, ctx)


@service.on(BeginWave)
async def begin_wave(message: BeginWave, ctx: Context) -> None:
    """It is its turn: own the targets first."""
    wave = await ctx.require(Wave, message.to)
    if wave.state == "planned":
        wave_steps.begin(wave, message, ctx)


@service.on(StandDown)
async def stand_down(message: StandDown, ctx: Context) -> None:
    """Not now, if it has not started."""
    wave = await ctx.require(Wave, message.to)
    if wave.state == "due":
        wave_steps.stand_down(wave, ctx)


@service.on(DropWave)
async def drop_wave(message: DropWave, ctx: Context) -> None:
    """Not at all, if it has not started."""
    wave = await ctx.require(Wave, message.to)
    if wave.state in ("planned", "due"):
        wave_steps.drop(wave, message.reason, ctx)


@service.on(RollBackWave)
async def roll_back_wave(message: RollBackWave, ctx: Context) -> None:
    """A later wave failed and the policy says that verified ones go back too."""
    wave = await ctx.require(Wave, message.to)
    if wave.state == "verified":
        wave_failures.fail(wave, message.reason, wave.done(), ctx)


@service.on(FreeTargets)
async def free_targets(message: FreeTargets, ctx: Context) -> None:
    """A person has looked at the targets of a failed rollback."""
    wave_targets.release_targets(await ctx.require(Wave, message.to), ctx)


@service.wakes(Wave)
async def limit_reached(wave: Wave, ctx: Context) -> None:
    """A step's limit, or the end of a window that it waits in."""
    wave_steps.time_out(wave, ctx)


@service.on(WaveBackedUp)
async def backed_up(event: WaveBackedUp, ctx: Context) -> None:
    """Every target has a backup: the deployment runs."""
    wave = await _wave_in_turn(event, ctx)
    wave.backups = event.backups
    wave_steps.go_on(wave, "backed-up", ctx)


@service.on(WaveBackupFailed)
async def backup_failed(event: WaveBackupFailed, ctx: Context) -> None:
    """No backup, no deployment."""
    wave_failures.give_up(await _wave_in_turn(event, ctx), event.error, ctx)


@service.on(WaveDeployed)
async def deployed(event: WaveDeployed, ctx: Context) -> None:
    """The version is installed: the verification runs."""
    wave_steps.deployed(await _wave_in_turn(event, ctx), event, ctx)


@service.on(WaveDeployFailed)
async def deploy_failed(event: WaveDeployFailed, ctx: Context) -> None:
    """A target failed: what was changed goes back."""
    wave = await _wave_in_turn(event, ctx)
    wave.failed = wave_failures.faulty(event.results)
    changed = wave_failures.touched(event.results)
    if changed:
        wave_failures.fail(wave, event.error, changed, ctx)
    else:
        wave_failures.give_up(wave, event.error, ctx)


@service.on(WaveChecksPassed)
async def checks_passed(event: WaveChecksPassed, ctx: Context) -> None:
    """The version is in effect: the targets are free again while the wave soaks."""
    wave = await _wave_in_turn(event, ctx)
    wave.soak_until = event.soak_until
    wave_steps.soak(wave, ctx)


@service.on(WaveVerified)
async def verified(event: WaveVerified, ctx: Context) -> None:
    """The wave has ended well."""
    wave_steps.verified(await _wave_in_turn(event, ctx), ctx)


@service.on(WaveVerificationFailed)
async def verification_failed(event: WaveVerificationFailed, ctx: Context) -> None:
    """The version is not in effect, or a check fails: the wave goes back."""
    wave = await _wave_in_turn(event, ctx)
    wave_failures.fail(wave, event.error, wave.changed, ctx)


@service.on(WaveRollbackVerified)
async def rollback_verified(event: WaveRollbackVerified, ctx: Context) -> None:
    """Everything is as backed up."""
    wave_failures.rolled_back(await _wave_in_turn(event, ctx), ctx)


@service.on(WaveRollbackFailed)
async def rollback_failed(event: WaveRollbackFailed, ctx: Context) -> None:
    """A target is neither updated nor as before: a person is needed."""
    wave_failures.need_person(await _wave_in_turn(event, ctx), event.error, ctx)


@service.on(TargetsOwned)
async def targets_owned(message: TargetsOwned, ctx: Context) -> None:
    """The wave owns every target that it asked for."""
    await wave_steps.owned(await ctx.require(Wave, message.to), message.attempt, ctx)


@service.on(TargetTaken)
async def target_taken(message: TargetTaken, ctx: Context) -> None:
    """Another wave owns a target: say so."""
    wave_targets.waits(await ctx.require(Wave, message.to), message, ctx)


# Targets -----------------------------------------------------------------------------------------


@service.on(AcquireTarget)
async def acquire(message: AcquireTarget, ctx: Context) -> None:
    """Grant the target, or put the wave in its queue."""
    gate = await ctx.load(TargetGate, message.to) or ctx.create(TargetGate(id=message.to))
    await ownership.acquire(gate, message, ctx)


@service.on(ReleaseTarget)
async def release(message: ReleaseTarget, ctx: Context) -> None:
    """Free the target for the next in its queue."""
    gate = await ctx.load(TargetGate, message.to) or ctx.create(TargetGate(id=message.to))
    await ownership.release(gate, message, ctx)


@service.on(BlockTarget)
async def block(message: BlockTarget, ctx: Context) -> None:
    """Keep the target until a person frees it."""
    ownership.block(await ctx.require(TargetGate, message.to), message, ctx)


async def _wave_in_turn(event: WaveEvent, ctx: Context) -> Wave:
    """The wave that an answer is about, where it fits: before that the answer is early, after it stale."""
    wave = await ctx.require(Wave, event.order.wave_id)
    expected = WAVE_ANSWERS[event.TOPIC]
    if isinstance(event, WaveVerificationFailed) and event.during_soak:
        expected = ("soaking",)
    if wave.mending and isinstance(event, WaveRollbackVerified | WaveRollbackFailed):
        expected = ("verified",)
    moment = WAVE.moment(wave.state, expected)
    if moment == "early":
        raise Early(f"{wave.id} is still {wave.state}", waits_for=(Wave, wave.id))
    if moment == "stale":
        raise Stale(f"{wave.id} is {wave.state} already")
    return wave
