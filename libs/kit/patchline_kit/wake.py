"""Documents whose time has come: claimed, worked on under a lease, taken over when their worker is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from patchline_kit import tracing
from patchline_kit.alarm import Alarm
from patchline_kit.core import Core, to_document
from patchline_kit.documents import Document
from patchline_kit.handling import CONFLICTS_AT_MOST
from patchline_kit.onlooker import Onlooker
from patchline_kit.outcomes import LeaseLost, Outcome, RetryLater, Stale
from patchline_kit.retry import delay
from patchline_kit.service import Handler
from patchline_kit.store.port import Claim, Save, Saved, Stored, StoreError, VersionConflict
from patchline_kit.unit import Trigger, Unit, wake_id
from patchline_kit.urgency import is_raised

BEATS_PER_LEASE = 3
LOOK_EVERY = 1.0
"""Seconds between looks for what another replica has made due."""
LOOK_EVERY_ALONE = 30.0
"""The same where this process is the only one."""
STORE_BACKOFF = 1.0

DocumentKey = tuple[str, str]


class Wakers:
    """The service's ``wakes`` handlers at work."""

    def __init__(
        self,
        core: Core,
        *,
        owner: str,
        alone: bool,
        before_each: Callable[[], Awaitable[None]],
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._core = core
        self._may_begin = may_begin
        self._owner = owner
        self._alone = alone
        self._before_each = before_each
        self._handlers: dict[str, tuple[type[Document], Handler]] = {
            kind.COLLECTION: (kind, handler) for kind, handler in core.service.wakers.items()
        }
        self._collections = tuple(self._handlers)
        self._alarm = Alarm(core.clock)
        self._running: dict[DocumentKey, asyncio.Task[None]] = {}
        self._looks_at: float | None = None
        """When the next look is planned, by the monotonic clock; None while one goes on, and while there may
        be more to do than hands."""
        self.cut_off: tuple[str, ...] = ()
        """After :meth:`stop`: documents (``collection/id``) whose work did not end in time."""
        self._loop: asyncio.Task[None] | None = None
        self._onlooker = Onlooker(core, owner=owner, on_freed=self._alarm.ring)
        self._stopping = False
        self._killed = False
        self.looking = False
        """Whether it may just be claiming something: that is then neither due nor running."""
        self.stuck: dict[DocumentKey, str] = {}
        """Documents whose wake has failed as often as the retry policy allows, with the last error; they
        are tried on and on at the longest delay."""

    @property
    def running(self) -> list[str]:
        """What is being worked on, as ``collection/id``."""
        return ["/".join(key) for key in self._running]

    async def start(self) -> None:
        """Begin with what is due now; a sole owner first frees what its predecessor held."""
        if not self._handlers:
            return
        if self._alone:
            await self._core.store.free_claims()
        else:
            self._onlooker.start()
        self._core.on_saved.append(self._saved)
        self._loop = asyncio.create_task(self._forever())

    async def stop(self, *, grace: float) -> None:
        """Take nothing more; what has not ended after ``grace`` seconds is cancelled and left to others."""
        self._stopping = True
        self._alarm.ring()
        if self._loop is not None:
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace)
        self.cut_off = tuple("/".join(key) for key, task in self._running.items() if not task.done())
        await self._cancel()
        await self._onlooker.stop()

    async def kill(self) -> None:
        """Stop at once and leave every lease as it is."""
        self._stopping = self._killed = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self._cancel()
        await self._onlooker.stop()

    async def due(self) -> bool:
        """Whether an unclaimed document is due now."""
        if not self._handlers:
            return False
        earliest = await self._core.store.next_wake(self._collections)
        return earliest is not None and earliest <= self._core.clock.now()

    async def next_wake(self) -> datetime | None:
        """When the next document is due, or None."""
        return await self._core.store.next_wake(self._collections) if self._handlers else None

    async def _cancel(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _saved(self, save: Save, _saved: Saved) -> None:
        if save.wake_at is None or save.collection not in self._handlers:
            return
        clock = self._core.clock
        due_at = clock.monotonic() + (save.wake_at - clock.now()).total_seconds()
        if self._looks_at is None or due_at < self._looks_at:
            self._alarm.ring()

    async def _forever(self) -> None:
        while not self._stopping:
            self.looking = True
            self._looks_at = None
            try:
                wait = await self._claim_due()
            except StoreError as error:
                self._core.store_fails("documents that are due wait", error)
                wait = STORE_BACKOFF
            except Exception as error:
                self._core.fail("the waker", error)
                raise
            finally:
                self.looking = False
                self._core.activity.pulse()
            await self._alarm.wait(wait)

    async def _claim_due(self) -> float:
        """Claim what is due while there are hands free; the seconds until it makes sense to look again."""
        look_every = LOOK_EVERY_ALONE if self._alone else LOOK_EVERY
        core = self._core
        if not self._may_begin():
            return LOOK_EVERY
        free = core.service.wake_concurrency - len(self._running)
        if free <= 0:
            return look_every
        earliest = await core.store.next_wake(self._collections)
        if earliest is not None and earliest <= (now := core.clock.now()):
            claims = await core.store.claim_due(self._collections, now, self._owner, free)
            for claim in claims:
                self._begin(claim)
            if len(claims) == free:
                return look_every
            earliest = await core.store.next_wake(self._collections)
        wait = look_every
        if earliest is not None:
            wait = min(wait, max(0.0, (earliest - core.clock.now()).total_seconds()))
        self._looks_at = core.clock.monotonic() + wait
        return wait

    def _begin(self, claim: Claim) -> None:
        key = (claim.stored.collection, claim.stored.id)
        task = asyncio.create_task(self._hold(claim))
        self._running[key] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._running.get(key) is task:
                del self._running[key]
            if not task.cancelled() and task.exception() is not None:
                self._core.fail("a wake", task.exception())
            if self._looks_at is None:
                self._alarm.ring()
            self._core.activity.pulse()

        task.add_done_callback(ended)

    async def _hold(self, claim: Claim) -> None:
        """Work under the lease, with a heart that beats; give the lease back whatever happens."""
        stored = claim.stored
        work = asyncio.create_task(self._work(claim))
        heart = asyncio.create_task(self._beat(claim, work))
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if not self._killed:
                await self._core.store.release(stored.collection, stored.id, claim.fence)
            raise
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)
        if work.cancelled():
            self._core.log.warning(
                "another worker has taken %s/%s over; this one has let go", stored.collection, stored.id
            )
        elif (error := work.exception()) is not None:
            raise error

    async def _beat(self, claim: Claim, work: asyncio.Task[None]) -> None:
        stored, core = claim.stored, self._core
        while True:
            await core.clock.sleep(core.service.lease.total_seconds() / BEATS_PER_LEASE)
            try:
                alive = await core.store.beat(stored.collection, stored.id, claim.fence)
            except StoreError as error:
                core.store_fails(f"the lease of {stored.collection}/{stored.id} could not beat", error)
                continue
            if not alive and not work.done():
                work.cancel()
                return

    async def _work(self, claim: Claim) -> None:
        stored, core = claim.stored, self._core
        kind, handler = self._handlers[stored.collection]
        name = f"{getattr(handler, '__name__', 'wake')} {kind.__name__}"
        if claim.due is not None:
            core.measures.woken(name, (core.clock.now() - claim.due).total_seconds())
        await self._before_each()
        started = core.clock.monotonic()
        key = (stored.collection, stored.id)
        try:
            await self._until_saved(claim, kind, handler, name)
        except LeaseLost as lost:
            core.log.warning("%s %s: %s", name, stored.id, lost)
        except Stale:
            await core.store.release(*key, claim.fence, done=True)
            self._alarm.ring()
        except StoreError as error:
            core.store_fails(f"{name} {stored.id} will be woken again", error)
            await self._patiently_release(claim, timedelta(seconds=STORE_BACKOFF))
        except Exception as error:
            await self._failed(claim, name, error)
        else:
            self.stuck.pop(key, None)
            core.measures.handled(name, core.clock.monotonic() - started)

    async def _until_saved(self, claim: Claim, kind: type[Document], handler: Handler, name: str) -> None:
        """Call the handler, again on the fresh document as often as somebody else has saved it meanwhile."""
        core = self._core
        stored: Stored | None = claim.stored
        urgent = is_raised(claim.stored.wake_priority)
        for _ in range(CONFLICTS_AT_MOST):
            if stored is None:
                core.log.info("%s %s was deleted while it was worked on", name, claim.stored.id)
                return
            document = to_document(kind, stored)
            if document.wake_at is not None and document.wake_at <= core.clock.now():
                document.wake_at = None
            trigger = Trigger(
                kind="wake",
                id=wake_id(core.service.name, stored.collection, stored.id, stored.version, stored.saved_at),
                cause_id=stored.cause_id,
                urgent=urgent,
                fence=claim.fence,
                traceparent=stored.traceparent,
                caused_at=stored.saved_at,
            )
            with tracing.Step(
                core.tracer,
                tracing.span_name(name),
                about=document,
                parent=stored.traceparent,
                parent_at=stored.saved_at,
                now=core.clock.now(),
                urgent=urgent,
                apart=kind.SHARED,
            ) as span:
                unit = Unit(core, trigger, span)
                unit.hold(document, stored.body)
                try:
                    await handler(document, unit)
                    await unit.commit()
                except VersionConflict:
                    span.set_attribute("outcome", "changed meanwhile")
                except Exception as error:
                    if not isinstance(error, Outcome):
                        tracing.failed(span, error)
                    raise
                else:
                    return
            stored = await core.store.load(claim.stored.collection, claim.stored.id)
        raise RetryLater(
            f"{name} {claim.stored.id} was changed {CONFLICTS_AT_MOST} times while it was worked on"
        )

    async def _failed(self, claim: Claim, name: str, error: Exception) -> None:
        core, stored = self._core, claim.stored
        policy = core.service.retry
        attempts = claim.attempts + 1
        wait = delay(policy, min(attempts, policy.attempts), f"{stored.collection}/{stored.id}")
        if isinstance(error, RetryLater) and error.after is not None:
            wait = error.after
        if isinstance(error, Outcome):
            core.log.info("%s %s is woken again in %s: %s", name, stored.id, wait, error)
        else:
            core.measures.failed(name)
            core.unexpected.append((name, error))
            core.log.error("%s %s failed and is woken again in %s", name, stored.id, wait, exc_info=error)
        if attempts >= policy.attempts:
            self.stuck[stored.collection, stored.id] = f"{type(error).__name__}: {error}"
        core.measures.retried(name)
        await self._patiently_release(claim, wait)

    async def _patiently_release(self, claim: Claim, wait: timedelta) -> None:
        core, stored = self._core, claim.stored
        while True:
            try:
                await core.store.release(
                    stored.collection, stored.id, claim.fence, retry_at=core.clock.now() + wait
                )
            except StoreError as error:
                core.store_fails(f"{stored.collection}/{stored.id} cannot be given back", error)
                await asyncio.sleep(STORE_BACKOFF)
            else:
                self._alarm.ring()
                return
