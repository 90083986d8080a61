"""What only a real Kafka shows: rebalances, dead members, records that are not ours, refusals."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from kafka_world import KafkaWorld, kafka_world

from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Received, TransportError
from patchline_schemas import EnvelopeError, WireRecord
from patchline_schemas.envelope import read_envelope

pytestmark = pytest.mark.native

SUPPORT = Path(__file__).parents[1] / "support"
TOPIC = "things.happened"
PATIENCE = 60.0


def record(number: int, *, key: str = "key") -> WireRecord:
    return WireRecord(TOPIC, key.encode(), (), b"%d" % number)


def numbers(records: Sequence[Received]) -> list[int]:
    return [int(each.value) for each in records]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # several members' figures at once
            await asyncio.sleep(0.02)


@pytest.fixture
async def world() -> AsyncIterator[KafkaWorld]:
    async with kafka_world([TOPIC]) as world:
        yield world


@pytest.fixture
async def start(world: KafkaWorld) -> AsyncIterator[Callable[..., Awaitable[KafkaTransport]]]:
    started: list[KafkaTransport] = []

    async def make(**options: object) -> KafkaTransport:
        started.append(world.transport(**options))
        await started[-1].start()
        return started[-1]

    yield make
    for transport in started:
        await transport.stop()


async def test_a_record_that_is_no_event_reaches_the_handler_and_blocks_nothing(start, world: KafkaWorld):
    transport = await start()
    producer = AIOKafkaProducer(**world.connection.options())
    await producer.start()
    odd = [("ce_id", None), ("ce_type", b"\xff\xfe")]
    await producer.send_and_wait(world.prefix + TOPIC, value=None, key=b"key", headers=odd)
    await producer.send_and_wait(world.prefix + TOPIC, value=b"", key=None)
    await producer.stop()
    await transport.publish([record(3)])
    handled: list[Received] = []

    async def handle(records: Sequence[Received]) -> None:
        handled.extend(records)

    await transport.subscribe("group", [TOPIC], handle)
    await until(lambda: len(handled) == 3)

    [found] = [each for each in handled if each.headers]
    assert found.headers == (("ce_id", b""), ("ce_type", b"\xff\xfe"))
    with pytest.raises(EnvelopeError):
        read_envelope(found.headers, found.value)


async def test_members_that_come_and_go_lose_nothing_and_keep_each_keys_order(start):
    """Records are handled at least once, first in order, and by the time a group is quiet all are."""
    handled: dict[str, list[int]] = defaultdict(list)
    chance = random.Random(7)

    async def handle(records: Sequence[Received]) -> None:
        await asyncio.sleep(chance.uniform(0, 0.01))
        for each in records:
            handled[(each.key or b"").decode()].append(int(each.value))

    publisher = await start()
    members = [await (await start()).subscribe("group", [TOPIC], handle)]
    total = 0
    for joins in (True, True, False, True, False, False):
        for _ in range(20):
            await publisher.publish([record(n, key=f"key-{n % 20}") for n in range(total, total + 40)])
            total += 40
        if joins:
            members.append(await (await start()).subscribe("group", [TOPIC], handle))
        else:
            await members.pop(0).stop()
    await until(lambda: len({n for each in handled.values() for n in each}) == total)

    for key, seen in handled.items():
        first_times = list(dict.fromkeys(seen))
        assert first_times == sorted(first_times), key
    repeated = sum(map(len, handled.values())) - total
    assert repeated == 0, f"{repeated} records came twice although no member died"


async def test_a_batch_that_outlasts_the_grace_time_is_cancelled_when_its_partitions_go(start):
    cancelled, entered = asyncio.Event(), asyncio.Event()

    async def stuck(_: Sequence[Received]) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    first = await start(grace=0.5)
    await first.publish([record(1)])
    await first.subscribe("group", [TOPIC], stuck)
    async with asyncio.timeout(PATIENCE):
        await entered.wait()
    handled: list[Received] = []

    async def handle(records: Sequence[Received]) -> None:
        handled.extend(records)

    second = await start()
    joining = asyncio.create_task(second.subscribe("group", [TOPIC], handle))
    async with asyncio.timeout(PATIENCE):
        await cancelled.wait()
        await joining
    await first.stop()

    await until(lambda: numbers(handled) == [1])


@pytest.mark.parametrize(("member", "within"), [(None, 25.0), ("the-only-one", 6.0)])
async def test_the_partitions_of_a_killed_member_are_taken_over(
    start, world: KafkaWorld, member: str | None, within: float
):
    """A named member that starts again need not wait until its former self counts as dead (10 s)."""
    transport = await start(member=member)
    await transport.publish([record(n) for n in range(10)])
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(SUPPORT / "transport_process.py"), "member", TOPIC, "group"],
        stdout=subprocess.PIPE,
        env=os.environ | {"KAFKA_PREFIX": world.prefix, "KAFKA_MEMBER": member or ""},
    )
    assert process.stdout is not None
    try:
        for number in range(10):
            assert await asyncio.to_thread(process.stdout.readline) == b"%d\n" % number
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    handled: list[Received] = []

    async def handle(records: Sequence[Received]) -> None:
        handled.extend(records)

    await transport.publish([record(10)])
    async with asyncio.timeout(within):
        await transport.subscribe("group", [TOPIC], handle)
        await until(lambda: 10 in numbers(handled))


async def test_the_lag_of_a_new_group_counts_all_and_knows_the_oldest(start):
    transport = await start(grace=0.1)
    await transport.publish([record(n, key=f"key-{n}") for n in range(30)])
    entered = asyncio.Event()

    async def hold(_: Sequence[Received]) -> None:
        entered.set()
        await asyncio.Event().wait()

    subscription = await transport.subscribe("group", [TOPIC], hold)
    async with asyncio.timeout(PATIENCE):
        await entered.wait()
    lag = await subscription.lag()
    oldest = min([each.timestamp for each in await transport.read(TOPIC, limit=100)])
    assert (lag.records, lag.oldest) == (30, oldest)


async def test_a_member_without_work_leaves_kafka_alone_also_after_its_lag_was_asked(
    start, monkeypatch: pytest.MonkeyPatch
):
    transport = await start()
    done: Counter[str] = Counter()

    async def send(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        done[type(request).__name__] += 1
        return await sent(client, node, request, **options)

    async def getmany(consumer: AIOKafkaConsumer, *partitions: Any, **options: Any) -> Any:
        done["look"] += 1
        return await got(consumer, *partitions, **options)

    sent, got = AIOKafkaClient.send, AIOKafkaConsumer.getmany
    monkeypatch.setattr(AIOKafkaClient, "send", send)
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    go = asyncio.Event()

    async def hold(_: Sequence[Received]) -> None:
        await go.wait()

    subscription = await transport.subscribe("group", [TOPIC], hold)
    await transport.publish([record(1)])
    async with asyncio.timeout(PATIENCE):
        while (await subscription.lag()).oldest is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        go.set()
        while (await subscription.lag()).records:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    done.clear()
    for _ in range(10):
        await subscription.lag()
    assert done["FetchRequest"] <= 4, "the lag waits for the broker to let a fetch go"
    await until(lambda: done["HeartbeatRequest"] >= 3)  # one a second
    assert done["FetchRequest"] <= 12 and done["look"] <= 6


async def test_a_kafka_that_is_not_there_is_named_with_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    connection = KafkaConnection.of(load_settings(ServiceSettings, kafka=address))
    with pytest.raises(
        TransportError, match=rf"Kafka at {address} does not answer .*make native.*PATCHLINE_KAFKA"
    ):
        await KafkaTransport(connection).start()
