"""The documentation service: the ledger, its seals, a report per round, the record of what is installed."""

from __future__ import annotations

import asyncio

from patchline_documentation import installed, jobs, seals
from patchline_documentation.building import Ending, build_report
from patchline_documentation.chains import (
    UNSEALED,
    Entry,
    Head,
    KeepEntry,
    MarkSealed,
    chain_of,
    entry_id,
    update_of,
)
from patchline_documentation.playback import ENTRIES_AT_ONCE, Playback
from patchline_documentation.rendering import write_report
from patchline_documentation.seals import SEALER, KeepSeal, Sealer, SealRecord, SealSoon
from patchline_documentation.settings import Settings
from patchline_kit.context import Context
from patchline_kit.outcomes import Poison
from patchline_kit.process import Process
from patchline_kit.service import Service
from patchline_schemas import Event
from patchline_schemas.ledger import LedgerSealed, PlaybackAdvanced, PlaybackRequested
from patchline_schemas.updates import (
    UpdateCancelled,
    UpdateCompleted,
    UpdateDocumented,
    UpdateEnded,
    UpdateFailed,
    UpdateNotApplicable,
    UpdateRejected,
)

service = Service(
    "documentation", emits=[LedgerSealed, PlaybackAdvanced, UpdateDocumented], settings=Settings
)


@service.on_every_event
async def keep(event: Event, ctx: Context) -> None:
    """Append the event to its chain; the entry, and what it says of targets, follow with the same write."""
    record, envelope = ctx.record, ctx.envelope
    if record is None or envelope is None:
        raise TypeError("the ledger keeps records, and this is none")
    chain = chain_of(record.topic, event.key())
    head = await ctx.load(Head, chain) or ctx.create(Head(id=chain))
    try:
        line = head.append(
            event_id=envelope.id,
            topic=record.topic,
            key=event.key(),
            headers=record.headers,
            value=record.value,
            at=ctx.now,
        )
    except UnicodeDecodeError as error:
        raise Poison(f"event {envelope.id} is not UTF-8: {error}") from error
    ctx.send(KeepEntry(to=entry_id(chain, line.sequence), line=line, update_id=update_of(event)))
    for observed in installed.observations(event, envelope.id, envelope.time):
        ctx.send(observed)


@service.on(KeepEntry)
async def write_entry(message: KeepEntry, ctx: Context) -> None:
    """Write an entry, once."""
    if await ctx.load(Entry, message.to) is None:
        ctx.create(Entry(id=message.to, line=message.line, update_id=message.update_id))


@service.at_start
async def start_sealing(ctx: Context) -> None:
    """Make sure that the timer of the seals exists."""
    if await ctx.load(Sealer, SEALER) is None:
        first = ctx.now + ctx.setting(Settings).seal_every
        ctx.create(Sealer(id=SEALER, round_at=first, wake_at=first))


@service.wakes(Sealer)
async def seal(sealer: Sealer, ctx: Context) -> None:
    """Seal chains that grew and whose newest entries are written: all of them, or those that have ended."""
    if sealer.in_round(ctx.now):
        grown = await ctx.find(Head, UNSEALED, after=sealer.cursor, limit=seals.MOST_HEADS)
        sealer.turn_page(grown, ctx.now, ctx.setting(Settings).seal_every)
    else:
        ended = [await ctx.read(Head, chain) for chain in sealer.take_ended(ctx.now)]
        grown = [head for head in ended if head and head.unsealed]
    heads = [head for head in grown if await ctx.read(Entry, entry_id(head.id, head.sequence))]
    if not seals.worth_sealing(heads):
        return
    line = sealer.seal(heads, ctx.now)
    ctx.emit(seals.seal_event(line), part=str(line.number))
    ctx.send(KeepSeal(to=seals.seal_record_id(line.number), line=line))
    for mark in seals.marks(line):
        ctx.send(mark)


@service.on(SealSoon)
async def seal_soon(message: SealSoon, ctx: Context) -> None:
    """Wake the timer of the seals earlier."""
    sealer = await ctx.load(Sealer, message.to) or ctx.create(Sealer(id=message.to))
    sealer.soon(message.chain, message.at)


@service.on(MarkSealed)
async def mark_sealed(message: MarkSealed, ctx: Context) -> None:
    """Remember how far a seal covers a chain."""
    head = await ctx.require(Head, message.to)
    head.sealed(message.sequence)


@service.on(KeepSeal)
async def write_seal(message: KeepSeal, ctx: Context) -> None:
    """Write a seal's record, once."""
    if await ctx.load(SealRecord, message.to) is None:
        ctx.create(SealRecord(id=message.to, line=message.line))


@service.on(UpdateCompleted, UpdateFailed, UpdateCancelled, UpdateNotApplicable)
async def round_ended(event: UpdateEnded, ctx: Context) -> None:
    """Document the round, and seal its chain soon."""
    await order_report(event, ctx)


@service.on(UpdateRejected)
async def round_rejected(event: UpdateRejected, ctx: Context) -> None:
    """Document the round, and seal its chain soon."""
    await order_report(event, ctx)


async def order_report(event: Ending, ctx: Context) -> None:
    """Make the job of documenting a round, once."""
    if await ctx.load(jobs.ReportJob, jobs.report_id(event.update_id, event.round)) is None:
        ctx.create(jobs.job_for(event, ctx.cause_id, ctx.now))
        at = ctx.now + ctx.setting(Settings).seal_after_end
        ctx.send(SealSoon(to=SEALER, chain=chain_of(event.TOPIC, event.key()), at=at))


@service.wakes(jobs.ReportJob)
async def write(job: jobs.ReportJob, ctx: Context) -> None:
    """Write the report once the causes of the round's end are in the ledger."""
    settings = ctx.setting(Settings)
    facts, missing = await jobs.gather(job, ctx)
    patience_over = ctx.deadline_passed(job.ordered_at, settings.report_patience)
    if missing and job.waits_for(missing, ctx.now, patience_over=patience_over):
        return
    report = build_report(facts, job.ending_id, written_at=ctx.now, missing_cause=missing)
    files = await asyncio.to_thread(write_report, report, settings.dir / "reports")
    job.written = True
    ctx.emit(jobs.documented(job, files, report.events_total))


@service.on(installed.Observed)
async def record_installed(message: installed.Observed, ctx: Context) -> None:
    """Bring the record of a target's packages up to date."""
    record = await ctx.load(installed.Installed, message.to) or ctx.create(installed.Installed(id=message.to))
    installed.observe(record, message)


@service.on(PlaybackRequested)
async def order_playback(event: PlaybackRequested, ctx: Context) -> None:
    """Begin to play the ledger back, once."""
    if await ctx.load(Playback, event.playback_id) is None:
        ctx.create(Playback(id=event.playback_id, reader=event.reader, wake_at=ctx.now))


@service.wakes(Playback)
async def play_back(playback: Playback, ctx: Context) -> None:
    """Put the next entries on the reader's topic; what a crash repeats, the reader knows already."""
    entries = await ctx.find(Entry, after=playback.cursor, limit=ENTRIES_AT_ONCE)
    await ctx.resource(Process).transport.publish(playback.take(entries))
    ctx.emit(playback.advanced(await ctx.count(Entry)))
    playback.wake_at = None if playback.ended else ctx.now
