"""Publish an update with aiokafka alone: one CloudEvent in Kafka's binary mode.

::

    python plain_publisher.py localhost:9092 patchline. < item.json

The second argument is the topics' prefix. It prints the request's id; ``requests.accepted`` or
``requests.refused`` answers with it.
"""

import asyncio
import json
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer


async def publish(servers: str, prefix: str, item: dict[str, Any]) -> str:
    """Hand in one feed item; the id of the request."""
    request_id = str(uuid.uuid4())
    headers = {
        "ce_specversion": "1.0",
        "ce_id": request_id,
        "ce_source": "build-server",
        "ce_type": "dev.patchline.requests.submitted.v1",
        "ce_subject": item["component"],
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    body = {"action": "publish", "who": "build-server", "reason": "a release", "item": item}
    # acks="all": sent means that every in-sync replica has it. Idempotent: a retry is no second record.
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(
            f"{prefix}requests.submitted",
            key=item["component"].encode(),
            value=json.dumps(body).encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
    return request_id


if __name__ == "__main__":
    print(asyncio.run(publish(sys.argv[1], sys.argv[2], json.load(sys.stdin))))  # noqa: T201
