"""Listings in parts: what every paged call has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query

from patchline_gateway.shapes import Page
from patchline_kit.context import ServiceHandle
from patchline_kit.documents import Document

D = TypeVar("D", bound=Document)
S = TypeVar("S")

After = Annotated[str, Query(description="`next` of the part before; leave it out for the first.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


async def page(
    handle: ServiceHandle,
    kind: type[D],
    tag: str | None,
    show: Callable[[D], S],
    *,
    after: str,
    limit: int,
    keep: Callable[[D], bool] = lambda _: True,
) -> Page[S]:
    """A part of a listing, by ascending id. ``keep`` narrows it further, so a part may be short."""
    found = await handle.find(kind, tag, after=after, limit=limit + 1)
    shown = [show(document) for document in found[:limit] if keep(document)]
    return Page(items=shown, next=found[limit - 1].id if len(found) > limit else None)


async def everything(handle: ServiceHandle, kind: type[D], tag: str | None) -> list[D]:
    """All documents with ``tag``; for what belongs to one update."""
    found: list[D] = []
    while True:
        part = await handle.find(kind, tag, after=found[-1].id if found else "", limit=500)
        found += part
        if len(part) < 500:
            return found
