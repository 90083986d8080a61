"""What the parts of a running service share."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from opentelemetry.trace import Tracer

from patchline_kit.clock import Clock
from patchline_kit.commits import Commits
from patchline_kit.deadlines import Uptime
from patchline_kit.documents import Document
from patchline_kit.measures import Measures
from patchline_kit.service import Service
from patchline_kit.store.port import Save, Saved, Store, Stored, StoreError
from patchline_kit.turns import Turns
from patchline_kit.urgency import plain

D = TypeVar("D", bound=Document)
R = TypeVar("R")

UNEXPECTED_KEPT = 100


class Activity:
    """Tells a waiter (a test, say) that something has ended or begun."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def pulse(self) -> None:
        """Something has changed."""
        for waiter in self._waiters:
            waiter.set()

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set at each pulse."""
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            yield event
        finally:
            self._waiters.discard(event)


class Changes:
    """Wakes whoever waits for a document to be saved by this process."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    def notify(self, collection: str, id_: str) -> None:
        """The document was saved."""
        for event in self._waiting.get((collection, id_), ()):
            event.set()

    async def wait(self, collection: str, id_: str, timeout: float) -> None:
        """Return at the next save of the document, or after ``timeout`` seconds."""
        event = asyncio.Event()
        key = (collection, id_)
        self._waiting[key].add(event)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]


class Core:
    """The service's declaration and what it runs on; every save goes through :attr:`commits`."""

    def __init__(
        self,
        service: Service,
        *,
        store: Store,
        clock: Clock,
        settings: object | None,
        tracer: Tracer,
        measures: Measures,
    ) -> None:
        self.service = service
        self.store = store
        self.clock = clock
        self.settings = settings
        self.tracer = tracer
        self.measures = measures
        self.log = logging.getLogger(f"patchline.{service.name}")
        self.resources: Mapping[type[Any], object] = {}
        self.activity = Activity()
        self.turns = Turns()
        """At documents, for units of work in this process: they do not conflict with each other."""
        self.changes = Changes()
        self.uptime = Uptime()
        self.commits = Commits(store, self._saved, self._written)
        self.on_saved: list[Callable[[Save, Saved], None]] = []
        self.unexpected: deque[tuple[str, Exception]] = deque(maxlen=UNEXPECTED_KEPT)
        """The latest errors of handlers that are no outcome, with the step they ended."""
        self.broken: str | None = None
        """What part of the runtime itself has ended with an error; None while all is well."""
        self.store_trouble: str | None = None
        """Why nothing can be stored, since the last time that something was; None while all is well."""

    async def commit(self, save: Save) -> Saved:
        """Store, and tell the relay, the waker and whoever waits. Raises what the store raises."""
        return await self.commits.store(save)

    def _saved(self, save: Save, saved: Saved) -> None:
        if self.store_trouble is not None:
            self.store_works()
        for listener in self.on_saved:
            listener(save, saved)
        self.changes.notify(save.collection, save.id)

    def store_fails(self, what: str, error: StoreError) -> None:
        """Say what cannot be done, once until the store works again: all parts meet the same trouble."""
        self.log.log(logging.WARNING if self.store_trouble is None else logging.DEBUG, "%s: %s", what, error)
        self.store_trouble = str(error)
        self.activity.pulse()

    def store_works(self) -> None:
        """Something was stored."""
        if self.store_trouble is not None:
            self.store_trouble = None
            self.log.info("documents can be stored again")

    def _written(self) -> None:
        self.activity.pulse()

    def fail(self, part: str, error: BaseException | None) -> None:
        """Say that a part of the runtime has ended with an error that is not foreseen."""
        self.broken = f"{part} ended with {type(error).__name__}: {error}"
        self.log.error("%s", self.broken, exc_info=error)
        self.activity.pulse()

    def resource(self, kind: type[R]) -> R:
        """What was registered or passed for ``kind``. Raises :class:`LookupError` if nothing was."""
        found = self.resources.get(kind)
        if found is None:
            raise LookupError(
                f"{self.service.name} has no resource {kind.__name__}: register it with @service.resource"
                f" or pass it to the runtime"
            )
        return found  # type: ignore[return-value]  # the registry is keyed by type

    def setting(self, kind: type[R]) -> R:
        """The service's settings. Raises :class:`TypeError` if they are of another class."""
        if not isinstance(self.settings, kind):
            raise TypeError(
                f"{self.service.name} runs with {type(self.settings).__name__}, not with {kind.__name__}"
            )
        return self.settings


def to_document(kind: type[D], stored: Stored) -> D:
    """The document that lies in the store."""
    document: D = kind.__pydantic_validator__.validate_json(stored.body)
    document.version = stored.version
    document.wake_at = stored.wake_at
    document.wake_priority = plain(stored.wake_priority)
    return document


def body_of(document: Document) -> bytes:
    """The document's JSON as it lies in the store."""
    return document.__pydantic_serializer__.to_json(document)


def collection_of(kind: type[Document]) -> str:
    """Where documents of a class lie. Raises :class:`TypeError` if the class names no collection."""
    if not kind.COLLECTION:
        raise TypeError(
            f'{kind.__name__} names no collection: class {kind.__name__}(Document, collection="…")'
        )
    return kind.COLLECTION
