"""Collects the writes of one service into bulk writes, and finds out what became of each.

While one bulk write is under way, what comes in waits and goes with the next. What nobody waits for goes with
the next of the others, or by itself when none comes soon. A bulk write tells only how
many of its changes matched. Where one did not, or no answer came, the documents are read and each write is
judged by the token it leaves; what did not arrive is sent again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.errors import InvalidDocument
from pymongo import InsertOne
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from patchline_kit.store.mongo_client import NO_ROOM, Collection, MongoAddress
from patchline_kit.store.mongo_inbox import Inboxes
from patchline_kit.store.mongo_known import Known, KnownDocuments
from patchline_kit.store.mongo_layout import BESIDE, Row, names_of
from patchline_kit.store.mongo_saves import JUDGED, Request, Write, already_handled
from patchline_kit.store.port import StoreError

MOST_WRITES = 500
"""In one bulk write."""
PATIENCE = 0.1
"""Seconds for which a write that has time waits for others to go with."""
ROUNDS = 6
"""How often a write is tried where the connection breaks or the document changes under it."""
FIRST_PAUSE = 0.05
"""Seconds before the second round, doubling."""
DUPLICATE_KEY = 11000
TOO_LARGE = frozenset({10334, 17419, 17420})
"""Codes of a document that would exceed MongoDB's 16 MB."""


@dataclass(slots=True)
class _Job:
    write: Write
    future: asyncio.Future[Any]


class MongoWriter:
    """The one who writes documents; ``on_written`` hears of what is stored before anybody else does."""

    def __init__(
        self,
        collection: Collection,
        address: MongoAddress,
        known: KnownDocuments,
        inboxes: Inboxes,
        on_written: Callable[[Sequence[Write]], None],
    ) -> None:
        self._collection = collection
        self._address = address
        self._known = known
        self._inboxes = inboxes
        self._on_written = on_written
        self._queue: list[_Job] = []
        self._patient: list[_Job] = []
        self._patience: asyncio.TimerHandle | None = None
        self._draining: asyncio.Task[None] | None = None
        self.bulks = 0
        """How many bulk writes were sent."""

    def submit(self, write: Write) -> asyncio.Future[Any]:
        """The write's result, or what refuses it, once it is durable."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(_Job(write, future))
        self._start()
        return future

    def submit_patiently(self, write: Write) -> asyncio.Future[Any]:
        """The same for a write that has time: it goes with others, or after :data:`PATIENCE`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._patient.append(_Job(write, future))
        if self._patience is None:
            self._patience = loop.call_later(PATIENCE, self._hurry)
        return future

    async def close(self) -> None:
        """Finish what was submitted."""
        if self._patient:
            self._hurry()
        if self._draining is not None:
            await self._draining

    def _hurry(self) -> None:
        """What has time has waited long enough."""
        self._queue, self._patient = self._queue + self._patient, []
        self._wait_no_more()
        self._start()

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _start(self) -> None:
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())

    def _take(self) -> list[_Job]:
        """What goes next, with as many of those that have time as there is room for."""
        batch, self._queue = self._queue[:MOST_WRITES], self._queue[MOST_WRITES:]
        room = MOST_WRITES - len(batch)
        batch, self._patient = batch + self._patient[:room], self._patient[room:]
        if not self._patient:
            self._wait_no_more()
        return batch

    async def _drain(self) -> None:
        await asyncio.sleep(0)  # what is submitted in the same turn goes together
        while self._queue:
            batch = self._take()
            try:
                await self._write(batch)
            except Exception as error:
                _fail(batch, error)

    async def _write(self, batch: list[_Job]) -> None:
        left = batch
        for attempt in range(ROUNDS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            await self._learn([job.write.key for job in left if job.write.needs_known])
            left = await self._round(left)
            if not left:
                return
        _fail(left, StoreError(f"MongoDB at {self._address}: the write did not succeed in {ROUNDS} attempts"))

    async def _round(self, jobs: list[_Job]) -> list[_Job]:
        """Send ``jobs`` once; those that must be sent again."""
        known = {job.write.key: self._known.get(job.write.key) for job in jobs}
        jobs = await self._not_handled_long_ago(jobs, known)
        if not jobs:
            return []
        requests = [job.write.request(known[job.write.key]) for job in jobs]
        try:
            unsure = await self._send(jobs, requests)
        except ConnectionFailure:
            return await self._judge(jobs, answered=False)
        except (InvalidDocument, OverflowError, UnicodeError) as error:
            if len(jobs) == 1:
                _fail(jobs, _unfit(jobs[0].write.key, error))
                return []
            return [again for job in jobs for again in await self._round([job])]
        except PyMongoError as error:
            raise self._address.explained(error) from error
        return await self._judge(unsure, answered=True) if unsure else []

    async def _send(self, jobs: list[_Job], requests: list[Request]) -> list[_Job]:
        """One bulk write. Settles the jobs whose fate it tells; the others are returned."""
        refused: dict[int, Row] = {}
        self.bulks += 1
        try:
            result = await self._collection.bulk_write(requests, ordered=False)
            matched = result.matched_count
        except BulkWriteError as error:
            details: Mapping[str, Any] = error.details
            if details.get("writeConcernErrors"):
                raise
            refused = {found["index"]: found for found in details["writeErrors"]}
            matched = details["nMatched"]
        unsure: list[_Job] = []
        done: list[_Job] = []
        updates: list[_Job] = []
        for index, (job, request) in enumerate(zip(jobs, requests, strict=True)):
            refusal = refused.get(index)
            if refusal is None:
                (done if isinstance(request, InsertOne) else updates).append(job)
            elif refusal.get("code") == DUPLICATE_KEY:
                unsure.append(job)
            else:
                _fail([job], self._refusal(job, refusal))
        if matched == len(updates):
            done += updates
        else:
            unsure += updates
        self._settle(done)
        return unsure

    async def _judge(self, jobs: list[_Job], *, answered: bool) -> list[_Job]:
        with self._address.explaining():
            found = self._collection.find({"_id": {"$in": [job.write.key for job in jobs]}}, JUDGED)
            states = {row["_id"]: row async for row in found}
        done, again = [], []
        for job in jobs:
            state = states.get(job.write.key)
            verdict = job.write.judge(state, answered=answered)
            if verdict == "done":
                done.append(job)
                continue
            self._known.forget(job.write.key)
            if state is not None:
                self._known.learn(job.write.key, Known.of(state))
            if verdict == "again":
                again.append(job)
            else:
                _fail([job], verdict)
        self._settle(done)
        return again

    def _settle(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if (known := job.write.known()) is not None:
                self._known.learn(job.write.key, known)
            elif job.write.result() is not None:
                self._known.forget(job.write.key)
        if jobs:
            self._on_written([job.write for job in jobs])
        for job in jobs:
            if not job.future.done():
                job.future.set_result(job.write.result())

    async def _not_handled_long_ago(self, jobs: list[_Job], known: Mapping[str, Known | None]) -> list[_Job]:
        """``jobs`` without those whose record has left the document's inbox: they are refused."""
        asked: dict[tuple[str, str], list[_Job]] = defaultdict(list)
        for job in jobs:
            beside = known[job.write.key]
            if job.write.record_id is not None and beside is not None and beside.spills:
                asked[job.write.key, job.write.record_id].append(job)
        refused: set[int] = set()
        for entry in await self._inboxes.knows(asked):
            for job in asked[entry]:
                refused.add(id(job))
                _fail([job], already_handled(*entry))
        return [job for job in jobs if id(job) not in refused]

    async def _learn(self, keys: Sequence[str]) -> None:
        missing = [key for key in keys if self._known.get(key) is None]
        if not missing:
            return
        with self._address.explaining():
            async for row in self._collection.find({"_id": {"$in": missing}}, BESIDE):
                self._known.learn(row["_id"], Known.of(row))

    def _refusal(self, job: _Job, error: Row) -> Exception:
        code, text = error.get("code"), str(error.get("errmsg", ""))
        if code in TOO_LARGE:
            return _unfit(job.write.key, text)
        if code in NO_ROOM:
            return self._address.full()
        return StoreError(f"MongoDB at {self._address} refuses {job.write.key}: {text}")


def _unfit(key: str, why: object) -> ValueError:
    return ValueError(f"{'/'.join(names_of(key))} cannot be stored in MongoDB: {why}")


def _fail(jobs: Sequence[_Job], error: BaseException) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
