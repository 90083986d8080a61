"""Dead letters: listed, shown, replayed, discarded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, StringConstraints

from patchline_gateway import presentation
from patchline_gateway.api.bodies import JsonRoute
from patchline_gateway.api.listing import After, Limit, page
from patchline_gateway.api.refusals import Refusal, unknown
from patchline_gateway.letters import NotKept, NotOpen
from patchline_gateway.messages import Decide
from patchline_gateway.shapes import LetterDetail, LetterItem, Page
from patchline_gateway.views import DeadLetterView, LetterState, of_state
from patchline_kit.context import ServiceHandle


class Decider(BaseModel):
    """Who decides."""

    who: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about dead letters."""
    router = APIRouter(tags=["dead letters"], route_class=JsonRoute)

    async def known(letter_id: str) -> DeadLetterView:
        view = await handle.read(DeadLetterView, letter_id)
        if view is None:
            raise unknown("dead letter", letter_id, "dead-letters list")
        return view

    @router.get("/dead-letters")
    async def letters(
        state: LetterState | Literal["all"] = "open",
        service: str | None = None,
        after: After = "",
        limit: Limit = 500,
    ) -> Page[LetterItem]:
        """Records that a service gave up; by default those that nobody has decided on."""
        return await page(
            handle,
            DeadLetterView,
            "all" if state == "all" else of_state(state),
            presentation.letter_item,
            after=after,
            limit=limit,
            keep=lambda letter: service in (None, letter.service),
        )

    @router.get("/dead-letters/{letter_id}")
    async def letter(letter_id: str) -> LetterDetail:
        """One dead letter with its record."""
        return presentation.letter_detail(await known(letter_id))

    @router.post("/dead-letters/{letter_id}/{decision}")
    async def decide(
        letter_id: str, decision: Literal["replay", "discard"], decider: Annotated[Decider, Body()]
    ) -> LetterItem:
        """Put the record back on its topic for the service that gave it up, or lay it aside for good."""
        await known(letter_id)
        try:
            await handle.deliver(Decide(to=letter_id, decision=decision, who=decider.who))
        except (NotOpen, NotKept) as error:
            raise Refusal(
                HTTPStatus.CONFLICT, "state", str(error), f"See `patchline dead-letters show {letter_id}`."
            ) from error
        return presentation.letter_item(await known(letter_id))

    return router
