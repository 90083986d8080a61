"""A process that uses a transport until it is killed: ``publish`` numbered records, or be a ``member``.

It prints each number once that record is acknowledged (or handled). Where the transport is, is said by
``LOG_FILE``, or by ``PATCHLINE_TEST_KAFKA`` and ``KAFKA_PREFIX``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Transport
from patchline_schemas import WireRecord


def transport() -> Transport:
    if "LOG_FILE" in os.environ:
        return EmbeddedTransport(Path(os.environ["LOG_FILE"]))
    connection = KafkaConnection.of(load_settings(ServiceSettings, kafka=os.environ["PATCHLINE_TEST_KAFKA"]))
    return KafkaTransport(
        connection,
        prefix=os.environ["KAFKA_PREFIX"],
        topics={},
        member=os.environ.get("KAFKA_MEMBER") or None,
    )


async def publish(topic: str) -> None:
    used = transport()
    await used.start()
    number = 0
    while True:
        some = range(number, number + 5)
        await used.publish([WireRecord(topic, b"key", (), b"%d" % each) for each in some])
        for each in some:
            print(each, flush=True)
        number += 5


async def member(topic: str, group: str) -> None:
    used = transport()
    await used.start()

    async def handle(records: object) -> None:
        for record in records:  # type: ignore[attr-defined]
            print(int(record.value), flush=True)

    await used.subscribe(group, [topic], handle)
    await asyncio.Event().wait()


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    asyncio.run({"publish": publish, "member": member}[what](*arguments))
