"""The MongoDB store: the contract, and what only it promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import pytest
from msgspec.structs import replace
from pymongo.errors import AutoReconnect
from store_contract import NOON, StoreContract, event, save

from patchline_kit.store.mongo import MongoAddress, MongoDatabase, MongoStore
from patchline_kit.store.mongo_client import Database
from patchline_kit.store.port import Saved, StoreError, VersionConflict

pytestmark = pytest.mark.native


@asynccontextmanager
async def fresh_database(uri: str) -> AsyncIterator[MongoDatabase]:
    """A database of its own on the native server, dropped afterwards."""
    database = MongoDatabase(MongoAddress.of(f"{uri}/test-{uuid4().hex[:12]}"))
    await database.start()
    yield database
    await database.drop()
    await database.close()


@dataclass
class Lines:
    """What becomes of the next bulk writes' connections, in turn: lost ``before`` or ``after`` the write."""

    lost: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What somebody else does before the break is noticed."""


class Breaking:
    """A database, or a collection of it, whose connection breaks as ``lines`` say."""

    def __init__(self, real: Any, lines: Lines) -> None:
        self._real = real
        self._lines = lines

    def __getitem__(self, name: str) -> Any:
        return Breaking(self._real[name], self._lines) if name.endswith(".documents") else self._real[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def bulk_write(self, requests: list[Any], *, ordered: bool) -> Any:
        lost = self._lines.lost.pop(0) if self._lines.lost else None
        result = None if lost == "before" else await self._real.bulk_write(requests, ordered=ordered)
        if lost is None:
            return result
        if self._lines.meanwhile is not None:
            await self._lines.meanwhile()
        raise AutoReconnect("connection closed")


class TestMongoStore(StoreContract):
    """On a native server, each test in a database of its own."""

    @pytest.fixture
    async def database(self, mongo_uri: str) -> AsyncIterator[MongoDatabase]:
        async with fresh_database(mongo_uri) as database:
            yield database

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

    async def test_saves_at_the_same_time_share_bulk_writes(self, store: MongoStore) -> None:
        before = store.writer.bulks
        await asyncio.gather(*(store.save(save(f"{number}")) for number in range(500)))
        assert store.writer.bulks - before <= 2

    async def test_what_was_sent_is_cleared_with_the_next_save_or_soon_without_one(
        self, store: MongoStore
    ) -> None:
        first = await store.save(save("a", outgoing=(event("1"),)))
        second = await store.save(save("b", outgoing=(event("2"),)))
        before = store.writer.bulks
        clearing = asyncio.ensure_future(store.clear(first.pending))
        await store.save(save("c"))
        await clearing
        assert store.writer.bulks - before == 1
        await store.clear(second.pending)
        assert store.writer.bulks - before == 2
        assert not await store.pending()

    async def test_what_was_sent_is_cleared_at_the_end_too(self, store: MongoStore, twin: MongoStore) -> None:
        sent = await store.save(save("a", outgoing=(event("1"),)))
        clearing = asyncio.ensure_future(store.clear(sent.pending))
        await asyncio.sleep(0)
        await store.close()
        assert not await twin.pending()
        await clearing

    async def test_what_does_not_fit_is_refused_by_name_and_those_beside_it_are_stored(
        self, store: MongoStore
    ) -> None:
        saves = [save("small"), save("big", body=b"x" * 17_000_000), save("tiny")]
        results = await store.save_all(saves)
        assert [type(result).__name__ for result in results] == ["Saved", "ValueError", "Saved"]
        assert "things/big and what it emits take 17,000,000 bytes" in str(results[1])
        assert await store.count("things") == 2

    async def test_a_woken_document_waits_for_room_in_its_outbox(self, store: MongoStore) -> None:
        await store.save(save(wake_at=NOON))
        (claim,) = await store.claim_due(["things"], NOON, "me", 1)

        def checkpoint(version: int) -> Awaitable[Saved]:
            page = replace(event(f"e{version}"), value=b"x" * 700_000)
            return store.save(save(version=version, fence=claim.fence, outgoing=(page,)))

        first, second = await checkpoint(1), await checkpoint(2)
        third = asyncio.ensure_future(checkpoint(3))
        by_a_record = await store.save(save("other", outgoing=(event("o"),)))
        assert not third.done()
        await store.clear([*first.pending, *second.pending])
        assert (await third).version == 4
        assert [entry.outgoing.id for entry in await store.pending()] == [
            by_a_record.pending[0].outgoing.id,
            "e3",
        ]

    async def test_what_another_process_sends_makes_room_too(
        self, store: MongoStore, twin: MongoStore
    ) -> None:
        big = replace(event("e"), value=b"x" * 1_500_000)
        await store.save(save(wake_at=NOON, outgoing=(big,)))
        (claim,) = await store.claim_due(["things"], NOON, "me", 1)
        waits = asyncio.ensure_future(store.save(save(version=1, fence=claim.fence, outgoing=(event("f"),))))
        await twin.clear(await twin.pending())
        assert (await waits).version == 2

    async def test_indexes_are_made_at_the_start_and_again_without_harm(
        self, store: MongoStore, database: MongoDatabase
    ) -> None:
        again = await database.store("one")
        await again.save(save())
        assert await store.load("things", "a") is not None


class TestLostAnswers:
    """A write is done once, though the connection breaks before or after it."""

    @pytest.fixture
    def lines(self) -> Lines:
        return Lines()

    @pytest.fixture
    async def database(self, mongo_uri: str) -> AsyncIterator[MongoDatabase]:
        async with fresh_database(mongo_uri) as database:
            yield database

    @pytest.fixture
    async def twin(self, database: MongoDatabase) -> MongoStore:
        return await database.store("one")

    @pytest.fixture
    async def store(self, database: MongoDatabase, lines: Lines) -> AsyncIterator[MongoStore]:
        real = database.address.connect()
        yield MongoStore(cast("Database", Breaking(real, lines)), database.address, "one")
        real.client.close()

    @pytest.mark.parametrize("lost", [["before"], ["after"], ["before", "after"], ["after", "after"]])
    async def test_a_save_is_stored_once(self, store: MongoStore, lines: Lines, lost: list[str]) -> None:
        lines.lost = [*lost]
        saved = await store.save(save(handled="r", outgoing=(event("e"),)))
        assert saved.version == 1
        assert tuple(await store.pending()) == saved.pending
        lines.lost = [*lost]
        again = await store.save(save(version=1, handled="s", outgoing=(event("f"),)))
        assert again.version == 2
        assert again.earlier == (saved.pending[0].sequence,)
        assert [entry.outgoing.id for entry in await store.pending()] == ["e", "f"]
        lines.lost = [*lost]
        await store.note("things", "a", 2, "t", NOON)
        lines.lost = [*lost]
        await store.clear([*saved.pending, *again.pending])
        assert await store.pending() == []

    async def test_a_save_that_another_has_built_on_is_known_as_stored(
        self, store: MongoStore, twin: MongoStore, lines: Lines
    ) -> None:
        lines.lost = ["after"]
        lines.meanwhile = lambda: twin.save(save(version=1, body=b"2"))
        assert (await store.save(save(handled="r"))).version == 1
        found = await store.load("things", "a")
        assert found is not None and (found.version, found.body) == (2, b"2")

    async def test_a_save_that_another_was_faster_with_is_a_conflict(
        self, store: MongoStore, twin: MongoStore, lines: Lines
    ) -> None:
        lines.lost = ["before"]
        lines.meanwhile = lambda: twin.save(save(body=b"theirs"))
        with pytest.raises(VersionConflict):
            await store.save(save(body=b"mine"))

    async def test_a_connection_that_stays_away_is_said_and_later_writes_go_on(
        self, store: MongoStore, lines: Lines
    ) -> None:
        lines.lost = ["before"] * 6
        with pytest.raises(StoreError, match="did not succeed in 6 attempts"):
            await store.save(save())
        assert (await store.save(save())).version == 1
