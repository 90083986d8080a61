"""The broker is gone for a while: publishing says so in time, nobody waits for ever, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from chaos.proxy import Proxy
from chaos.servers import Server
from delivery import RELEASED, update
from msgspec.structs import replace

from patchline_kit.transport import kafka
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import TransportError
from patchline_kit.transport.topics import Topic
from patchline_schemas import Envelope, WireRecord, encode
from patchline_schemas.feeds import UpdatePublished

pytestmark = [pytest.mark.native, pytest.mark.timeout(240)]
TOPICS = {name: Topic(name, 1, timedelta(days=1)) for name in UpdatePublished.topics()}
UNUSED = next(name for name in TOPICS if name != UpdatePublished.TOPIC)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    """A broker that the test may kill."""
    broker = Server("kafka", tmp_path / "native")
    broker.start()
    yield broker
    broker.kill()


def event(id: str) -> WireRecord:
    return encode(update(), Envelope(id, "test", UpdatePublished.TYPE, "a", RELEASED))


async def test_publishing_without_a_broker_is_told_in_time_and_works_again_when_it_is_back(
    broker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "REQUEST_MS", 2_000)
    transport = KafkaTransport(KafkaConnection((broker.address,)), topics=TOPICS)
    await transport.start()
    await transport.publish([event("before")])
    broker.kill()
    for _ in range(2):
        with pytest.raises(TransportError, match="does not answer"):
            async with asyncio.timeout(30):
                await transport.publish([event("meanwhile")])
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(60):
        await until_published(transport, event("meanwhile"))
        await transport.publish([event("after")])
    found = [dict(each.headers)["ce_id"].decode() for each in await transport.read(UpdatePublished.TOPIC)]
    assert list(dict.fromkeys(found)) == ["before", "meanwhile", "after"]
    await transport.stop()


async def test_a_first_record_of_a_topic_survives_that_its_producer_is_given_up(
    broker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits to learn of its topic would wait for ever on a connection that another call has closed."""
    monkeypatch.setattr(kafka, "REQUEST_MS", 2_000)
    proxy = Proxy(broker.port)
    proxy.start()
    try:
        broker.kill()
        broker.set(KAFKA_ADVERTISED_PORT=str(proxy.port))
        await asyncio.to_thread(broker.start)
        transport = KafkaTransport(KafkaConnection((f"127.0.0.1:{proxy.port}",)), topics=TOPICS)
        await transport.start()
        await transport.publish([event("before")])
        await asyncio.to_thread(proxy.cut)
        given_up = asyncio.create_task(transport.publish([event("given up")]))
        await asyncio.wait([given_up], timeout=1)  # so that it gives up first
        first = replace(event("first"), topic=UNUSED)
        waiting = asyncio.create_task(until_published(transport, first))
        with pytest.raises(TransportError):
            await given_up
        await asyncio.to_thread(proxy.heal)
        async with asyncio.timeout(30):
            await waiting
        assert {each.value for each in await transport.read(UNUSED)} == {first.value}
        await transport.stop()
    finally:
        proxy.stop()


async def test_stopping_without_a_broker_does_not_wait_for_it(broker: Server) -> None:
    transport = KafkaTransport(KafkaConnection((broker.address,)), topics=TOPICS, grace=1.0)
    await transport.start()
    broker.kill()
    waiting = asyncio.create_task(transport.publish([event("never")]))
    await asyncio.wait([waiting], timeout=0.5)
    async with asyncio.timeout(15):
        await transport.stop()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def until_published(transport: KafkaTransport, record: WireRecord) -> None:
    while True:
        try:
            await transport.publish([record])
        except TransportError:
            continue
        return
