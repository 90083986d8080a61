"""A service of your own: keeps a diary of verified waves, one document per wave.

Run it beside a running ``patchline up``::

    PATCHLINE_DIR=.patchline python docs/examples/patch_diary.py

or against Kafka with ``PATCHLINE_KAFKA=127.0.0.1:9092``. It starts with the oldest wave that the topic
still holds; stopped and started again it goes on where it was, and no wave is written down twice.
"""

from __future__ import annotations

from patchline_kit import Context, Document, Service
from patchline_kit.main import run
from patchline_schemas.waves import WaveVerified

service = Service("patch-diary", emits=[])


class DiaryPage(Document, collection="pages"):
    """What happened in one wave."""

    text: str


@service.on(WaveVerified)
async def write_down(event: WaveVerified, ctx: Context) -> None:
    """Write a page, unless this wave has one."""
    order = event.order
    if await ctx.load(DiaryPage, order.wave_id) is not None:
        return
    text = f"{order.component} {order.version} works on {len(event.results)} targets of {order.group}"
    ctx.create(DiaryPage(id=order.wave_id, text=text))
    ctx.log.info("%s", text)


if __name__ == "__main__":
    run(service)
