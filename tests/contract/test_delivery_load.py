"""A service that was down finds a long queue, and handles all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from delivery import Log, advisory, update

from patchline_kit import Context, Document, ManualClock, Service
from patchline_kit.testing import ServiceHarness
from patchline_schemas import Envelope, derived_id, encode
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

PADDING = "https://example.org/" + "x" * 800


class Seen(Document, collection="seen"):
    times: int = 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "queued",
    [pytest.param(5_000, id="short"), pytest.param(50_000, id="long", marks=pytest.mark.long)],
)
async def test_queued_events_of_a_kilobyte_are_all_handled_once(
    tmp_path: Path, clock: ManualClock, log: Log, queued: int
) -> None:
    service = Service("counter", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def count(event: UpdatePublished, ctx: Context) -> None:
        seen = await ctx.load(Seen, event.update_id) or ctx.create(Seen(id=event.update_id))
        seen.times += 1
        ctx.emit(advisory(component=event.component))

    h = ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log)
    async with h:
        await h.settle()
    transport = h.transport._opened()
    await transport.start()
    for start in range(0, queued, 1000):
        events = [update(notes=PADDING, component=f"pkg:pypi/{n}") for n in range(start, start + 1000)]
        records = [
            encode(event, Envelope(event.update_id, "test", event.TYPE, event.update_id, clock.now()))
            for event in events
        ]
        assert len(records[0].value) + sum(len(name) + len(raw) for name, raw in records[0].headers) > 1000
        await h.transport.publish(records)
    await transport.stop()
    await h.start()
    await h.settle(timeout=240)
    assert await h.handle("counter").count(Seen) == queued
    answers = h.records(AdvisoryPublished)
    assert len(answers) == queued
    expected = {derived_id(str(number), AdvisoryPublished.TYPE) for number in range(queued)}
    assert {dict(record.headers)["ce_id"].decode() for record in answers} == expected
    await h.stop()
