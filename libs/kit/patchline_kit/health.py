"""Whether the process lives, does its work, and how much: /live, /ready and /metrics over HTTP."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from patchline_kit.runtime import Readiness
from patchline_kit.telemetry import Telemetry
from patchline_kit.transport.port import Lag, TransportError

ROOM_BYTES = 64 << 20
"""With less free disk under the state folder the process is not ready."""
MEASURE_SECONDS = 5.0
"""How often lag is looked at where figures are pushed."""


class Watched(Protocol):
    """A running service, as health sees it."""

    def readiness(self) -> Readiness:
        """Whether it does its work, and if not, why."""

    async def lag(self) -> Lag:
        """How far it is behind on its topics."""


def report(services: Mapping[str, Watched], folder: Path) -> dict[str, Any]:
    """What /ready says: ``ready``, ``reasons`` for a person, and each service's own state."""
    states = {name: service.readiness() for name, service in services.items()}
    reasons = [f"{name}: {reason}" for name, state in states.items() for reason in state.reasons]
    full = _no_room(folder)
    if full is not None:
        reasons.append(full)
    return {
        "ready": not reasons,
        "reasons": reasons,
        "services": {
            name: {
                "ready": state.ready,
                "reasons": list(state.reasons),
                "assigned": state.assigned,
                "caught_up": state.caught_up,
                "backlog": state.backlog,
                "stuck": list(state.stuck),
            }
            for name, state in states.items()
        },
    }


async def measure_lag(services: Mapping[str, Watched], telemetry: Telemetry) -> None:
    """Bring the figures up to date that nobody is told of: how far each service is behind."""
    for name, service in services.items():
        try:
            lag = await service.lag()
        except TransportError:
            continue  # the last figure stays; /ready says what is wrong
        age = (datetime.now(UTC) - lag.oldest).total_seconds() if lag.oldest else 0.0
        telemetry.service(name).metrics.behind(lag.records, max(age, 0.0))


async def keep_measuring(services: Mapping[str, Watched], telemetry: Telemetry) -> None:
    """Do so for ever, for figures that are pushed: nobody asks for them."""
    while True:
        await measure_lag(services, telemetry)
        await asyncio.sleep(MEASURE_SECONDS)


async def exposition(services: Mapping[str, Watched], telemetry: Telemetry) -> bytes:
    """What /metrics says, in Prometheus' text format."""
    await measure_lag(services, telemetry)
    return generate_latest(telemetry.registry)


def health_app(services: Mapping[str, Watched], telemetry: Telemetry, folder: Path) -> Starlette:
    """The ASGI application that serves the three."""

    async def live(_: Request) -> Response:
        return PlainTextResponse("live\n")

    async def ready(_: Request) -> Response:
        said = report(services, folder)
        return JSONResponse(said, status_code=200 if said["ready"] else 503)

    async def metrics(_: Request) -> Response:
        return Response(await exposition(services, telemetry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)])


@asynccontextmanager
async def serve_health(app: Starlette, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve ``app``; yields the address. Raises :class:`OSError` if it cannot be bound to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]), name="health")
    try:
        yield listener.getsockname()[:2]
    finally:
        server.should_exit = True
        await serving
        listener.close()


class _Server(uvicorn.Server):
    """Signals belong to the process, not to its HTTP server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def _no_room(folder: Path) -> str | None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"the state folder {folder} cannot be used: {error.strerror}"
    if free >= ROOM_BYTES:
        return None
    return f"only {free >> 20} MiB are left on the disk under {folder}; make room there"
