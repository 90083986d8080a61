"""Who may call: a bearer token where one is set, and no web page in somebody's browser."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from patchline_gateway.api.refusals import Refusal
from patchline_kit.addresses import is_loopback

OPEN_PATHS = frozenset({"/live", "/ready"})
"""For the machinery that watches processes; they tell nothing about the fleet."""

SENT_UNASKED = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""Content types that a browser lets a page post to any address (Fetch standard, CORS-safelisted)."""


class Access:
    """ASGI middleware that turns away who has not the token, and cross-site calls where there is none."""

    def __init__(self, app: ASGIApp, *, token: str | None, host: str) -> None:
        self._app = app
        self._token = token
        self._local_names_only = is_loopback(host) and not token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer it."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            refusal = self._refusal(scope["method"], Headers(scope=scope))
            if refusal:
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> Refusal | None:
        if self._token:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(
                given.strip().encode(), self._token.encode()
            ):
                return None
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                "token",
                "This Patchline wants an API token, and the call has none or another one.",
                "Set PATCHLINE_TOKEN or --token to the token that the gateway was started with.",
            )
        if self._local_names_only and not _is_local_call(method, headers):
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "cross-site",
                "A call from another site's page is not taken.",
                "Call 127.0.0.1 directly, or start the gateway with PATCHLINE_TOKEN.",
            )
        return None


def _is_local_call(method: str, headers: Headers) -> bool:
    """A page of another site shows in ``Origin``; a rebound DNS name shows in ``Host``.

    A page of another server on this machine is no other site. Its browser asks us before it sends JSON, and
    gets no permission; what it sends unasked is taken from our own pages alone.
    """
    host = urlsplit(f"//{headers.get('host', '')}")
    if not is_loopback(host.hostname or ""):
        return False
    if "origin" not in headers:
        return True
    origin = urlsplit(headers["origin"])
    if method == "POST" and _media_type(headers) in SENT_UNASKED:
        return origin.netloc == host.netloc
    return is_loopback(origin.hostname or "")


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
