"""Feeds: takes what vendors hand in, and publishes it."""

from __future__ import annotations

from typing import Literal

from patchline_feeds.publications import (
    KnownUpdate,
    NotTaken,
    Refusal,
    amend,
    introduce,
    refuse_withdrawn,
    withdraw,
)
from patchline_feeds.settings import Settings
from patchline_kit.context import Context
from patchline_kit.service import Service
from patchline_schemas.feed_items import FeedItem, FeedItemsError, Retraction, parse_item, update_id_of
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted
from patchline_schemas.requests import PublishResult, RequestAccepted, RequestRefused, RequestSubmitted

service = Service(
    "feeds",
    emits=[UpdatePublished, AdvisoryPublished, UpdateRetracted, RequestAccepted, RequestRefused],
    settings=Settings,
)


@service.on(RequestSubmitted)
async def publish(request: RequestSubmitted, ctx: Context) -> None:
    """Take a feed item; other requests are planning's."""
    if request.action != "publish":
        return
    try:
        item = parse_item(request.item or {})
    except FeedItemsError as error:
        await _refuse_item(request, str(error), ctx)
        return
    known = await _known(item, ctx)
    try:
        published, effect = _take(item, known, request.who, ctx)
    except NotTaken as refusal:
        _answer_no(request, refusal.rule, str(refusal), ctx, update_id=known.id)
        return
    ctx.emit(
        RequestAccepted(
            request_id=ctx.cause_id,
            action="publish",
            update_id=known.id,
            who=request.who,
            effect=effect,
            published=published,
        )
    )


@service.wakes(Refusal)
async def forget(refusal: Refusal, ctx: Context) -> None:
    """Nobody asks for this answer any more."""
    ctx.delete(refusal)


async def _known(item: FeedItem, ctx: Context) -> KnownUpdate:
    known = await ctx.load(KnownUpdate, item.update_id)
    if known is not None:
        return known
    return ctx.create(
        KnownUpdate(id=item.update_id, component=item.component, to_version=item.version, vendor=item.vendor)
    )


def _take(item: FeedItem, known: KnownUpdate, who: str, ctx: Context) -> tuple[PublishResult, str]:
    """Emit what the item changes; the result and, for people, its effect. Raises :class:`NotTaken`."""
    name = f"{known.component} {known.to_version}"
    event: UpdatePublished | AdvisoryPublished | UpdateRetracted | None
    if isinstance(item, Retraction):
        event = withdraw(known, item, who)
        known.event_id = ctx.emit(event) if event else known.event_id
        effect = f"{name} is withdrawn: what has not started will not." if event else f"{name} was withdrawn."
        return _result(known, "accepted" if event else "duplicate"), effect
    refuse_withdrawn(known)
    if known.kind is None:
        event = introduce(known, item, who)
        known.event_id = ctx.emit(event, urgent=item.emergency)
        return _result(known, "accepted"), f"{name} is published."
    event = amend(known, item)
    if event is None:
        return _result(
            known, "duplicate"
        ), f"{name} is published already, and the item says nothing new of it."
    known.event_id = ctx.emit(event, urgent=item.emergency)
    return _result(known, "amended"), f"What {item.vendor} says is added to {name}."


def _result(known: KnownUpdate, result: Literal["accepted", "duplicate", "amended"]) -> PublishResult:
    return PublishResult(event_id=known.event_id, update_id=known.id, result=result)


async def _refuse_item(request: RequestSubmitted, explanation: str, ctx: Context) -> None:
    if await ctx.load(Refusal, ctx.cause_id) is None:
        keep = ctx.setting(Settings).keep_refusals
        ctx.create(Refusal(id=ctx.cause_id, wake_at=ctx.now + keep))
    _answer_no(request, "input", explanation, ctx, update_id=update_id_of(request.item or {}))


def _answer_no(
    request: RequestSubmitted, rule: str, explanation: str, ctx: Context, *, update_id: str | None
) -> None:
    ctx.log.warning("refused a publication by %s (%s): %s", request.who, rule, explanation)
    ctx.emit(
        RequestRefused(
            request_id=ctx.cause_id,
            action="publish",
            update_id=update_id,
            who=request.who,
            rule=rule,
            explanation=explanation,
        )
    )
