"""Updates: listed, shown, explained, waited for, decided about."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from patchline_gateway import explanation, presentation
from patchline_gateway.api import asking
from patchline_gateway.api.bodies import JsonRoute
from patchline_gateway.api.listing import After, Limit, everything, page
from patchline_gateway.api.refusals import unknown_update
from patchline_gateway.api.reports import REPORT_TYPES, read_report
from patchline_gateway.api.waiting import wait_for
from patchline_gateway.settings import Settings
from patchline_gateway.shapes import (
    Decision,
    Explanation,
    Page,
    PendingDecision,
    UpdateDetail,
    UpdateLine,
    WaitAnswer,
    WaveLine,
)
from patchline_gateway.views import (
    ALL_UPDATES,
    HistoryEntry,
    NoticeView,
    ProposalView,
    UpdateView,
    WaveView,
    of_state,
    of_update,
)
from patchline_gateway.waits import Goal, standing
from patchline_kit.context import ServiceHandle
from patchline_schemas.requests import RequestSubmitted
from patchline_schemas.values import UpdateState

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
UpdateId = Annotated[str, Path(description="The id that `/v1/updates` lists.", max_length=300)]
Timeout = Annotated[timedelta, Query(ge=timedelta(0), le=timedelta(minutes=10))]
Action = Literal["approve", "reject", "cancel", "retry", "pause", "resume"]


class Wish(BaseModel):
    """Who wants it, and why."""

    who: Words
    reason: Words
    plan_revision: int | None = Field(
        default=None, description="The plan that an approval means; by default the newest there is."
    )


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls about updates."""
    router = APIRouter(tags=["updates"], route_class=JsonRoute)

    async def known(update_id: str) -> UpdateView:
        view = await handle.read(UpdateView, update_id)
        if view is None or not view.known:
            raise unknown_update(update_id)
        return view

    @router.get("/updates")
    async def list_updates(
        state: UpdateState | None = None, after: After = "", limit: Limit = 500
    ) -> Page[UpdateLine]:
        """Updates by ascending id, all or those in one state."""
        tag = of_state(state) if state else ALL_UPDATES
        return await page(handle, UpdateView, tag, presentation.update_line, after=after, limit=limit)

    @router.get("/updates/{update_id}")
    async def show_update(update_id: UpdateId) -> UpdateDetail:
        """An update, whole: what holds it, its waves with the first 500 targets, its history, its traces."""
        view = await known(update_id)
        waves = await everything(handle, WaveView, of_update(update_id))
        history = await everything(handle, HistoryEntry, of_update(update_id))
        return presentation.update_detail(view, waves, history, handle.setting(Settings).trace_address())

    @router.get("/updates/{update_id}/explain")
    async def explain_update(update_id: UpdateId) -> Explanation:
        """In sentences: why the update is where it is, what holds it, who can release it."""
        view = await known(update_id)
        waves = await everything(handle, WaveView, of_update(update_id))
        notices = await everything(handle, NoticeView, of_update(update_id))
        proposals = await everything(handle, ProposalView, of_update(update_id))
        return explanation.explain(view, waves, notices, handle.now, proposals=proposals)

    @router.get("/updates/{update_id}/wait")
    async def wait_for_update(
        update_id: UpdateId,
        goal: Annotated[UpdateState | Literal["closed"], Query(alias="for")] = "closed",
        since: Annotated[int, Query(description="`sequence` of the wait's first answer.")] = 0,
        timeout: Timeout = timedelta(seconds=20),
    ) -> WaitAnswer:
        """Return when the update reaches a state, can no longer do so, or after ``timeout``."""
        view = await known(update_id)
        wish = Goal(goal, since or view.sequence)
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        settled = await wait_for(
            handle, UpdateView, update_id, lambda seen: standing(seen, wish).over, deadline
        )
        view = settled or await known(update_id)
        stands = standing(view, wish)
        return WaitAnswer(
            reached=stands.reached,
            ended=stands.ended,
            sequence=wish.since,
            update=presentation.update_line(view),
            held=presentation.held_line(view.held),
            error=view.error,
            waves=presentation.waves_under_way(view),
        )

    @router.get("/updates/{update_id}/report", response_class=Response)
    async def report(update_id: UpdateId, format: Literal["html", "md", "json"] = "html") -> Response:
        """The report of the newest round that has one."""
        return Response(
            await read_report(handle, await known(update_id), format), media_type=REPORT_TYPES[format]
        )

    @router.get("/waves/{update_id}")
    async def waves_of(update_id: UpdateId, after: After = "", limit: Limit = 50) -> Page[WaveLine]:
        """All waves of an update with all their targets."""
        view = await known(update_id)
        states = {progress.id: progress.state for progress in view.waves}
        return await page(
            handle,
            WaveView,
            of_update(update_id),
            lambda wave: presentation.wave_line(wave, states.get(wave.id, wave.state)),
            after=after,
            limit=limit,
        )

    @router.post("/updates/{update_id}/{action}", responses={202: {"model": PendingDecision}})
    async def decide(
        response: Response,
        update_id: UpdateId,
        action: Action,
        wish: Annotated[Wish, Body()],
        timeout: Timeout = timedelta(seconds=30),
    ) -> Decision | PendingDecision:
        """Ask for a decision and wait for the answer: 409 not possible now, 403 a policy refuses."""
        view = await known(update_id)
        revision = wish.plan_revision
        if action == "approve" and revision is None:
            revision = view.plan.revision if view.plan else view.revision
        request = RequestSubmitted(
            action=action, who=wish.who, reason=wish.reason, update_id=update_id, plan_revision=revision
        )
        return await _answered(response, handle, request, timeout)

    @router.post("/halt", responses={202: {"model": PendingDecision}})
    async def halt(
        response: Response, wish: Annotated[Wish, Body()], timeout: Timeout = timedelta(seconds=30)
    ) -> Decision | PendingDecision:
        """Let nothing start any more, anywhere; what runs goes on to its end."""
        request = RequestSubmitted(action="halt", who=wish.who, reason=wish.reason)
        return await _answered(response, handle, request, timeout)

    @router.post("/resume", responses={202: {"model": PendingDecision}})
    async def resume(
        response: Response, wish: Annotated[Wish, Body()], timeout: Timeout = timedelta(seconds=30)
    ) -> Decision | PendingDecision:
        """End a halt."""
        request = RequestSubmitted(action="resume", who=wish.who, reason=wish.reason)
        return await _answered(response, handle, request, timeout)

    return router


async def _answered(
    response: Response, handle: ServiceHandle, request: RequestSubmitted, timeout: timedelta
) -> Decision | PendingDecision:
    answer = await asking.decide(handle, request, timeout)
    if isinstance(answer, PendingDecision):
        response.status_code = HTTPStatus.ACCEPTED
    return answer
