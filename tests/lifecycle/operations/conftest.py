"""The servers that a whole Patchline may run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kafka_world import KafkaWorld

from patchline_kit.installation import installation_of
from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.store.mongo import MongoAddress, MongoDatabase


@pytest.fixture
async def servers(
    tmp_path: Path, kafka_bootstrap: str, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Kafka and MongoDB by settings alone; what the test's installation left there is removed."""
    monkeypatch.setenv("PATCHLINE_KAFKA", kafka_bootstrap)
    monkeypatch.setenv("PATCHLINE_MONGO", mongo_uri)
    monkeypatch.setenv("PATCHLINE_KAFKA_PARTITIONS", "2")
    monkeypatch.delenv("PATCHLINE_TOPIC_PREFIX", raising=False)
    yield
    names = installation_of(load_settings(ServiceSettings, dir=tmp_path / "state"))
    world = KafkaWorld([])
    world.prefix = names.topic_prefix
    await world.remove()
    database = MongoDatabase(MongoAddress.of(mongo_uri, database=names.database))
    try:
        await database.drop()
    finally:
        await database.close()


@pytest.fixture(params=["embedded", pytest.param("native", marks=pytest.mark.native)])
def either(request: pytest.FixtureRequest) -> str:
    """The embedded log and SQLite, or Kafka and a MongoDB-compatible server, by settings alone."""
    if request.param == "native":
        request.getfixturevalue("servers")
    return str(request.param)
