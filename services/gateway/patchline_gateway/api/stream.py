"""Events as they happen: a stream of server-sent events (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from patchline_gateway.tail import Tail
from patchline_kit.context import ServiceHandle

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that both sides notice a broken connection."""


def routes(handle: ServiceHandle) -> APIRouter:
    """The stream."""
    router = APIRouter(tags=["events"])

    @router.get("/events", response_class=StreamingResponse)
    async def events(
        topic: Annotated[
            list[str] | None, Query(description="Topic, or a pattern like `updates.*`; may be repeated.")
        ] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Every event from now on, or from the one named in `Last-Event-ID` if it is recent."""
        return StreamingResponse(
            _stream(handle.resource(Tail), topic or ["*"], last_event_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router


async def _stream(tail: Tail, patterns: list[str], after: str | None) -> AsyncIterator[str]:
    with tail.listen(after) as (listener, gap):
        yield "retry: 2000\n: listening\n\n"
        if gap:
            yield _gap(
                f"event {after} is not among the newest any more: some that followed it are missing here"
            )
        while True:
            event = await listener.next(HEARTBEAT)
            if listener.lost:
                yield _gap(f"{listener.lost} events were left out: this reader is too slow")
                listener.lost = 0
            if event is None:
                yield ": alive\n\n"
            elif any(fnmatchcase(event.topic.removesuffix(".urgent"), pattern) for pattern in patterns):
                shown = event.shown()
                yield f"id: {shown['event_id']}\ndata: {json.dumps(shown, separators=(',', ':'))}\n\n"


def _gap(why: str) -> str:
    return f"event: gap\ndata: {json.dumps({'explanation': why})}\n\n"
