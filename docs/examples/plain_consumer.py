"""Keep a list of verified waves with aiokafka alone, each once, in ``diary.db``.

::

    python plain_consumer.py localhost:9092 patchline.

The second argument is the topics' prefix.
"""

import asyncio
import json
import sqlite3
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRecord

TYPE = "dev.patchline.waves.verified.v1"


def write_down(diary: sqlite3.Connection, record: ConsumerRecord) -> None:
    """Store the event's effect together with its id, so a repetition changes nothing."""
    headers = {name: raw.decode() for name, raw in record.headers}
    if headers.get("content-type", "").startswith("application/cloudevents+json"):  # structured mode
        attributes = json.loads(record.value)
        event = attributes["data"]
    else:  # binary mode, which Patchline itself uses
        attributes = {name.removeprefix("ce_"): text for name, text in headers.items()}
        event = json.loads(record.value)
    if attributes["type"] != TYPE:  # a later version of the type is another type
        return
    order = event["order"]
    count = len(event["results"])
    page = f"{order['component']} {order['version']} works on {count} targets of {order['group']}"
    with diary:
        added = diary.execute("INSERT OR IGNORE INTO pages VALUES (?, ?)", (attributes["id"], page)).rowcount
    if added:
        print(page, flush=True)  # noqa: T201


async def consume(servers: str, prefix: str) -> None:
    """Handle what there is from the topic's beginning, then what comes."""
    diary = sqlite3.connect("diary.db")
    diary.execute("CREATE TABLE IF NOT EXISTS pages (event_id TEXT PRIMARY KEY, text TEXT NOT NULL)")
    consumer = AIOKafkaConsumer(
        f"{prefix}waves.verified",
        bootstrap_servers=servers,
        group_id=f"{prefix}plain-diary",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    write_down(diary, record)
            await consumer.commit()  # only what is stored: after a crash the rest comes again


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2]))
