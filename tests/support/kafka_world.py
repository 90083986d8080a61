"""A corner of the native Kafka for one test: a prefix of its own, few topics, removed at the end."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient

from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.topics import Topic


class KafkaWorld:
    """Transports on one prefix."""

    def __init__(self, topics: Iterable[str], *, partitions: int = 3) -> None:
        self.prefix = f"test-{uuid.uuid4().hex[:10]}."
        self.topics = {name: Topic(name, partitions, timedelta(days=1)) for name in topics}
        self.connection = KafkaConnection.of(
            load_settings(ServiceSettings, kafka=os.environ["PATCHLINE_TEST_KAFKA"])
        )

    def transport(self, **options: object) -> KafkaTransport:
        """A transport of its own, as another process would have."""
        return KafkaTransport(self.connection, prefix=self.prefix, topics=self.topics, **options)  # type: ignore[arg-type]

    async def remove(self) -> None:
        """Delete the topics."""
        admin = AIOKafkaAdminClient(**self.connection.options())
        await admin.start()
        try:
            there = set(await admin.list_topics())
            await admin.delete_topics([name for name in there if name.startswith(self.prefix)])
        finally:
            await admin.close()


@asynccontextmanager
async def kafka_world(topics: Iterable[str], *, partitions: int = 3) -> AsyncIterator[KafkaWorld]:
    """A :class:`KafkaWorld` that is removed afterwards."""
    world = KafkaWorld(topics, partitions=partitions)
    try:
        yield world
    finally:
        await world.remove()
