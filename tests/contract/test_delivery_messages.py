"""Local messages from one document of a service to another: at least once, in order, effects once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from delivery import Crashing, Log, advisory, update
from pydantic import Field

from patchline_kit import Context, Document, Early, ManualClock, Message, RetryPolicy, Service
from patchline_kit.testing import ServiceHarness
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

SECOND = timedelta(seconds=1)


class Parent(Document, collection="parents"):
    sent: int = 0


class Child(Document, collection="children"):
    heard: list[int] = Field(default_factory=list)


class Tell(Message):
    number: int


def family(count: int = 3, *, receivers: int = 1, **options: object) -> Service:
    """A parent that tells ``count`` numbers to its children, which answer each with an event."""
    service = Service("family", emits=[AdvisoryPublished], **options)  # type: ignore[arg-type]

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        parent = await ctx.load(Parent, event.update_id) or ctx.create(Parent(id=event.update_id))
        parent.sent += count
        for number in range(count):
            ctx.send(Tell(to=f"child-{number % receivers}", number=number))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        child = await ctx.load(Child, message.to) or ctx.create(Child(id=message.to))
        child.heard.append(message.number)
        ctx.emit(advisory(str(message.number)))

    return service


async def heard(h: ServiceHarness, id: str = "child-0") -> list[int]:
    child = await h.document(Child, id)
    return child.heard if child else []


async def test_messages_create_their_receiver_and_come_in_order(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    async with ServiceHarness(family(20), tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.settle()
        assert await heard(h) == list(range(20))


async def test_different_receivers_are_told_independently(tmp_path: Path, clock: ManualClock) -> None:
    async with ServiceHarness(family(600, receivers=300), tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.settle()
        for number in range(300):
            assert await heard(h, f"child-{number}") == [number, number + 300]


async def test_what_follows_from_a_message_names_the_event_behind_it(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    async with ServiceHarness(family(1), tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update(), id="the-event")
        await h.settle()
        (envelope,) = h.envelopes(AdvisoryPublished)
        assert envelope.causationid == "the-event"


async def test_an_urgent_event_s_messages_pass_its_urgency_on(tmp_path: Path, clock: ManualClock) -> None:
    service = Service("family", emits=[UpdatePublished])

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        if event.update_id == "a":
            ctx.create(Parent(id="a"))
            ctx.send(Tell(to="child-0", number=1))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        ctx.create(Child(id=message.to))
        ctx.emit(update(component="pkg:pypi/echo"))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update(), urgent=True)
        await h.settle()
        assert h.records(UpdatePublished)[-1].topic == "feeds.update-published.urgent"


async def test_a_crash_between_save_and_delivery_loses_no_message(
    tmp_path: Path, clock: ManualClock, crashing: Log
) -> None:
    """The parent's event goes before its messages and is held up, so the messages are still in the outbox."""
    service = Service("family", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Parent(id="a"))
        ctx.emit(advisory())
        for number in range(3):
            ctx.send(Tell(to="child-0", number=number))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        child = await ctx.load(Child, message.to) or ctx.create(Child(id=message.to))
        child.heard.append(message.number)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=crashing) as h:
        await h.publish(update())
        assert isinstance(h.transport.inner, Crashing)
        h.transport.inner.after_publish.close()
        await h.transport.inner.after_publish.reached()
        assert await heard(h) == []
        await h.restart()
        await h.settle()
        assert await heard(h) == [0, 1, 2]


async def test_a_crash_while_messages_are_delivered_repeats_no_effect(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("family", emits=[])
    hang, reached = True, asyncio.Event()

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Parent(id="a"))
        for number in range(4):
            ctx.send(Tell(to="child-0", number=number))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        child = await ctx.load(Child, message.to) or ctx.create(Child(id=message.to))
        child.heard.append(message.number)
        if hang and message.number == 2:
            reached.set()
            await asyncio.Event().wait()

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await asyncio.wait_for(reached.wait(), 10)
        hang = False
        await h.restart()
        await h.settle()
        assert await heard(h) == [0, 1, 2, 3]


async def test_an_early_message_waits_in_its_receiver_s_lane_and_keeps_the_order(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("family", emits=[])
    ready = False

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Parent(id="a"))
        for number in range(3):
            ctx.send(Tell(to="child-0", number=number))
            ctx.send(Tell(to="child-1", number=number))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        if message.to == "child-0" and message.number == 0 and not ready:
            raise Early("not yet")
        child = await ctx.load(Child, message.to) or ctx.create(Child(id=message.to))
        child.heard.append(message.number)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await h.settle()
        assert await heard(h) == []
        assert await heard(h, "child-1") == [0, 1, 2]
        assert len(await h.parked()) == 3
        ready = True
        await h.advance(2 * SECOND)
        assert await heard(h) == [0, 1, 2]


async def test_a_message_that_fails_for_good_is_a_dead_letter_and_the_next_go_on(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("family", emits=[], retry=RetryPolicy(attempts=2))

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Parent(id="a"))
        for number in range(2):
            ctx.send(Tell(to="child-0", number=number))

    @service.on(Tell)
    async def hear(message: Tell, ctx: Context) -> None:
        if message.number == 0:
            raise ValueError("a fault of ours")
        child = await ctx.load(Child, message.to) or ctx.create(Child(id=message.to))
        child.heard.append(message.number)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, tolerate_errors=True) as h:
        await h.publish(update())
        await h.advance(10 * SECOND)
        (letter,) = h.dead_letters()
        assert letter.record.topic == "local"
        assert await heard(h) == [1]


async def test_a_companion_delivers_a_message_and_gets_the_handler_s_exception(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = family(1)

    class Refuse(Message):
        pass

    @service.on(Refuse)
    async def refuse(message: Refuse, ctx: Context) -> None:
        raise Early("not now")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.deliver(Tell(to="child-0", number=7))
        assert await heard(h) == [7]
        with pytest.raises(Early, match="not now"):
            await h.deliver(Refuse(to="child-0"))
        await h.settle()
        assert h.envelopes(AdvisoryPublished)[0].causationid is None
        assert await h.parked() == []
