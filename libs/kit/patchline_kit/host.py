"""The composition root: puts services, store, transport and telemetry together and runs them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from patchline_kit import memory
from patchline_kit.clock import Clock, SystemClock
from patchline_kit.folder import FolderLock, FolderTaken, name_of
from patchline_kit.generations import ReadModel
from patchline_kit.health import health_app, keep_measuring, serve_health
from patchline_kit.installation import installation_of
from patchline_kit.process import Process
from patchline_kit.runtime import Runtime
from patchline_kit.service import Service
from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.store.opening import StoreOf, stores
from patchline_kit.store.port import Store
from patchline_kit.telemetry import Telemetry
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Transport
from patchline_kit.transport.topics import topics_set_by

READY_SECONDS = 60.0
"""After so long without being ready the log says what is missing."""
LOOK_SECONDS = 0.05
"""How often to look, while starting, whether all services are ready."""
WATCH_SECONDS = 1.0
"""How often to look, afterwards, whether one has broken down."""

log = logging.getLogger("patchline.host")


class HostError(Exception):
    """Patchline cannot run as it is set up; the text says why and what to do."""


def discover_services(names: Sequence[str] = ()) -> list[Service]:
    """The installed services (entry points of ``patchline.services``), by name; all, or those in ``names``.

    Raises :class:`HostError` for one that is not there or cannot be imported.
    """
    found = {entry.name: entry for entry in entry_points(group="patchline.services")}
    missing = [name for name in names if name not in found]
    if missing:
        raise HostError(f"no service {missing[0]!r} is installed; there are {', '.join(sorted(found))}")
    services: list[Service] = []
    for name in sorted(names or found):
        try:
            services.append(found[name].load())
        except Exception as error:
            raise HostError(
                f"the service {name} cannot be loaded ({found[name].value}): {type(error).__name__}: {error}"
            ) from error
    return services


class Host:
    """Services in this process, on one transport and one store.

    With ``alone`` (a whole Patchline) no second one may use the state folder meanwhile, and replicas of its
    services only where transport and store are shared servers. Common settings come from ``settings``, a
    service's own from the environment. ``resources``, by service name, win over the services' factories.
    """

    def __init__(
        self,
        services: Sequence[Service],
        settings: ServiceSettings,
        *,
        alone: bool = True,
        clock: Clock | None = None,
        resources: Mapping[str, Mapping[type[Any], object]] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.runtimes: dict[str, Runtime] = {}
        self.health_address: tuple[str, int] | None = None
        self._services = list(services)
        self._alone = alone
        self._clock = clock or SystemClock()
        self._resources = resources or {}
        self._exits = AsyncExitStack()
        self._read_models: dict[str, ReadModel] = {}
        self._stop = asyncio.Event()

    async def run(self, *, on_ready: Callable[[Host], object] | None = None) -> None:
        """Be what this process does until SIGTERM, SIGINT or :meth:`stop`.

        ``on_ready`` is called once all services do their work.
        Raises what :meth:`start` raises, and :class:`HostError` if a service breaks down.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        try:
            await self.start()
            try:
                if await self._ready():
                    memory.settle()
                    if on_ready is not None:
                        on_ready(self)
                while not await self._stopped_within(WATCH_SECONDS):
                    self._fail_if_broken()
            finally:
                await self.close()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Let :meth:`run` end."""
        self._stop.set()

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(130)  # asked a second time: go now, as in a crash, which loses nothing
        self.stop()

    async def start(self) -> None:
        """Start everything.

        Raises :class:`HostError`, :class:`FolderTaken`, or the settings', the transport's or the store's
        error, all with a text for people; then nothing runs any more.
        """
        try:
            await self._start()
        except BaseExceptionGroup as group:
            await self.close()
            raise _first_of(group) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop everything, services first, each within the grace time."""
        grace = self.settings.grace.total_seconds()
        models = list(self._read_models.values())
        self._read_models.clear()
        for model in models:
            await model.pause()
        runtimes, self.runtimes = self.runtimes, {}
        ends = await asyncio.gather(
            *(runtime.stop(grace=grace) for runtime in runtimes.values()), return_exceptions=True
        )
        await asyncio.gather(*(model.stop(grace=0.0) for model in models))
        for name, end in zip(runtimes, ends, strict=True):
            if isinstance(end, BaseException):
                log.error("%s did not stop as it should", name, exc_info=end)
        await self._exits.aclose()

    async def _start(self) -> None:
        settings = self.settings
        try:
            names = [service.name for service in self._services]
            lock = FolderLock(
                settings.dir, alone=self._alone, services=names, shared=settings.on_shared_servers
            )
        except OSError as error:
            raise HostError(f"the state folder {settings.dir} cannot be used: {error.strerror}") from error
        self._exits.callback(lock.release)
        self._exits.callback(self.telemetry.shutdown)
        transport = self._transport()
        await transport.start()
        self._exits.push_async_callback(transport.stop)
        store_of = await self._exits.enter_async_context(stores(settings))
        process = Process(
            transport, health_app(self.runtimes, self.telemetry, settings.dir), self._read_models
        )
        for service in self._services:
            if service.read_model:
                await self._put_read_model(service, process, store_of)
            else:
                self.runtimes[service.name] = self._runtime(process, service, await store_of(service.name))
        await self._serve_health()
        if self.telemetry.pushes_metrics:
            measuring = asyncio.create_task(keep_measuring(self.runtimes, self.telemetry), name="figures")
            self._exits.callback(measuring.cancel)
        async with asyncio.TaskGroup() as starting:
            for runtime in self.runtimes.values():
                starting.create_task(runtime.start())
        for model in self._read_models.values():
            model.begin()

    def _transport(self) -> Transport:
        settings = self.settings
        grace = settings.grace.total_seconds()
        topics = topics_set_by(settings)
        if settings.kafka is None:
            return EmbeddedTransport(settings.dir / "log.db", clock=self._clock, topics=topics, grace=grace)
        return KafkaTransport(
            KafkaConnection.of(settings),
            prefix=installation_of(settings).topic_prefix,
            topics=topics,
            create_topics=settings.kafka_create_topics,
            member=name_of(settings.dir) if self._alone else None,
            grace=grace,
        )

    async def _put_read_model(self, service: Service, process: Process, store_of: StoreOf) -> None:
        model = ReadModel(
            service,
            transport=process.transport,
            store_of=store_of,
            clock=self._clock,
            make=partial(self._runtime, process),
            runtimes=self.runtimes,
        )
        await model.prepare()
        self._read_models[service.name] = model

    def _runtime(
        self,
        process: Process,
        service: Service,
        store: Store,
        group: str | None = None,
        aside: bool = False,
    ) -> Runtime:
        """A replica; of one ``aside``, which takes in old news, there are no traces and figures."""
        telemetry = self.telemetry.service(service.name)
        return Runtime(
            service,
            transport=process.transport,
            store=store,
            clock=self._clock,
            settings=settings_of(service, self.settings),
            resources={Process: process, **self._resources.get(service.name, {})},
            tracer=None if aside else telemetry.tracer,
            metrics=None if aside else telemetry.metrics,
            group=group,
            playback=aside,
            sole_owner=self._alone and not self.settings.on_shared_servers,
            by_store_time=True,
        )

    async def _serve_health(self) -> None:
        host, port = self.settings.host, self.settings.health_port
        if port is None:
            return
        app = health_app(self.runtimes, self.telemetry, self.settings.dir)
        try:
            self.health_address = await self._exits.enter_async_context(serve_health(app, host, port))
        except OSError as error:
            raise HostError(
                f"/ready and /metrics cannot be served on {host}, port {port}: {error.strerror}."
                " Choose another with PATCHLINE_HEALTH_PORT."
            ) from error

    async def _ready(self) -> bool:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        told = False
        while not await self._stopped_within(LOOK_SECONDS):
            self._fail_if_broken()
            reasons = [
                f"{name}: {reason}"
                for name, runtime in self.runtimes.items()
                for reason in runtime.readiness().reasons
            ]
            if not reasons:
                return True
            if not told and asyncio.get_running_loop().time() > deadline:
                told = True
                log.warning("not ready after %d s: %s", READY_SECONDS, "; ".join(reasons))
        return False

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _fail_if_broken(self) -> None:
        for name, runtime in self.runtimes.items():
            if runtime.core.broken is not None:
                raise HostError(f"{name}: {runtime.core.broken}")


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def settings_of(service: Service, common: ServiceSettings) -> ServiceSettings:
    """The settings object of ``service``: the common fields from ``common``, its own from the environment.

    Raises :class:`patchline_kit.settings.SettingsError`.
    """
    kind: type[ServiceSettings] = service.settings or ServiceSettings
    given = {name: getattr(common, name) for name in ServiceSettings.model_fields}
    return load_settings(kind, **given)


__all__ = ["FolderTaken", "Host", "HostError", "discover_services", "settings_of"]
