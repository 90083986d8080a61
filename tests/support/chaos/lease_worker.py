"""A service that changes one simulated target under a lease, as a process of its own that can be stopped."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
from datetime import timedelta
from pathlib import Path

from delivery import advisory
from pydantic import Field

from patchline_fleet.errors import Fenced
from patchline_fleet.sim.driver import SimDriver
from patchline_kit import Context, Document, LeaseLost, Service, SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.mongo import MongoAddress, MongoDatabase
from patchline_kit.store.port import Save, Saved
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.topics import Topic
from patchline_schemas.dead_letters import DeadLettered
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished
from patchline_schemas.fleet import Target

PR_SET_PDEATHSIG = 1
NAME = "leases"
KINDS = (UpdatePublished, AdvisoryPublished, DeadLettered)
LEASE = timedelta(seconds=3)
LATENCY = timedelta(seconds=4)
"""How long each change of the target takes."""
TARGET, COMPONENT, VERSION = "t", "pkg:generic/app", "1.1.0"


class Job(Document, collection="jobs"):
    """A change of the target."""

    begun_by: list[str] = Field(default_factory=list)
    ended_by: list[str] = Field(default_factory=list)


def lease_service(worker: str, fleet: Path) -> Service:
    """The service as ``worker`` runs it: it writes its name down before and after the change."""
    service = Service(NAME, emits=[AdvisoryPublished], lease=LEASE)
    driver = SimDriver()
    target = Target(
        id=TARGET,
        group="g",
        driver="sim",
        path=str(fleet),
        settings={"packages": f"{COMPONENT}@1.0.0", "latency": f"PT{LATENCY.total_seconds():g}S"},
    )

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Job, event.update_id) is None:
            ctx.create(Job(id=event.update_id, wake_at=ctx.now))

    @service.wakes(Job)
    async def change(job: Job, ctx: Context) -> None:
        job.begun_by.append(worker)
        await ctx.checkpoint()
        limit = timedelta(minutes=1)
        try:
            await driver.apply(
                target, COMPONENT, VERSION, restart=False, fence=ctx.fence, timeout=limit, scope="job"
            )
        except Fenced as refused:
            raise LeaseLost(str(refused)) from refused
        job.ended_by.append(worker)
        ctx.emit(advisory(worker))

    return service


def run(worker: str, prefix: str, kafka: str, mongo: str, fleet: Path, log: Path) -> None:
    """Be ``worker`` until killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 2)
    logging.basicConfig(level=logging.INFO, format=f"{worker}: %(message)s")
    asyncio.run(_work(worker, prefix, kafka, mongo, fleet))


async def _work(worker: str, prefix: str, kafka: str, mongo: str, fleet: Path) -> None:
    topics = {name: Topic(name, 1, timedelta(days=1)) for kind in KINDS for name in kind.topics()}
    transport = KafkaTransport(KafkaConnection((kafka,)), prefix=prefix, topics=topics)
    database = MongoDatabase(MongoAddress.of(mongo))
    await transport.start()
    await database.start()
    runtime = Runtime(
        lease_service(worker, fleet),
        transport=transport,
        store=await database.store(NAME),
        clock=SystemClock(),
    )
    runtime.core.on_saved.append(_say_when_done)
    await runtime.start()
    await asyncio.Event().wait()


def _say_when_done(save: Save, _saved: Saved) -> None:
    if save.release and save.collection == Job.COLLECTION:
        logging.info("%s/%s is done", save.collection, save.id)
