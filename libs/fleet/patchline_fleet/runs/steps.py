"""Steps over waves: a wave fans out to one leased document per target, and fans in when the last has ended.

One service may have several steps::

    runs = WaveRuns(service)
    deploying = runs.step("deploy", ends_with_window=True, tolerates=lambda order: order.max_failures)

    @service.on(WaveBackedUp)
    async def start(event, ctx):
        await deploying.start(event.order, assignments(event), ctx)

    @deploying.on_target
    async def deploy(target, driver, run, ctx): ...      # long work: leased, resumable

    @deploying.when_over
    async def say(run, lap, ctx): ctx.emit(...)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from patchline_fleet.registry import known_target
from patchline_fleet.runs.attempt import Work, attempt
from patchline_fleet.runs.documents import (
    FAILURES,
    Assignment,
    ForgetTarget,
    StartRun,
    StartTarget,
    TargetEnded,
    TargetRun,
    WaveRun,
    target_run_id,
    wave_run_id,
)
from patchline_fleet.runs.lap import Lap
from patchline_kit import tracing
from patchline_kit.context import Context
from patchline_kit.outcomes import Stale
from patchline_kit.service import Service
from patchline_schemas.waves import WaveOrder

KEPT_FOR = timedelta(days=30)
"""How long the documents of a run that is over are kept, for a person who looks for what happened."""


WhenOver = Callable[[WaveRun, Lap, Context], Awaitable[None]]
Prepare = Callable[[WaveRun, Context], Awaitable[str | None]]


class Step:
    """One kind of run; made by :meth:`WaveRuns.step`."""

    def __init__(
        self,
        name: str,
        *,
        ends_with_window: bool,
        tolerates: Callable[[WaveOrder], int | None],
        removed_too: bool,
        repeatable: bool,
    ) -> None:
        self.name = name
        self.ends_with_window = ends_with_window
        self.tolerates = tolerates
        self.removed_too = removed_too
        self.repeatable = repeatable
        self.work: Work | None = None
        self.prepare: Prepare | None = None
        self.over: WhenOver | None = None

    def on_target(self, work: Work) -> Work:
        """Register the work on one target. It may be interrupted at any moment and is then done again."""
        self.work = work
        return work

    def before(self, prepare: Prepare) -> Prepare:
        """Register what is done once for the whole run before any target starts; may take long.

        It returns None, or why the run is refused.
        """
        self.prepare = prepare
        return prepare

    def when_over(self, over: WhenOver) -> WhenOver:
        """Register what is said when the last target has ended; it emits the step's event."""
        self.over = over
        return over

    def run_id(self, wave_id: str) -> str:
        """The id of the wave's run of this step."""
        return wave_run_id(wave_id, self.name)

    async def start(self, order: WaveOrder, assignments: Sequence[Assignment], ctx: Context) -> None:
        """Run the step over a wave. Raises :class:`Stale` if it has run, runs, or was stopped."""
        run = await ctx.load(WaveRun, self.run_id(order.wave_id))
        if run is None:
            run = ctx.create(self._new_run(order))
            run.waiting = tuple(assignments)
        elif self.repeatable and run.phase == "ended":
            run.again(assignments)
            run.order = order
        else:
            raise Stale(f"the wave's {self.name} is already {run.phase}")
        if self.prepare is not None:
            run.phase, run.wake_at = "preparing", ctx.now
        else:
            run.phase = "running"
            await self.go_on(run, ctx)

    def start_after(self, order: WaveOrder, assignments: Sequence[Assignment], ctx: Context) -> None:
        """Run the step over a wave once all is stored that this handler changes."""
        ctx.send(
            StartRun(
                to=self.run_id(order.wave_id), step=self.name, order=order, assignments=tuple(assignments)
            )
        )

    async def forestall(self, order: WaveOrder, reason: str, ctx: Context) -> None:
        """Stop the wave's run, or see to it that it never begins; no event follows from it any more.

        A run that has ended stays as it is.
        """
        run = await ctx.load(WaveRun, self.run_id(order.wave_id))
        if run is None:
            run = ctx.create(self._new_run(order))
        if run.phase != "ended":
            run.phase, run.note, run.waiting = "stopped", reason, ()
            run.wake_at = ctx.now + KEPT_FOR

    async def go_on(self, run: WaveRun, ctx: Context) -> None:
        """Start what may start; if nothing runs and nothing more may start, say how it ended."""
        for assignment in run.take(ctx.now):
            ctx.send(
                StartTarget(
                    to=target_run_id(run.id, assignment.target_id),
                    wave_run=run.id,
                    step=self.name,
                    lap=run.lap,
                    order=run.order,
                    assignment=assignment,
                )
            )
        if run.is_over(ctx.now):
            await self._end(run, await self._lap(run, ctx), ctx)

    async def refuse(self, run: WaveRun, why: str, ctx: Context) -> None:
        """End a run before any target was started."""
        run.note = why
        not_started = tuple(assignment.target for assignment in run.waiting)
        await self._end(run, Lap(run.order, run.lap, (), not_started, refused=why), ctx)

    async def _lap(self, run: WaveRun, ctx: Context) -> Lap:
        runs = await runs_of(run, ctx)
        left = [each for each in runs if self._was_late(each)]
        ended = [each for each in runs if each.result is not None and not self._was_late(each)]
        not_started = [each.assignment.target for each in left] + [each.target for each in run.waiting]
        why = (run.halted(ctx.now) or "the window had ended") if not_started else None
        return Lap(run.order, run.lap, tuple(ended), tuple(not_started), why)

    def _was_late(self, run: TargetRun) -> bool:
        """Whether only the window's end kept the work from beginning."""
        result = run.result
        return (
            self.ends_with_window
            and result is not None
            and (result.outcome, result.error) == ("not-started", None)
        )

    async def _end(self, run: WaveRun, lap: Lap, ctx: Context) -> None:
        if self.over is None:
            raise TypeError(f"the step {self.name} has no when_over")
        run.phase, run.wake_at = "ended", ctx.now + KEPT_FOR
        await self.over(run, lap, ctx)

    def _new_run(self, order: WaveOrder) -> WaveRun:
        return WaveRun(
            id=self.run_id(order.wave_id),
            step=self.name,
            order=order,
            ends_with_window=self.ends_with_window,
            tolerates=self.tolerates(order),
        )


class WaveRuns:
    """The steps of one service, and the handlers that carry them."""

    def __init__(self, service: Service) -> None:
        self._steps: dict[str, Step] = {}
        service.wakes(WaveRun)(self._wake)
        service.wakes(TargetRun)(self._work)
        service.on(StartTarget)(self._start_target)
        service.on(TargetEnded)(self._target_ended)
        service.on(StartRun)(self._start_run)
        service.on(ForgetTarget)(self._forget)

    def step(
        self,
        name: str,
        *,
        ends_with_window: bool = False,
        tolerates: Callable[[WaveOrder], int | None] = lambda order: None,
        removed_too: bool = False,
        repeatable: bool = False,
    ) -> Step:
        """A kind of run.

        ``ends_with_window``: nothing is started after the window. ``tolerates``: how many targets may fail
        before no further one is started, None to try all. ``removed_too``: targets that have left the fleet
        file are worked on as well. ``repeatable``: a run that has ended may be asked for again.
        """
        if name in self._steps:
            raise TypeError(f"two steps are called {name}")
        self._steps[name] = Step(
            name,
            ends_with_window=ends_with_window,
            tolerates=tolerates,
            removed_too=removed_too,
            repeatable=repeatable,
        )
        return self._steps[name]

    async def _wake(self, run: WaveRun, ctx: Context) -> None:
        step = self._steps[run.step]
        tracing.called(f"{step.name} wave")
        if run.phase == "preparing":
            why = await step.prepare(run, ctx) if step.prepare is not None else None
            if why is not None:
                await step.refuse(run, why, ctx)
                return
            run.phase = "running"
        elif run.phase == "resting":
            run.again([each.assignment for each in await runs_of(run, ctx)])
        elif run.phase == "running":
            return
        else:
            for each in await runs_of(run, ctx):
                ctx.send(ForgetTarget(to=each.id))
            ctx.delete(run)
            return
        await step.go_on(run, ctx)

    async def _start_run(self, message: StartRun, ctx: Context) -> None:
        await self._steps[message.step].start(message.order, message.assignments, ctx)

    async def _start_target(self, message: StartTarget, ctx: Context) -> None:
        await known_target(message.assignment.target_id, ctx)
        run = await ctx.load(TargetRun, message.to)
        if run is None:
            ctx.create(
                TargetRun(
                    id=message.to,
                    wave_run=message.wave_run,
                    step=message.step,
                    lap=message.lap,
                    order=message.order,
                    assignment=message.assignment,
                    allowed_at=ctx.now,
                    scope=f"{message.to} {ctx.cause_id}",
                    wake_at=ctx.now,
                )
            )
        elif run.lap < message.lap:
            run.lap, run.order, run.assignment = message.lap, message.order, message.assignment
            run.allowed_at = run.wake_at = ctx.now
            run.touched_at, run.result = None, None
        else:
            raise Stale(f"lap {message.lap} has begun on {message.assignment.target_id}")

    async def _work(self, run: TargetRun, ctx: Context) -> None:
        step = self._steps[run.step]
        if step.work is None:
            raise TypeError(f"the step {step.name} has no on_target")
        tracing.called(f"{step.name} target")
        if run.result is not None or await is_stopped(run, ctx):
            return
        known = await known_target(run.assignment.target_id, ctx)
        run.result = await attempt(step.work, run, known, ctx, removed_too=step.removed_too)
        if run.result.outcome in FAILURES:
            tracing.not_good(run.result.error or run.result.outcome)
        ctx.send(
            TargetEnded(
                to=run.wave_run,
                lap=run.lap,
                target_id=run.assignment.target_id,
                outcome=run.result.outcome,
            )
        )

    async def _target_ended(self, message: TargetEnded, ctx: Context) -> None:
        run = await ctx.require(WaveRun, message.to)
        if run.phase != "running" or run.lap != message.lap:
            raise Stale(f"the run is {run.phase} in lap {run.lap}")
        run.ends(message.target_id, message.outcome)
        await self._steps[run.step].go_on(run, ctx)

    async def _forget(self, message: ForgetTarget, ctx: Context) -> None:
        run = await ctx.load(TargetRun, message.to)
        if run is not None:
            ctx.delete(run)


async def runs_of(run: WaveRun, ctx: Context) -> Sequence[TargetRun]:
    """The target runs of a wave's run, by target id; a wave has at most 500."""
    return await ctx.find(TargetRun, run.id, limit=500)


async def is_stopped(run: TargetRun, ctx: Context) -> bool:
    """Whether the work on a target is no longer wanted, because its wave's run was stopped."""
    wave = await ctx.read(WaveRun, run.wave_run)
    return wave is None or wave.phase == "stopped"
