"""Waiting for a view to be as one hopes, without polling where it can be helped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from patchline_kit.context import ServiceHandle
from patchline_kit.documents import Document

D = TypeVar("D", bound=Document)
LOOK_AGAIN = 1.0
"""Seconds after which a view is looked at again: another replica may have saved it."""


async def wait_for(
    handle: ServiceHandle, kind: type[D], id: str, is_as_hoped: Callable[[D], bool], deadline: float
) -> D | None:
    """The document once it is as hoped; None when ``deadline`` (event-loop time) comes first."""
    loop = asyncio.get_running_loop()
    while True:
        left = deadline - loop.time()
        change = asyncio.create_task(handle.changed(kind, id, timeout=max(0.0, min(LOOK_AGAIN, left))))
        try:
            await asyncio.sleep(0)  # the watch must stand before the look
            document = await handle.read(kind, id)
            if document is not None and is_as_hoped(document):
                return document
            if left <= 0:
                return None
            await change
        finally:
            change.cancel()
