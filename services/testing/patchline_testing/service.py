"""Testing: tries an update in a disposable copy of a real target, one for each distinct environment."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import known_target, remember_targets
from patchline_fleet.scratch import sweep
from patchline_kit import tracing
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_kit.service import Service
from patchline_schemas.updates import UpdatePlanned, UpdateTested, UpdateTestFailed
from patchline_testing.documents import Test, Trial, TriedIn, TryIn, checks_of, trial_id
from patchline_testing.events import tested
from patchline_testing.judge import error_of
from patchline_testing.settings import Settings
from patchline_testing.trial import SCRATCH, try_update

service = Service("testing", emits=[UpdateTested, UpdateTestFailed], settings=Settings, wake_concurrency=8)
remember_targets(service)


@service.on(UpdatePlanned)
async def start(event: UpdatePlanned, ctx: Context) -> None:
    """Test the plan's update in each of its environments."""
    test = await ctx.load(Test, event.update_id)
    if test is None:
        test = ctx.create(Test.of(event))
    elif event.revision <= test.revision:
        raise Stale(f"revision {test.revision} of the plan is being tested")
    else:
        test.begin(event)
    for each in event.representatives:
        ctx.send(
            TryIn(
                to=trial_id(event.update_id, each.environment),
                test=event.update_id,
                revision=event.revision,
                component=event.component,
                update_version=event.version,
                representative=each,
            )
        )
    await say_if_over(test, ctx)


@service.on(TryIn)
async def ask(message: TryIn, ctx: Context) -> None:
    """Try the update in an environment, unless it has passed there already."""
    known = await known_target(message.representative.target_id, ctx)
    trial = await ctx.load(Trial, message.to)
    if trial is None:
        trial = ctx.create(Trial.of(message, ctx.now))
    elif trial.revision >= message.revision:
        raise Stale(f"revision {trial.revision} of the plan has asked already")
    trial.ask(message, checks_of(known.target), ctx.now)
    if trial.result is not None:
        ctx.send(trial.ended())


@service.wakes(Trial)
async def rehearse(trial: Trial, ctx: Context) -> None:
    """Try the update in a copy of the environment's representative."""
    if trial.result is None:
        known = await known_target(trial.representative.target_id, ctx)
        result = await try_update(trial, known, ctx)
        trial.ends(result)
        if not result.passed:
            tracing.not_good(error_of([result]))
        ctx.send(trial.ended())


@service.on(TriedIn)
async def tried(message: TriedIn, ctx: Context) -> None:
    """Note that an environment has ended; after the last one say how the test ended."""
    test = await ctx.require(Test, message.to)
    if message.revision != test.revision:
        raise Stale(f"revision {test.revision} of the plan is being tested")
    test.ends(message.environment)
    await say_if_over(test, ctx)


async def say_if_over(test: Test, ctx: Context) -> None:
    """Say how the test ended, once every environment has."""
    if test.is_over():
        trials = [await ctx.read(Trial, trial_id(test.id, each)) for each in test.environments]
        ctx.emit(tested(test, [trial for trial in trials if trial is not None]))


@service.at_start
async def clean_up(ctx: Context) -> None:
    """Remove copies that a crashed process left behind."""
    await sweep(ctx.setting(Settings).dir / "work", SCRATCH)


@service.resource(Drivers)
async def drivers(settings: Settings) -> AsyncIterator[Drivers]:
    """The installed drivers."""
    yield Drivers.installed()
