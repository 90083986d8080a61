"""Requests: onto their topic, and the wait for their answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

from patchline_gateway.api.refusals import Refusal, bad_input
from patchline_gateway.api.waiting import wait_for
from patchline_gateway.messages import Submit
from patchline_gateway.shapes import Decision, PendingDecision, Problem, PublishAnswer, Published
from patchline_gateway.views import RequestView, Submission, UpdateView
from patchline_kit.context import ServiceHandle
from patchline_schemas.requests import RequestSubmitted

PROGRESS_FOLLOWS = 1.0
"""Seconds within which the progress that a decision made shows, if it made any."""


async def submit(handle: ServiceHandle, requests: Sequence[RequestSubmitted]) -> tuple[str, ...]:
    """Put ``requests`` on their topic, all or none; their ids. They are durable when this returns."""
    submission_id = str(uuid.uuid4())
    updates = {request.update_id for request in requests}
    about = updates.pop() if len(updates) == 1 else None
    follows = (UpdateView, about) if about is not None else None
    await handle.deliver(Submit(to=submission_id, requests=tuple(requests)), follows=follows)
    submission = await handle.read(Submission, submission_id)
    assert submission is not None, "a submission is stored when its delivery returns"
    return submission.request_ids


async def decide(
    handle: ServiceHandle, request: RequestSubmitted, timeout: timedelta
) -> Decision | PendingDecision:
    """Ask for a decision and wait for planning's answer.

    Raises :class:`Refusal`: 409 when it is not possible in this state, 403 when a policy refuses.
    """
    deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
    before = await _sequence(handle, request.update_id)
    (request_id,) = await submit(handle, [request])
    answer = await wait_for(handle, RequestView, request_id, lambda _: True, deadline)
    if answer is None:
        return PendingDecision(request_id=request_id, action=request.action, update_id=request.update_id)
    if not answer.accepted:
        raise refused(answer, request.update_id)
    view = await _after_decision(handle, request.update_id, before)
    return Decision(
        request_id=request_id,
        action=answer.action,
        update_id=answer.update_id,
        effect=answer.effect or "",
        state=view.state if view else None,
    )


async def _sequence(handle: ServiceHandle, update_id: str | None) -> int:
    view = await handle.read(UpdateView, update_id) if update_id else None
    return view.sequence if view else 0


async def _after_decision(handle: ServiceHandle, update_id: str | None, before: int) -> UpdateView | None:
    """The answer and the progress it made travel on different topics: give the progress a moment."""
    if update_id is None:
        return None
    soon = asyncio.get_running_loop().time() + PROGRESS_FOLLOWS
    moved = await wait_for(handle, UpdateView, update_id, lambda view: view.sequence > before, soon)
    return moved or await handle.read(UpdateView, update_id)


def refused(answer: RequestView, update_id: str | None) -> Refusal:
    """The refusal as the API says it."""
    explanation = answer.explanation or "The request was refused."
    look = (
        f"`patchline explain {update_id}` says why it is where it is."
        if update_id
        else "See the explanation."
    )
    if answer.rule == "state":
        return Refusal(HTTPStatus.CONFLICT, "state", explanation, look)
    if answer.rule == "input":
        return bad_input(explanation, look)
    return Refusal(HTTPStatus.FORBIDDEN, answer.rule or "policy", explanation, look)


async def publish(
    handle: ServiceHandle, requests: Sequence[RequestSubmitted], timeout: timedelta
) -> PublishAnswer:
    """Publish items and wait until each is answered and shows in the read model.

    What is not there when ``timeout`` is over is listed as pending; it is durable and will come.
    Raises :class:`Refusal` (422) if feeds refused an item.
    """
    deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
    ids = await submit(handle, requests)
    answers = [await wait_for(handle, RequestView, id_, lambda _: True, deadline) for id_ in ids]
    problems = [
        Problem(item=number, problem=answer.explanation or "refused")
        for number, answer in enumerate(answers)
        if answer and not answer.accepted
    ]
    if problems:
        raise bad_input(
            f"items[{problems[0].item}]: {problems[0].problem}",
            "Correct what is named and publish again.",
            problems,
        )
    pending = [id_ for id_, answer in zip(ids, answers, strict=True) if answer is None]
    results = []
    for request, answer in zip(requests, answers, strict=True):
        if answer is None or answer.event_id is None or answer.update_id is None or answer.result is None:
            continue
        results.append(Published(event_id=answer.event_id, update_id=answer.update_id, result=answer.result))
        if not (request.item or {}).get("retracted"):
            shown = await wait_for(handle, UpdateView, answer.update_id, lambda view: view.known, deadline)
            pending += [] if shown else [answer.update_id]
    return PublishAnswer(results=results, pending=list(dict.fromkeys(pending)))
