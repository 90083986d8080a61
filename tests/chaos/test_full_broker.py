"""The broker's disk runs full: services begin nothing, say so in /ready, and go on when there is room."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from chaos.servers import Server
from delivery import advisory

from patchline_kit import Context, Document, Message, Service
from patchline_kit.host import Host
from patchline_kit.process import Process
from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.port import TransportError
from patchline_schemas import WireRecord
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

pytestmark = [
    pytest.mark.native,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]
DISK_BYTES = 96 << 20
BALLAST = "ballast"


class Job(Document, collection="jobs"):
    done: bool = False


class Begin(Message):
    """Make a job that is due at once."""


def working() -> Service:
    """A service whose jobs tell the world that they are done."""
    service = Service("jobs", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def hear(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Job, event.update_id) is None:
            ctx.create(Job(id=event.update_id, wake_at=ctx.now))

    @service.on(Begin)
    async def begin(message: Begin, ctx: Context) -> None:
        ctx.create(Job(id=message.to, wake_at=ctx.now))

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        job.done = True
        ctx.emit(advisory(component=f"pkg:pypi/{job.id}"))

    return service


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk for the broker's data."""
    folder = tmp_path / "native" / "kafka" / "data"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def broker(tmp_path: Path, disk: Path) -> Iterator[Server]:
    """A broker on that disk."""
    broker = Server("kafka", tmp_path / "native")
    broker.start()
    yield broker
    broker.kill()


@asynccontextmanager
async def hosted(broker: Server, folder: Path) -> AsyncIterator[Host]:
    settings = load_settings(
        ServiceSettings,
        dir=folder,
        kafka=broker.address,
        topic_prefix="full.",
        kafka_partitions=1,
        health_port=0,
    )
    host = Host([working()], settings, alone=False)
    await host.start()
    try:
        yield host
    finally:
        await host.close()


async def ready(host: Host) -> tuple[bool, str]:
    """What /ready says: whether, and why not."""
    assert host.health_address is not None
    where, port = host.health_address
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{where}:{port}/ready")
    said = answer.json()
    assert (answer.status_code == httpx.codes.OK) == said["ready"]
    return said["ready"], "; ".join(said["reasons"])


async def until_ready(host: Host, *, is_so: bool) -> str:
    """Wait for it; the reasons."""
    answer, reasons = await ready(host)
    while answer != is_so:
        await asyncio.sleep(0.2)
        answer, reasons = await ready(host)
    return reasons


async def until_done(host: Host, *ids: str) -> None:
    handle = host.runtimes["jobs"].handle
    for id in ids:
        while (job := await handle.read(Job, id)) is None or not job.done:
            await handle.changed(Job, id, timeout=1)


def fill(disk: Path) -> None:
    """Leave next to nothing free."""
    with (disk / BALLAST).open("wb") as ballast:
        free = shutil.disk_usage(disk).free
        while free > 0:
            try:
                ballast.write(b"\0" * min(free, 1 << 20))
                ballast.flush()
            except OSError:
                break
            free = shutil.disk_usage(disk).free


async def publish_until_refused(host: Host) -> None:
    """Write until the broker can hold no more."""
    large = WireRecord("updates.reviewed", b"x", (), b" " * 200_000)
    transport = host.runtimes["jobs"].core.resource(Process).transport
    with pytest.raises(TransportError):
        while True:
            await transport.publish([large])


async def test_services_begin_nothing_while_the_broker_s_disk_is_full_and_go_on_with_room(
    tmp_path: Path, disk: Path, broker: Server
) -> None:
    async with asyncio.timeout(240), hosted(broker, tmp_path / "state") as host:
        runtime = host.runtimes["jobs"]
        await until_ready(host, is_so=True)
        await runtime.handle.deliver(Begin(to="before"))
        await until_done(host, "before")

        fill(disk)
        await publish_until_refused(host)
        await runtime.handle.deliver(Begin(to="meanwhile"))
        await until_done(host, "meanwhile")  # it was taken before anybody knew
        reasons = await until_ready(host, is_so=False)
        assert "nothing goes out" in reasons
        assert "Kafka" in reasons
        await runtime.handle.deliver(Begin(to="after"))
        await runtime.handle.changed(Job, "after", timeout=3)
        assert await runtime.handle.read(Job, "after") == Job(
            id="after", version=1, wake_at=(await runtime.next_due())
        )

        (disk / BALLAST).unlink()
        broker.kill()  # where it has not ended by itself: a broker that lost its disk has to be started again
        await asyncio.to_thread(broker.start)
        await until_done(host, "after")
        await until_ready(host, is_so=True)
        assert await told(host) == ["after", "before", "meanwhile"]


async def told(host: Host) -> list[str]:
    """Whose end the world was told, once the outbox is empty."""
    runtime = host.runtimes["jobs"]
    while runtime.readiness().backlog:
        with runtime.core.activity.watch() as something:
            await something.wait()
    records = await runtime.core.resource(Process).transport.read(AdvisoryPublished.TOPIC, limit=1000)
    assert len({dict(record.headers)["ce_id"] for record in records}) == 3
    return sorted({AdvisoryPublished.model_validate_json(record.value).update_id for record in records})
