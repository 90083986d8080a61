"""No call may be larger than what its event could ever hold."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchline_gateway.api.refusals import Refusal

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_DRAINED_BYTES = 128 * 1024 * 1024
"""So much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""


class BodyLimit:
    """ASGI middleware that answers a body over the limit with 413."""

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body whole, then pass the call on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        too_large = declared.isdigit() and int(declared) > self._limit
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= MAX_DRAINED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return
            size += len(message.get("body", b""))
            too_large = too_large or size > self._limit
            if too_large:
                chunks.clear()
            else:
                chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        if too_large:
            await self._refusal(max(size, int(declared or 0))).response()(scope, receive, send)
            return
        body = b"".join(chunks)
        delivered = False

        async def whole() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, send)

    def _refusal(self, size: int) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too-large",
            f"The body has {size / 1024 / 1024:.1f} MiB; {self._limit / 1024 / 1024:.0f} MiB is the most.",
            "Split it into several calls.",
        )
