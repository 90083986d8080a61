"""The service harness on the native Kafka and MongoDB, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from kafka_world import kafka_world

from patchline_kit import Service
from patchline_kit.store.mongo import MongoAddress, MongoDatabase
from patchline_kit.store.port import Store
from patchline_kit.testing import ServiceHarness
from patchline_schemas import Event


class NativeHarness(ServiceHarness):
    """One service with its documents in a MongoDB."""

    database: MongoDatabase

    async def store_of(self, service: str) -> Store:
        """Opens the service's documents."""
        return await self.database.store(service)


@asynccontextmanager
async def native_harness(
    service: Service, kinds: Iterable[type[Event]], *, tmp_path: Path, mongo: str, **options: object
) -> AsyncIterator[NativeHarness]:
    """A running service on topics and in a database of its own, both removed afterwards."""
    database = MongoDatabase(MongoAddress.of(f"{mongo}/chaos-{uuid4().hex[:12]}"))
    await database.start()
    try:
        async with kafka_world(topic for kind in kinds for topic in kind.topics()) as world:
            harness = NativeHarness(
                service,
                tmp_path=tmp_path,
                transport=lambda: world.transport(member="one"),
                tolerate_errors=True,
                **options,  # type: ignore[arg-type]
            )
            harness.database = database
            async with harness:
                yield harness
    finally:
        await database.drop()
        await database.close()
