"""What follows from an urgent event is urgent, over messages and wakes; what is routine stays so."""

from __future__ import annotations

from pathlib import Path

from delivery import advisory, update

from patchline_kit import Context, Document, Message, Service
from patchline_kit.testing import ServiceHarness
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished


class Sender(Document, collection="senders"):
    """Takes the event in."""


class Waker(Document, collection="wakers"):
    """Wakes once told, and emits."""

    told: int = 0


class Tell(Message):
    """From the one to the other."""


def _service() -> Service:
    service = Service("urgent", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def take(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Sender, event.update_id) is None:
            ctx.create(Sender(id=event.update_id))
        ctx.send(Tell(to=event.update_id))

    @service.on(Tell)
    async def tell(message: Tell, ctx: Context) -> None:
        waker = await ctx.load(Waker, message.to) or ctx.create(Waker(id=message.to, wake_priority=7))
        waker.told += 1
        waker.wake_at = ctx.now

    @service.wakes(Waker)
    async def answer(waker: Waker, ctx: Context) -> None:
        ctx.emit(advisory(component=f"pkg:pypi/{waker.id}"))

    return service


async def test_what_follows_from_an_urgent_event_over_a_message_and_a_wake_is_urgent(tmp_path: Path) -> None:
    async with ServiceHarness(_service(), tmp_path=tmp_path) as h:
        await h.publish(update(component="pkg:pypi/a"), urgent=True)
        await h.settle()
        assert [record.topic for record in h.records(AdvisoryPublished)] == [AdvisoryPublished.topics()[0]]


async def test_a_priority_of_the_service_is_what_it_was_after_an_urgent_wake(tmp_path: Path) -> None:
    async with ServiceHarness(_service(), tmp_path=tmp_path) as h:
        await h.publish(update(component="pkg:pypi/a"), urgent=True)
        await h.settle()
        waker = await h.document(Waker, "a")
        assert waker is not None
        assert waker.wake_priority == 7


async def test_a_routine_event_after_an_urgent_one_is_routine_again(tmp_path: Path) -> None:
    async with ServiceHarness(_service(), tmp_path=tmp_path) as h:
        await h.publish(update(component="pkg:pypi/a"), urgent=True)
        await h.settle()
        await h.publish(update("2", component="pkg:pypi/a"))
        await h.settle()
        topics = [record.topic for record in h.records(AdvisoryPublished)]
        assert topics == [AdvisoryPublished.topics()[0], AdvisoryPublished.TOPIC]
