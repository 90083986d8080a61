"""Changes to the fleet file that reviews propose."""

from __future__ import annotations

from fastapi import APIRouter

from patchline_gateway import presentation
from patchline_gateway.api.listing import After, Limit, page
from patchline_gateway.api.refusals import unknown
from patchline_gateway.shapes import Page, ProposalItem
from patchline_gateway.views import ProposalView, of_group
from patchline_kit.context import ServiceHandle


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about proposals."""
    router = APIRouter(tags=["proposals"])

    @router.get("/proposals")
    async def proposals(
        group: str | None = None, after: After = "", limit: Limit = 500
    ) -> Page[ProposalItem]:
        """What reviews propose."""
        return await page(
            handle,
            ProposalView,
            of_group(group) if group else "all",
            presentation.proposal_item,
            after=after,
            limit=limit,
        )

    @router.get("/proposals/{proposal_id}")
    async def proposal(proposal_id: str) -> ProposalItem:
        """One proposal, with its patch."""
        view = await handle.read(ProposalView, proposal_id)
        if view is None:
            raise unknown("proposal", proposal_id, "proposals list")
        return presentation.proposal_item(view)

    return router
