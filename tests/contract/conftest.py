"""What the delivery tests run on: each of them on the embedded log and, marked ``native``, on Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from uuid import uuid4

import pytest
from delivery import Crashing, Log
from kafka_world import kafka_world
from pydantic import SecretStr

from patchline_kit import ManualClock
from patchline_kit.settings import ServiceSettings
from patchline_kit.store.mongo import MongoAddress, MongoDatabase
from patchline_kit.store.opening import StoreOf, stores
from patchline_kit.testing import BEGINNING
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_schemas.dead_letters import DeadLettered
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted

TOPICS = [
    topic
    for kind in (UpdatePublished, UpdateRetracted, AdvisoryPublished, DeadLettered)
    for topic in kind.topics()
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGINNING)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.native)])
async def log(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Log]:
    """Makes a transport on the same records each time it is called, as a restarted process does."""
    if request.param == "embedded":
        yield lambda: EmbeddedTransport(tmp_path / "log.db", clock=clock)
        return
    async with kafka_world(TOPICS) as world:
        yield lambda: world.transport(member="one")


OpenStores = Callable[[], AbstractAsyncContextManager[StoreOf]]


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.native)])
async def open_stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStores]:
    """Opens the same documents each time it is called, as another process does."""
    if request.param == "sqlite":
        yield lambda: stores(ServiceSettings(dir=tmp_path))
        return
    uri = f"{request.getfixturevalue('mongo_uri')}/test-{uuid4().hex[:12]}"
    yield lambda: stores(ServiceSettings(dir=tmp_path, mongo=SecretStr(uri)))
    database = MongoDatabase(MongoAddress.of(uri))
    await database.drop()
    await database.close()


@pytest.fixture
def crashing(log: Log) -> Log:
    """The same log each time, wrapped so that a test can stop it where a crash would hurt."""
    return lambda: Crashing(log())
