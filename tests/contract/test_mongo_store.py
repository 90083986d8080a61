"""The MongoDB store: the contract, and what only it promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from store_contract import StoreContract

from patchline_kit.store.mongo import MongoAddress, MongoDatabase, MongoStore

pytestmark = pytest.mark.native


class TestMongoStore(StoreContract):
    """On a native server, each test in a database of its own."""

    @pytest.fixture
    async def database(self, mongo_uri: str) -> AsyncIterator[MongoDatabase]:
        database = MongoDatabase(MongoAddress.of(f"{mongo_uri}/test-{uuid4().hex[:12]}"))
        await database.start()
        yield database
        await database.drop()
        await database.close()

    @pytest.fixture
    async def store(self, database: MongoDatabase) -> MongoStore:
        return await database.store("one")

    @pytest.fixture
    async def other(self, database: MongoDatabase) -> MongoStore:
        return await database.store("other")

    @pytest.fixture
    async def twin(self, database: MongoDatabase) -> AsyncIterator[MongoStore]:
        second = MongoDatabase(database.address)
        yield await second.store("one")
        await second.close()
