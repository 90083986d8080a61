"""Targets, groups and notices: listings."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter

from patchline_gateway import presentation
from patchline_gateway.api.listing import After, Limit, page
from patchline_gateway.api.refusals import Refusal, unknown_update
from patchline_gateway.shapes import GroupItem, InventoryItem, NoticeItem, Page, TargetItem
from patchline_gateway.views import (
    GroupView,
    InventoryView,
    NoticeState,
    NoticeView,
    TargetView,
    UpdateView,
    of_state,
    of_update,
)
from patchline_kit.context import ServiceHandle

V = TypeVar("V", GroupView, TargetView)


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about the fleet and what people were told."""
    router = APIRouter(tags=["fleet"])

    @router.get("/targets")
    async def targets(group: str | None = None, after: After = "", limit: Limit = 500) -> Page[TargetItem]:
        """Registered targets by ascending id."""
        tag = f"group:{group}" if group else "registered"
        found = await page(handle, TargetView, tag, presentation.target_item, after=after, limit=limit)
        if group and not found.items and not after:
            fix = "`patchline targets` shows those that have targets, `GET /v1/groups` all of them."
            await registered(GroupView, "group", group, fix)
        return found

    @router.get("/targets/{target_id}")
    async def target(target_id: str) -> TargetItem:
        """One target."""
        return presentation.target_item(await known(target_id))

    @router.get("/targets/{target_id}/inventory")
    async def inventory(target_id: str) -> InventoryItem:
        """Everything that a target has, as it said last."""
        view = await known(target_id)
        found = await handle.read(InventoryView, target_id)
        if found is None or found.collected_at is None:
            why = f": {view.inventory_error}" if view.inventory_error else "; it was not asked yet"
            raise Refusal(
                HTTPStatus.CONFLICT,
                "inventory-unknown",
                f"It is not known what is installed on {target_id}{why}.",
                "See `patchline doctor`; the target is asked again by itself.",
            )
        return presentation.inventory_item(found)

    async def known(target_id: str) -> TargetView:
        return await registered(TargetView, "target", target_id, "`patchline targets` lists those there are.")

    async def registered(kind: type[V], noun: str, id_: str, fix: str) -> V:
        view = await handle.read(kind, id_)
        if view is None or "registered" not in view.tags():
            raise Refusal(
                HTTPStatus.NOT_FOUND, f"unknown-{noun}", f"There is no {noun} {id_!r} in the fleet file.", fix
            )
        return view

    @router.get("/groups")
    async def groups(after: After = "", limit: Limit = 500) -> Page[GroupItem]:
        """The groups of the fleet file."""
        return await page(handle, GroupView, "registered", presentation.group_item, after=after, limit=limit)

    @router.get("/notices")
    async def notices(
        update_id: str | None = None,
        state: NoticeState | None = None,
        after: After = "",
        limit: Limit = 500,
    ) -> Page[NoticeItem]:
        """What contacts were told, could not be yet, or could not be."""
        tag = of_update(update_id) if update_id else of_state(state) if state else "all"
        found = await page(
            handle,
            NoticeView,
            tag,
            presentation.notice_item,
            after=after,
            limit=limit,
            keep=lambda notice: state in (None, notice.state),
        )
        if update_id and not found.items and not after:
            await refuse_unknown_update(update_id)
        return found

    async def refuse_unknown_update(update_id: str) -> None:
        view = await handle.read(UpdateView, update_id)
        if view is None or not view.known:
            raise unknown_update(update_id)

    return router
