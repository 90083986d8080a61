"""A service as its author writes it: handlers on events and messages, and documents that wake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from patchline_kit.context import Context, ServiceHandle
from patchline_kit.documents import Document, Message
from patchline_schemas import Event

H = TypeVar("H", bound=Event | Message)
D = TypeVar("D", bound=Document)
R = TypeVar("R")

Handler = Callable[[Any, Context], Awaitable[None]]
ResourceFactory = Callable[[Any], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a record that fails is tried again."""

    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=1)
    attempts: int = 8
    """After so many it becomes a dead letter."""
    early_for: timedelta = timedelta(hours=24)
    """An early record becomes a dead letter after this long."""
    dead_letters_in_a_row: int = 50
    """After so many dead letters without a success between them the service stops taking records."""


class Service:
    """A set of handlers under one name, which is also its consumer group::

        service = Service("deployment", emits=[WaveDeployed, WaveDeployFailed])

        @service.on(WaveBackedUp)
        async def start(event: WaveBackedUp, ctx: Context) -> None: ...

        @service.wakes(TargetRun)
        async def deploy(run: TargetRun, ctx: Context) -> None: ...

    ``emits`` declares what the service publishes: an event outside it is refused, and the exported
    AsyncAPI document is made from it.
    """

    def __init__(
        self,
        name: str,
        *,
        emits: list[type[Event]],
        settings: type[Any] | None = None,
        retry: RetryPolicy | None = None,
        lease: timedelta = timedelta(seconds=15),
        wake_concurrency: int = 32,
        replay_history: bool = True,
        read_model: bool = False,
    ) -> None:
        self.name = name
        self.emits = frozenset(emits)
        self.settings = settings
        """The service's settings class (see :mod:`patchline_kit.settings`), made by the composition root."""
        self.retry = retry or RetryPolicy()
        self.lease = lease
        self.wake_concurrency = wake_concurrency
        self.replay_history = replay_history
        """Whether a new group reads its topics from the beginning."""
        self.read_model = read_model
        """Whether all that it keeps follows from events, and no event makes it publish or touch anything:
        then it can be built anew from the ledger (see :mod:`patchline_kit.generations`)."""
        self.events: dict[type[Event], Handler] = {}
        self.every_event: Handler | None = None
        self.messages: dict[type[Message], Handler] = {}
        self.wakers: dict[type[Document], Handler] = {}
        self.resources: dict[type[Any], ResourceFactory] = {}
        self.starters: list[Callable[[Context], Awaitable[None]]] = []
        self.companions: list[Callable[[ServiceHandle], Awaitable[None]]] = []

    def on(
        self, *kinds: type[H]
    ) -> Callable[[Callable[[H, Context], Awaitable[None]]], Callable[[H, Context], Awaitable[None]]]:
        """Register the handler of one or more events or local messages. One handler a kind."""

        def register(
            handler: Callable[[H, Context], Awaitable[None]],
        ) -> Callable[[H, Context], Awaitable[None]]:
            for kind in kinds:
                self._register(kind, handler)
            return handler

        return register

    def on_every_event(
        self, handler: Callable[[Event, Context], Awaitable[None]]
    ) -> Callable[[Event, Context], Awaitable[None]]:
        """Register a handler for every topic there is, beside those with a handler of their own.

        ``ctx.record`` holds the record as it came. For a ledger or a read model.
        """
        if self.every_event is not None:
            raise TypeError(f"{self.name}: on_every_event is already taken")
        self.every_event = handler
        return handler

    def wakes(
        self, kind: type[D]
    ) -> Callable[[Callable[[D, Context], Awaitable[None]]], Callable[[D, Context], Awaitable[None]]]:
        """Register what happens when a document's ``wake_at`` comes.

        The handler holds the document's lease and may work long; ``ctx.fence`` is its fencing number.
        Before it is called ``wake_at`` is cleared: the handler sets it again to be woken again.
        """

        def register(
            handler: Callable[[D, Context], Awaitable[None]],
        ) -> Callable[[D, Context], Awaitable[None]]:
            if kind in self.wakers:
                raise TypeError(f"{self.name}: two handlers wake {kind.__name__}")
            self.wakers[kind] = handler
            return handler

        return register

    def at_start(self, handler: Callable[[Context], Awaitable[None]]) -> Callable[[Context], Awaitable[None]]:
        """Register what happens each time a replica starts, such as making a timer document if need be."""
        self.starters.append(handler)
        return handler

    def beside(
        self, companion: Callable[[ServiceHandle], Awaitable[None]]
    ) -> Callable[[ServiceHandle], Awaitable[None]]:
        """Register what runs beside the handlers while the service runs, such as an HTTP server.

        It is cancelled at stop. A companion that ends with an exception makes the service not ready.
        """
        self.companions.append(companion)
        return companion

    def resource(
        self, kind: type[R]
    ) -> Callable[[Callable[[Any], AsyncIterator[R]]], Callable[[Any], AsyncIterator[R]]]:
        """Register how to make something that handlers need from outside, by its type.

        The factory is an async generator that gets the service's settings and yields the resource once;
        what follows the yield runs at stop. A composition root or a test may pass its own instead.
        """

        def register(factory: Callable[[Any], AsyncIterator[R]]) -> Callable[[Any], AsyncIterator[R]]:
            self.resources[kind] = asynccontextmanager(factory)
            return factory

        return register

    def _register(self, kind: type[Any], handler: Handler) -> None:
        table: dict[Any, Handler] = self.messages if issubclass(kind, Message) else self.events
        if kind in table:
            raise TypeError(f"{self.name}: two handlers for {kind.__name__}")
        table[kind] = handler
