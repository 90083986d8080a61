"""The embedded store: the contract, and what only it promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_contract import StoreContract, event, save

from patchline_kit.store.port import StoreFull
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore


class TestSqliteStore(StoreContract):
    """The embedded default, and what only it promises."""

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
        database = SqliteDatabase(tmp_path / "store.db")
        yield database
        await database.close()

    @pytest.fixture
    def store(self, database: SqliteDatabase) -> SqliteStore:
        return SqliteStore(database, "one")

    @pytest.fixture
    def other(self, database: SqliteDatabase) -> SqliteStore:
        return SqliteStore(database, "other")

    @pytest.fixture
    async def twin(self, database: SqliteDatabase) -> AsyncIterator[SqliteStore]:
        second = SqliteDatabase(database.path)
        yield SqliteStore(second, "one")
        await second.close()

    async def test_what_was_stored_is_there_after_a_restart(self, tmp_path: Path) -> None:
        database = SqliteDatabase(tmp_path / "again.db")
        await SqliteStore(database, "one").save(save(outgoing=(event("e"),)))
        await database.close()
        database = SqliteDatabase(tmp_path / "again.db")
        store = SqliteStore(database, "one")
        assert await store.load("things", "a") is not None
        assert len(await store.pending()) == 1
        await database.close()

    async def test_two_processes_may_use_the_file(self, store: SqliteStore, tmp_path: Path) -> None:
        second = SqliteDatabase(tmp_path / "store.db")
        twin = SqliteStore(second, "one")
        await asyncio.gather(
            *(store.save(save(f"a{number}")) for number in range(100)),
            *(twin.save(save(f"b{number}")) for number in range(100)),
        )
        assert await store.count("things") == await twin.count("things") == 200
        await second.close()

    async def test_a_full_disk_is_said_and_nothing_is_stored_until_there_is_room(
        self, store: SqliteStore, database: SqliteDatabase
    ) -> None:
        await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchall())
        big = save("big", body=b"x" * 1_000_000, outgoing=(event("e"),))
        with pytest.raises(StoreFull, match="free some disk space"):
            await store.save(big)
        assert await store.load("things", "big") is None
        await store.save(save("small"))
        await database.write(
            lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        )
        await store.save(big)
        assert len(await store.pending()) == 1

    async def test_concurrent_saves_share_commits(self, store: SqliteStore, database: SqliteDatabase) -> None:
        before = database.commits
        await asyncio.gather(*(store.save(save(f"{number}")) for number in range(500)))
        assert database.commits - before < 50
