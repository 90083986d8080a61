"""The gateway: read models from every topic, requests onto theirs, and the HTTP API beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_gateway import projections, routing, sentences
from patchline_gateway.api.server import serve
from patchline_gateway.letters import decide, decided, record_of
from patchline_gateway.messages import (
    Decide,
    Submit,
    TellDecision,
    TellFleetFile,
    TellGroup,
    TellInventory,
    TellLetter,
    TellNotice,
    TellProposal,
    TellRequest,
    TellTarget,
    TellUpdate,
    TellWave,
)
from patchline_gateway.settings import Settings
from patchline_gateway.tail import Seen, Tail
from patchline_gateway.traces import trace_of
from patchline_gateway.views import (
    DeadLetterView,
    FleetFileView,
    GroupView,
    HistoryEntry,
    InventoryView,
    NoticeView,
    ProposalView,
    RequestView,
    Submission,
    TargetView,
    UpdateView,
    WaveView,
)
from patchline_kit.context import Context, ServiceHandle
from patchline_kit.playback import was_played_back
from patchline_kit.process import Process
from patchline_kit.service import Service
from patchline_schemas import Event
from patchline_schemas.dead_letters import DeadLetterDecided
from patchline_schemas.requests import RequestSubmitted

service = Service("gateway", emits=[RequestSubmitted, DeadLetterDecided], settings=Settings, read_model=True)


@service.resource(Tail)
async def tail(_: Settings) -> AsyncIterator[Tail]:
    """The newest events, for those who listen."""
    yield Tail()


@service.on_every_event
async def record(event: Event, ctx: Context) -> None:
    """Write the event into the history and tell the views that it matters to."""
    assert ctx.envelope is not None and ctx.record is not None
    envelope = ctx.envelope
    trace = trace_of(envelope)
    if not was_played_back(ctx.record):
        ctx.resource(Tail).offer(Seen(ctx.record.topic, envelope, event, ctx.record.value, trace.id))
    if await ctx.load(HistoryEntry, envelope.id):
        return
    ctx.create(
        HistoryEntry(
            id=envelope.id,
            update_id=routing.update_of(event),
            type=envelope.type,
            topic=event.TOPIC,
            time=envelope.time,
            source=envelope.source,
            cause_id=envelope.causationid,
            trace_id=trace.id,
            trace_kept=trace.kept,
            summary=sentences.summary_of(event),
        )
    )
    for message in routing.news_of(event, envelope):
        ctx.send(message)


@service.on(TellUpdate)
async def tell_update(news: TellUpdate, ctx: Context) -> None:
    """Bring an update's view up to date."""
    view = await ctx.load(UpdateView, news.to) or ctx.create(UpdateView(id=news.to))
    projections.update_told(view, news)


@service.on(TellWave)
async def tell_wave(news: TellWave, ctx: Context) -> None:
    """Bring a wave's view up to date."""
    view = await ctx.load(WaveView, news.to) or ctx.create(WaveView(id=news.to))
    projections.wave_told(view, news)


@service.on(TellTarget)
async def tell_target(news: TellTarget, ctx: Context) -> None:
    """Bring a target's view up to date."""
    view = await ctx.load(TargetView, news.to) or ctx.create(TargetView(id=news.to))
    projections.target_told(view, news)


@service.on(TellInventory)
async def tell_inventory(news: TellInventory, ctx: Context) -> None:
    """Keep a target's newest inventory."""
    view = await ctx.load(InventoryView, news.to) or ctx.create(InventoryView(id=news.to))
    projections.inventory_told(view, news)


@service.on(TellGroup)
async def tell_group(news: TellGroup, ctx: Context) -> None:
    """Keep a group as the newest fleet file has it."""
    view = await ctx.load(GroupView, news.to) or ctx.create(GroupView(id=news.to))
    projections.group_told(view, news)


@service.on(TellFleetFile)
async def tell_fleet_file(news: TellFleetFile, ctx: Context) -> None:
    """Keep whether the newest fleet file is in use."""
    view = await ctx.load(FleetFileView, news.to) or ctx.create(FleetFileView(id=news.to))
    projections.fleet_file_told(view, news)


@service.on(TellNotice)
async def tell_notice(news: TellNotice, ctx: Context) -> None:
    """Keep how a notice ended."""
    view = await ctx.load(NoticeView, news.to) or ctx.create(NoticeView(id=news.to, time=news.time))
    projections.notice_told(view, news)


@service.on(TellProposal)
async def tell_proposal(news: TellProposal, ctx: Context) -> None:
    """Keep what a review proposes."""
    if await ctx.load(ProposalView, news.to) is None:
        ctx.create(projections.proposal_view(news))


@service.on(TellLetter)
async def tell_letter(news: TellLetter, ctx: Context) -> None:
    """Keep a dead letter, whole."""
    view = await ctx.load(DeadLetterView, news.to) or ctx.create(DeadLetterView(id=news.to))
    projections.letter_told(view, news)


@service.on(TellDecision)
async def tell_decision(news: TellDecision, ctx: Context) -> None:
    """Keep what a person decided about a dead letter."""
    view = await ctx.load(DeadLetterView, news.to) or ctx.create(DeadLetterView(id=news.to))
    projections.decision_told(view, news)


@service.on(TellRequest)
async def tell_request(news: TellRequest, ctx: Context) -> None:
    """Keep the first answer to a request."""
    if await ctx.load(RequestView, news.to) is None:
        ctx.create(projections.answer_view(news))


@service.on(Submit)
async def submit(asked: Submit, ctx: Context) -> None:
    """Put the requests of one HTTP call on their topic, all or none."""
    if await ctx.load(Submission, asked.to):
        return
    ids = tuple(
        ctx.emit(request, part=str(number), urgent=bool((request.item or {}).get("emergency")))
        for number, request in enumerate(asked.requests)
    )
    ctx.create(Submission(id=asked.to, request_ids=ids))


@service.on(Decide)
async def decide_letter(decision: Decide, ctx: Context) -> None:
    """Take a person's decision about a dead letter; a replay is carried out by :func:`replay`."""
    letter = await ctx.require(DeadLetterView, decision.to)
    decide(letter, decision, ctx.now)
    if letter.state == "discarded":
        ctx.emit(decided(letter, "discarded"))


@service.wakes(DeadLetterView)
async def replay(letter: DeadLetterView, ctx: Context) -> None:
    """Put the record back on its topic, for the service that gave it up."""
    if letter.state == "replaying":
        await ctx.resource(Process).transport.publish([record_of(letter)])
        letter.state = "replayed"
        ctx.emit(decided(letter, "replayed"))


@service.beside
async def api(handle: ServiceHandle) -> None:
    """Serve the HTTP API."""
    await serve(handle)
