"""The HTTP server that runs beside the handlers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from patchline_gateway.api.app import build_app
from patchline_gateway.settings import Settings
from patchline_kit.addresses import refuse_open_door
from patchline_kit.context import ServiceHandle

log = logging.getLogger("patchline.gateway")


class CannotServe(Exception):
    """The API cannot be served as it is set; the text says what to change."""


async def serve(handle: ServiceHandle) -> None:
    """Serve the API until cancelled.

    Raises :class:`CannotServe` if the address is taken, or open to other machines without a token.
    """
    settings = handle.setting(Settings)
    token = settings.token.get_secret_value() if settings.token else None
    refusal = refuse_open_door(settings.host, token)
    if refusal:
        raise CannotServe(refusal)
    listener = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        build_app(handle),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    server = _Server(config)
    log.info("the API listens on http://%s:%d", settings.host, listener.getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        server.force_exit = False
        await serving
        raise
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Signals belong to the process, not to its HTTP server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CannotServe(
            f"the gateway cannot listen on {host}, port {port}: {error.strerror}."
            " Choose another with --port or PATCHLINE_PORT."
        ) from error
    listener.setblocking(False)
    return listener
