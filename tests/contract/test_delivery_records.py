"""Records are delivered at least once and have their effects once, whatever goes wrong."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from delivery import Crashing, Log, advisory, update
from pydantic import Field

from patchline_kit import (
    Context,
    Document,
    Early,
    ManualClock,
    Poison,
    RetryLater,
    RetryPolicy,
    Service,
    Stale,
)
from patchline_kit.dead_letters import DeadLetter
from patchline_kit.store.port import Save
from patchline_kit.testing import ServiceHarness
from patchline_schemas import Event, WireRecord
from patchline_schemas.envelope import Envelope, derived_id, encode
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted

SECOND = timedelta(seconds=1)


class Tally(Document, collection="tallies"):
    seen: list[str] = Field(default_factory=list)


async def count(event: UpdatePublished, ctx: Context) -> None:
    """Note the version, and answer with an event."""
    tally = await ctx.load(Tally, event.update_id) or ctx.create(Tally(id=event.update_id))
    tally.seen.append(event.version)
    ctx.emit(advisory(event.version, component=event.component))


def counting(**options: object) -> Service:
    service = Service("counter", emits=[AdvisoryPublished], **options)  # type: ignore[arg-type]
    service.on(UpdatePublished)(count)
    return service


def versions(h: ServiceHarness) -> list[str]:
    return [event.version for event in h.published(AdvisoryPublished)]


async def seen(h: ServiceHarness, id: str = "a") -> list[str]:
    tally = await h.document(Tally, id)
    return tally.seen if tally else []


async def test_a_record_delivered_twice_has_its_effect_once(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=log) as h:
        event_id = await h.publish(update())
        await h.settle()
        await h.publish(update(), id=event_id)
        await h.settle()
        assert await seen(h) == ["1"]
        assert len(h.records(AdvisoryPublished)) == 1


async def test_the_answer_names_its_cause_and_has_an_id_that_follows_from_it(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update(), id="the-cause")
        await h.settle()
        (envelope,) = h.envelopes(AdvisoryPublished)
        assert envelope.causationid == "the-cause"
        assert envelope.source == "counter"
        assert envelope.id == derived_id("the-cause", AdvisoryPublished.TYPE)
        assert envelope.traceparent is not None


async def test_a_crash_between_save_and_publish_loses_no_event_and_repeats_no_effect(
    tmp_path: Path, clock: ManualClock, crashing: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=crashing) as h:
        event_id = await h.publish(update())
        await h.settle()
        assert isinstance(h.transport.inner, Crashing)
        h.transport.inner.before_publish.close()
        await h.transport.inner._inner.publish(
            [encode(update("2"), Envelope("second", "test", UpdatePublished.TYPE, "a", clock.now()))]
        )
        await h.transport.inner.before_publish.reached()
        assert await seen(h) == ["1", "2"]
        await h.restart()
        await h.settle()
        assert await seen(h) == ["1", "2"]
        assert versions(h) == ["1", "2"]
        assert h.envelopes(AdvisoryPublished)[0].causationid == event_id


async def test_a_crash_between_publish_and_clearing_sends_the_same_event_again(
    tmp_path: Path, clock: ManualClock, crashing: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=crashing) as h:
        await h.publish(update())
        assert isinstance(h.transport.inner, Crashing)
        h.transport.inner.after_publish.close()
        await h.transport.inner.after_publish.reached()
        await h.restart()
        await h.settle()
        assert await seen(h) == ["1"]
        topic = [record async for record in _all(h, AdvisoryPublished.TOPIC)]
        assert len(topic) == 2
        assert len({dict(record.headers)["ce_id"] for record in topic}) == 1


async def test_a_crash_between_publish_and_commit_repeats_no_effect(
    tmp_path: Path, clock: ManualClock, crashing: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=crashing) as h:
        assert isinstance(h.transport.inner, Crashing)
        h.transport.inner.after_batch.close()
        await h.publish(update())
        await h.transport.inner.after_batch.reached()
        await h.restart()
        await h.settle()
        assert await seen(h) == ["1"]
        assert len(h.records(AdvisoryPublished)) == 1


async def _all(h: ServiceHarness, topic: str):  # type: ignore[no-untyped-def]
    for record in await h.transport.read(topic):
        yield record


# poison


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ({}, b"{}", "no CloudEvent: the attribute 'id' is missing"),
        ({"ce_type": "dev.patchline.nonsense.v1"}, b"{}", "unknown event type"),
        ({"ce_type": UpdatePublished.TYPE}, b"{}", "update_id: Field required"),
        ({"ce_type": UpdatePublished.TYPE}, b"\xff", "Invalid JSON"),
        ({"ce_type": AdvisoryPublished.TYPE}, advisory().model_dump_json().encode(), "does not belong on"),
    ],
)
async def test_a_poisonous_record_becomes_a_dead_letter_with_the_reason_and_holds_up_nothing(
    tmp_path: Path, clock: ManualClock, log: Log, headers: dict[str, str], value: bytes, reason: str
) -> None:
    if headers:
        headers = {"ce_id": "bad", "ce_source": "x", "ce_specversion": "1.0"} | headers
    record = WireRecord(
        UpdatePublished.TOPIC,
        b"pkg:pypi/a",
        tuple((name, text.encode()) for name, text in headers.items()),
        value,
    )
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.transport.publish([record])
        await h.publish(update())
        await h.settle()
        (letter,) = h.dead_letters()
        assert reason in letter.reason
        assert letter.service == "counter"
        assert letter.record.topic == UpdatePublished.TOPIC
        assert letter.event_id == ("bad" if headers else None)
        assert await seen(h) == ["1"]


async def test_a_record_meant_for_another_service_is_passed_over(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    async with ServiceHarness(counting(), tmp_path=tmp_path, clock=clock, transport=log) as h:
        for number, service in enumerate(("another", "counter")):
            envelope = Envelope(f"{number}", "test", UpdatePublished.TYPE, "a", clock.now(), onlyfor=service)
            await h.transport.publish([encode(update(service), envelope)])
        await h.settle()
        assert await seen(h) == ["counter"]
        assert not h.dead_letters()


async def test_a_handler_can_call_a_record_poison(tmp_path: Path, clock: ManualClock, log: Log) -> None:
    service = Service("counter", emits=[])

    @service.on(UpdatePublished)
    async def refuse(event: UpdatePublished, ctx: Context) -> None:
        raise Poison("no such vendor")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        event_id = await h.publish(update())
        await h.settle()
        (letter,) = h.dead_letters()
        assert (letter.reason, letter.event_id) == ("no such vendor", event_id)


async def test_after_many_dead_letters_in_a_row_the_service_stops_instead_of_draining_the_topic(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = counting(retry=RetryPolicy(dead_letters_in_a_row=3))
    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        bad = [WireRecord(UpdatePublished.TOPIC, b"k", (), b"") for _ in range(10)]
        await h.transport.publish(bad)
        await h.until(lambda: not h.runtime.readiness().ready)
        assert "3 records in a row" in h.runtime.readiness().reasons[0]
        await h.settle()
        assert len(h.dead_letters()) == 3


# retries


async def test_a_record_that_fails_is_tried_again_with_its_successors_behind_it(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])
    out_of_order = True

    @service.on(UpdatePublished)
    async def flaky(event: UpdatePublished, ctx: Context) -> None:
        if event.version == "1" and event.update_id == "a" and out_of_order:
            raise RetryLater("the mirror is down")
        await count(event, ctx)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        for version in ("1", "2", "3"):
            await h.publish(update(version))
            await h.publish(update(version, component="pkg:pypi/b"))
        await h.settle()
        assert await seen(h) == []
        assert await seen(h, "b") == ["1", "2", "3"]
        first = (await h.parked())[0]
        assert (first.attempts, first.reason) == (1, "the mirror is down")
        await h.advance(10 * SECOND)
        await h.publish(update("4"))
        await h.settle()
        assert len(await h.parked()) == 4
        out_of_order = False
        await h.advance(60 * SECOND)
        assert await seen(h) == ["1", "2", "3", "4"]
        assert await h.parked() == []
        assert h.dead_letters() == []


async def test_a_retry_after_a_given_time_comes_exactly_then(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[])
    calls = []

    @service.on(UpdatePublished)
    async def slow(event: UpdatePublished, ctx: Context) -> None:
        calls.append(ctx.now)
        if len(calls) < 2:
            raise RetryLater("busy", after=30 * SECOND)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.advance(60 * SECOND)
        assert calls[1] - calls[0] == 30 * SECOND


async def test_after_the_last_attempt_the_record_is_a_dead_letter_and_its_lane_goes_on(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[AdvisoryPublished], retry=RetryPolicy(attempts=3))

    @service.on(UpdatePublished)
    async def broken(event: UpdatePublished, ctx: Context) -> None:
        if event.version == "1":
            raise ValueError("a fault of ours")
        await count(event, ctx)

    async with ServiceHarness(
        service, tmp_path=tmp_path, clock=clock, transport=log, tolerate_errors=True
    ) as h:
        await h.publish(update("1"))
        await h.publish(update("2"))
        await h.advance(timedelta(minutes=1))
        (letter,) = h.dead_letters()
        assert letter.attempts == 3
        assert letter.error == "ValueError: a fault of ours"
        assert "failed 3 times" in letter.reason
        assert await seen(h) == ["2"]


async def test_parked_records_are_tried_again_after_a_restart(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])
    down = True

    @service.on(UpdatePublished)
    async def flaky(event: UpdatePublished, ctx: Context) -> None:
        if down:
            raise RetryLater("down")
        await count(event, ctx)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update("1"))
        await h.publish(update("2"))
        await h.settle()
        down = False
        await h.restart()
        await h.advance(5 * SECOND)
        assert await seen(h) == ["1", "2"]


# early and stale


async def test_an_early_record_waits_until_its_document_is_saved(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = counting()

    @service.on(UpdateRetracted)
    async def retract(event: UpdateRetracted, ctx: Context) -> None:
        tally = await ctx.require(Tally, event.update_id)
        tally.seen.append("retracted")

    retraction = UpdateRetracted(
        update_id="a", vendor="vendor", component="pkg:pypi/a", version="1", reason="broken"
    )
    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(retraction)
        await h.settle()
        (parked,) = await h.parked()
        assert parked.waits_for == "tallies/a"
        await h.publish(update())
        await h.settle()
        assert await seen(h) == ["1", "retracted"]


async def test_what_is_known_of_a_dead_letter_goes_when_its_topic_keeps_it_no_longer(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[])

    @service.on(UpdatePublished)
    async def refuse(event: UpdatePublished, ctx: Context) -> None:
        raise Poison("no such vendor")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.settle()
        assert len(await h.documents(DeadLetter)) == 1
        clock.advance(timedelta(days=89))
        await h.settle()
        assert len(await h.documents(DeadLetter)) == 1
        clock.advance(timedelta(days=2))
        for _ in range(1_000):  # the hourly look is on its way
            if not await h.documents(DeadLetter):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it is still there")


async def test_a_record_that_stays_early_becomes_a_dead_letter(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[], retry=RetryPolicy(early_for=timedelta(minutes=3), attempts=1))

    @service.on(UpdatePublished)
    async def wait(event: UpdatePublished, ctx: Context) -> None:
        raise Early("the plan is not there")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.advance(timedelta(minutes=2))
        assert h.dead_letters() == []
        await h.advance(timedelta(minutes=3))
        (letter,) = h.dead_letters()
        assert "still early after" in letter.reason


async def test_a_record_is_not_early_for_too_long_while_nobody_worked(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[], retry=RetryPolicy(early_for=timedelta(hours=24)))

    @service.on(UpdatePublished)
    async def wait(event: UpdatePublished, ctx: Context) -> None:
        raise Early("the plan is not there")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.settle()
        await h.kill()
        clock.advance(timedelta(hours=62))
        await h.start()
        await h.advance(timedelta(minutes=5))
        assert h.dead_letters() == []
        assert len(await h.parked()) == 1


async def test_a_stale_record_is_recorded_without_effect(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])
    calls = []

    @service.on(UpdatePublished)
    async def newest(event: UpdatePublished, ctx: Context) -> None:
        tally = await ctx.load(Tally, event.update_id) or ctx.create(Tally(id=event.update_id))
        calls.append(event.version)
        if tally.seen and event.version < tally.seen[-1]:
            tally.seen.append("must not be stored")
            ctx.emit(advisory())
            raise Stale("a newer one is known")
        tally.seen.append(event.version)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update("2"))
        await h.publish(update("1"), id="old")
        await h.settle()
        await h.publish(update("1"), id="old")
        await h.settle()
        assert await seen(h) == ["2"]
        assert calls == ["2", "1"]
        assert versions(h) == []


# conflicts, and what handlers must not do


async def test_a_conflict_runs_the_handler_again_on_the_fresh_document(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])
    runs = 0

    @service.on(UpdatePublished)
    async def raced(event: UpdatePublished, ctx: Context) -> None:
        nonlocal runs
        runs += 1
        tally = await ctx.load(Tally, event.update_id) or ctx.create(Tally(id=event.update_id))
        if runs == 1:
            await h.runtime.core.store.save(
                Save("tallies", "a", 0, b'{"id": "a", "seen": ["other"]}', None, 0, frozenset(), None, ())
            )
        tally.seen.append(event.version)
        ctx.emit(advisory(event.version))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.settle()
        assert await seen(h) == ["other", "1"]
        assert versions(h) == ["1"]


async def test_many_keys_that_change_one_document_all_have_their_effect(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[])

    @service.on(UpdatePublished)
    async def together(event: UpdatePublished, ctx: Context) -> None:
        tally = await ctx.load(Tally, "all") or ctx.create(Tally(id="all"))
        tally.seen.append(event.component)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        for number in range(200):
            await h.publish(update(component=f"pkg:pypi/{number}"))
        await h.settle()
        assert len(set(await seen(h, "all"))) == len(await seen(h, "all")) == 200


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("emit without a document", "only together with the document"),
        ("undeclared event", "does not declare UpdateRetracted in its emits"),
        ("two documents", "one handler changes one document"),
        ("one type twice", "give each its own part"),
    ],
)
async def test_a_handler_that_breaks_the_rules_is_told(
    tmp_path: Path, clock: ManualClock, fault: str, message: str
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def wrong(event: UpdatePublished, ctx: Context) -> None:
        if fault == "emit without a document":
            ctx.emit(advisory())
            return
        ctx.create(Tally(id="a"))
        match fault:
            case "undeclared event":
                ctx.emit(UpdateRetracted(update_id="a", vendor="v", component="c", version="1", reason="r"))
            case "two documents":
                await ctx.load(Tally, "b")
            case _:
                ctx.emit(advisory())
                ctx.emit(advisory())

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        with pytest.raises(AssertionError, match=message):
            await h.settle()
        assert await h.document(Tally, "a") is None


async def test_one_type_emitted_in_parts_gives_each_its_own_id(tmp_path: Path, clock: ManualClock) -> None:
    service = Service("counter", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def pages(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Tally(id="a"))
        for page in ("1", "2", "3"):
            ctx.emit(advisory(page), part=page)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.settle()
        assert versions(h) == ["1", "2", "3"]


# urgency


async def test_urgent_records_go_first_and_what_follows_from_them_is_urgent_too(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("counter", emits=[UpdatePublished])
    order = []

    @service.on(UpdatePublished)
    async def again(event: UpdatePublished, ctx: Context) -> None:
        order.append(event.version)
        if event.update_id == "a":
            ctx.create(Tally(id=ctx.cause_id))
            ctx.emit(update(event.version, component="pkg:pypi/echo"))

    h = ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log)
    async with h:
        await h.settle()
    await h.transport._opened().start()
    for version in ("routine 1", "routine 2"):
        await h.publish(update(version))
    await h.publish(update("urgent"), urgent=True)
    await h.transport._opened().stop()
    await h.start()
    await h.settle()
    assert order[0] == "urgent"
    echoes = {
        record.topic
        for record in h.records(UpdatePublished)
        if dict(record.headers)["ce_source"] == b"counter" and b"urgent" in record.value
    }
    assert echoes == {"feeds.update-published.urgent"}
    await h.stop()


# a handler of every event


async def test_a_handler_of_every_event_gets_each_record_beside_the_event_s_own(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = counting()

    @service.on_every_event
    async def keep(event: Event, ctx: Context) -> None:
        assert ctx.record is not None and ctx.envelope is not None
        entry = await ctx.load(Tally, "ledger") or ctx.create(Tally(id="ledger"))
        entry.seen.append(f"{ctx.record.topic} {ctx.envelope.source}")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.settle()
        assert await seen(h) == ["1"]
        assert await seen(h, "ledger") == [
            "feeds.update-published test",
            "feeds.advisory-published counter",
        ]


# a store without room


async def test_a_full_disk_stops_the_service_until_there_is_room(tmp_path: Path, clock: ManualClock) -> None:
    service = Service("counter", emits=[])

    @service.on(UpdatePublished)
    async def hoard(event: UpdatePublished, ctx: Context) -> None:
        tally = await ctx.load(Tally, "a") or ctx.create(Tally(id="a"))
        tally.seen += [event.version, event.notes_url or ""]

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        assert h._database is not None
        await h._database.write(
            lambda connection: connection.execute("PRAGMA max_page_count = 50").fetchall()
        )
        for number in range(5):
            await h.publish(update(str(number), notes="x" * 100_000))
        await h.until(lambda: not h.runtime.readiness().ready)
        assert "no room left" in h.runtime.readiness().reasons[0]
        await h._database.write(
            lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        )
        await h.settle()
        assert (await seen(h))[::2] == ["0", "1", "2", "3", "4"]
        assert h.runtime.readiness().ready
