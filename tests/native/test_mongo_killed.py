"""The MongoDB stand-in keeps what it acknowledged through ``kill -9``, and its file in proportion to that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.servers import Server
from motor.motor_asyncio import AsyncIOMotorClient
from store_contract import event, save

from patchline_kit.store.mongo import MongoAddress, MongoDatabase, MongoStore
from patchline_kit.store.port import StoreError

pytestmark = pytest.mark.native

WRITERS = 20
KILLS = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server("mongo", tmp_path / "native")
    server.start()
    yield server
    server.kill()


class Writers:
    """Each writes one document again and again, and knows what was acknowledged."""

    def __init__(self, store: MongoStore) -> None:
        self.acknowledged = dict.fromkeys((f"doc-{number}" for number in range(WRITERS)), 0)
        self.refusals: list[str] = []
        self._store = store
        self._progress = asyncio.Condition()

    @property
    def total(self) -> int:
        return sum(self.acknowledged.values())

    async def wrote(self, total: int) -> None:
        """Return when so many are acknowledged in all."""
        async with asyncio.timeout(60), self._progress:
            await self._progress.wait_for(lambda: self.total >= total)

    async def write(self, until: int) -> None:
        """Until ``until`` are acknowledged in all, or the server is gone."""
        await asyncio.gather(*(self._write(id, until) for id in self.acknowledged))

    async def _write(self, id: str, until: int) -> None:
        try:
            while self.total < until:
                found = await self._store.load("things", id)
                version = found.version if found else 0
                assert version >= self.acknowledged[id], f"{id} has lost what was acknowledged"
                saved = await self._store.save(
                    save(id, version, handled=f"{id}-{version}", outgoing=(event(f"{id}-{version}"),))
                )
                self.acknowledged[id] = saved.version
                async with self._progress:
                    self._progress.notify_all()
        except StoreError as error:
            self.refusals.append(str(error))


@pytest.mark.timeout(300)
async def test_kill_nine_loses_no_acknowledged_write_and_the_store_goes_on(server: Server) -> None:
    address = MongoAddress.of(f"mongodb://{server.address}/killed?serverSelectionTimeoutMS=2000")
    database = MongoDatabase(address)
    await database.start()
    store = await database.store("one")
    writers = Writers(store)
    for _ in range(KILLS):
        enough = writers.total + 150
        writing = asyncio.create_task(writers.write(until=1_000_000))
        await writers.wrote(enough)
        await asyncio.to_thread(server.kill)
        await writing
        assert f"{server.address}, database killed, does not answer: start it" in writers.refusals[-1]
        with pytest.raises(StoreError):
            await store.load("things", "doc-0")
        await asyncio.to_thread(server.start)
        for id, version in writers.acknowledged.items():
            found = await store.load("things", id)
            assert found is not None and version <= found.version <= version + 1
            sent = [entry.outgoing.id for entry in await store.pending(document=("things", id))]
            assert sent == [f"{id}-{number}" for number in range(found.version)]
            assert await store.handled("things", id, f"{id}-{found.version - 1}")
    await writers.write(until=writers.total + 50)
    await database.close()


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_documents_written_again_and_again_leave_no_file_of_many_times_their_size(
    server: Server, tmp_path: Path
) -> None:
    documents, characters, writes = 2000, 4000, 6000
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(f"mongodb://{server.address}")
    things = client["grown"]["things"]
    chosen = random.Random(7)
    for number in [*range(documents), *(chosen.randrange(documents) for _ in range(writes))]:
        body = chosen.randbytes(characters // 2).hex()
        await things.replace_one({"_id": number}, {"_id": number, "body": body}, upsert=True)
    client.close()
    [file] = (tmp_path / "native").rglob("mongo.mv")
    assert file.stat().st_size < 6 * documents * characters
