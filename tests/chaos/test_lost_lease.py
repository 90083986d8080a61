"""A worker that is stopped for longer than its lease, and continued: it has lost its place for good."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.context import SpawnProcess
from pathlib import Path
from uuid import uuid4

import pytest
from chaos.lease_worker import COMPONENT, KINDS, NAME, TARGET, VERSION, Job, run
from delivery import RELEASED, update
from kafka_world import kafka_world

from patchline_fleet.sim.fleet import FILE, SimFleet
from patchline_kit.core import to_document
from patchline_kit.store.mongo import MongoAddress, MongoDatabase
from patchline_kit.store.port import Store
from patchline_kit.transport.kafka import KafkaTransport
from patchline_schemas import Envelope, decode, encode
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

pytestmark = [pytest.mark.native, pytest.mark.timeout(180)]
LET_GO = re.compile("has let go|this one .* must leave it alone|another change of t began|has taken .* over")
"""Its heart finds the lease lost, or the target refuses it, or the store does: whichever is asked first."""
_spawn = multiprocessing.get_context("spawn")


class Workers:
    """Replicas of the service in processes of their own, and what can be seen of them from beside."""

    def __init__(self, start: Callable[[str], SpawnProcess], store: Store, fleet: Path, log: Path) -> None:
        self.start = start
        self._store = store
        self._fleet = fleet
        self.log = log

    async def job(self) -> Job | None:
        stored = await self._store.load(Job.COLLECTION, "a")
        return None if stored is None else to_document(Job, stored)

    def touches(self) -> list[tuple[str, int]]:
        """Events of the apply log, with their fences."""
        if not (self._fleet / FILE).exists():
            return []
        fleet = SimFleet(self._fleet)
        try:
            return [(line.event, line.fence) for line in fleet.log(TARGET)]
        finally:
            fleet.close()

    def version(self) -> str | None:
        fleet = SimFleet(self._fleet)
        try:
            return fleet.packages(TARGET, {}).get(COMPONENT)
        finally:
            fleet.close()

    def said(self, worker: str) -> str:
        """What a worker has logged."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return "\n".join(line for line in lines if line.startswith(f"{worker}: "))

    async def until(self, seen: Callable[[], bool], *, within: float = 90) -> None:
        """Return when ``seen`` holds; nobody tells another process, so it is looked at now and then."""
        deadline = asyncio.get_running_loop().time() + within
        while not seen():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{self.touches()}\n{self.log.read_text()[-4000:]}")
            await asyncio.sleep(0.1)


@asynccontextmanager
async def world(tmp_path: Path, kafka: str, mongo: str) -> AsyncIterator[tuple[Workers, KafkaTransport]]:
    uri = f"{mongo}/chaos-{uuid4().hex[:12]}"
    database = MongoDatabase(MongoAddress.of(uri))
    await database.start()
    fleet, log = tmp_path / "sim", tmp_path / "workers.log"
    processes: list[SpawnProcess] = []
    async with kafka_world(topic for kind in KINDS for topic in kind.topics()) as topics:

        def start(worker: str) -> SpawnProcess:
            process = _spawn.Process(
                target=run, args=(worker, topics.prefix, kafka, uri, fleet, log), daemon=True
            )
            process.start()
            processes.append(process)
            return process

        transport = topics.transport()
        await transport.start()
        try:
            yield Workers(start, await database.store(NAME), fleet, log), transport
        finally:
            for process in processes:
                process.kill()
                process.join()
            await transport.stop()
            await database.drop()
            await database.close()


async def test_a_worker_stopped_beyond_its_lease_writes_nothing_and_touches_nothing_any_more(
    tmp_path: Path, kafka_bootstrap: str, mongo_uri: str
) -> None:
    async with world(tmp_path, kafka_bootstrap, mongo_uri) as (workers, transport):
        first = workers.start("first")
        envelope = Envelope("e", "test", UpdatePublished.TYPE, "a", RELEASED)
        await transport.publish([encode(update(), envelope)])
        await workers.until(lambda: len(workers.touches()) == 1)
        os.kill(first.pid, signal.SIGSTOP)

        workers.start("second")
        await workers.until(
            lambda: workers.touches()[-1][0] == "end" and "jobs/a is done" in workers.said("second")
        )
        touches, written = workers.touches(), await workers.job()
        assert [event for event, _fence in touches] == ["begin", "interrupted", "begin", "end"]
        assert touches[0][1] < touches[2][1]
        assert written is not None
        assert (written.begun_by, written.ended_by) == (["first", "second"], ["second"])

        os.kill(first.pid, signal.SIGCONT)
        await workers.until(lambda: bool(LET_GO.search(workers.said("first"))))
        assert workers.touches() == touches
        assert workers.version() == VERSION
        assert await workers.job() == written
        told = [decode(each.headers, each.value)[1] for each in await transport.read(AdvisoryPublished.TOPIC)]
        assert [event.version for event in told] == ["second"]
