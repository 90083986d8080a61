"""Rebuilding a read model from the ledger: asked for, and how far it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, StringConstraints

from patchline_gateway.api.bodies import JsonRoute
from patchline_gateway.api.refusals import Refusal
from patchline_kit.context import ServiceHandle
from patchline_kit.generation_record import RebuildStatus
from patchline_kit.generations import ReadModel
from patchline_kit.process import Process


class Requester(BaseModel):
    """Who asks."""

    who: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about rebuilds."""
    router = APIRouter(tags=["rebuilds"], route_class=JsonRoute)

    def known(service: str) -> ReadModel:
        models = handle.resource(Process).read_models
        if service not in models:
            raise Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "input",
                f"{service} cannot be rebuilt here: only a service whose documents all follow from events and"
                " which does nothing else on them, can. The documents of another are what it decided and did,"
                " and no event can bring them back.",
                f"These can be rebuilt here: {', '.join(sorted(models))}. For others restore a backup"
                " (docs/operations.md).",
            )
        return models[service]

    @router.post("/rebuilds/{service}")
    async def rebuild(service: str, requester: Annotated[Requester, Body()]) -> RebuildStatus:
        """Build the service's documents anew from the ledger, unless that is going on already."""
        return await known(service).request(requester.who)

    @router.get("/rebuilds/{service}")
    async def status(service: str) -> RebuildStatus:
        """How far the rebuild is, or that the last one has ended."""
        return await known(service).status()

    return router
