"""What the kit can be asked to handle: a record of a topic, or a local message. And its place in a lane."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

from patchline_kit.documents import Message
from patchline_kit.outcomes import Poison
from patchline_kit.service import Handler, Service
from patchline_kit.store.port import Outgoing, Pending
from patchline_kit.transport.port import Received
from patchline_kit.unit import MESSAGE_HEADER, Trigger
from patchline_kit.urgency import is_urgent
from patchline_schemas import EnvelopeError, Event, decode
from patchline_schemas.envelope import URGENT_SUFFIX

LOCAL = "local"
"""Stands for the topic of a local message where one is shown."""


class Job(Struct, frozen=True):
    """One call of one handler, with its place in its lane."""

    handler: Handler
    argument: Event | Message
    trigger: Trigger
    name: str
    """``start WaveBackedUp``, for spans, figures and logs."""
    lane: str
    sequence: int
    source: Received | Pending


class Route(Struct, frozen=True):
    """One handler of the events of one class on one topic."""

    handler: Handler
    name: str
    lanes: str
    """How the names of its lanes begin."""
    records: str
    """How the names of records in the inbox begin, that of another handler's apart."""


def jobs_of_record(service: Service, record: Received) -> list[Job]:
    """The calls that ``record`` asks for: none if it is meant for another service, else one or two.

    Raises :class:`Poison` if it is no event that this service can read.
    """
    try:
        envelope, event = decode(record.headers, record.value)
    except EnvelopeError as error:
        if _meant_for(record) in (None, service.name):
            raise Poison(str(error)) from error
        return []  # a dead letter that is replayed for another service may still be unreadable
    if envelope.onlyfor is not None and envelope.onlyfor != service.name:
        return []
    kind, topic = type(event), record.topic
    if topic not in kind.topics():
        raise Poison(f"{envelope.type} (event {envelope.id}) does not belong on the topic {topic}")
    routes = routes_of(service, kind, topic)
    if not routes:
        raise Poison(f"{service.name} has no handler for {envelope.type} (event {envelope.id})")
    key = _lane_key(record, envelope.id)
    urgent = topic.endswith(URGENT_SUFFIX)
    return [
        Job(
            handler=route.handler,
            argument=event,
            trigger=Trigger(
                kind="event",
                id=envelope.id,
                inbox_id=f"{route.records}{envelope.source}/{envelope.id}",
                cause_id=envelope.id,
                envelope=envelope,
                record=record,
                urgent=urgent,
                traceparent=envelope.traceparent,
                caused_at=envelope.time,
            ),
            name=route.name,
            lane=route.lanes + key,
            sequence=record.offset,
            source=record,
        )
        for route in routes
    ]


@lru_cache(maxsize=4096)
def routes_of(service: Service, kind: type[Event], topic: str) -> tuple[Route, ...]:
    """The handlers that get the events of a class from a topic: their own, and that of every event."""
    return tuple(
        Route(
            handler=handler,
            name=f"{_name(handler)} {kind.__name__}",
            lanes=f"{prefix}{topic}|",
            records=prefix,
        )
        for prefix, handler in (("", service.events.get(kind)), ("*", service.every_event))
        if handler is not None
    )


def job_of_message(service: Service, pending: Pending) -> Job:
    """The call that delivers a local message. Raises :class:`Poison` if it cannot be read."""
    headers = dict(pending.outgoing.headers)
    name = headers.get(MESSAGE_HEADER, b"").decode()
    found = next((kind for kind in service.messages if name == kind.NAME), None)
    if found is None:
        raise Poison(f"{service.name} has no handler for the local message {name!r}")
    handler = service.messages[found]
    try:
        message = found.model_validate_json(pending.outgoing.value)
    except ValueError as error:
        raise Poison(f"the local message {name} cannot be read: {error}") from error
    trigger = Trigger(
        kind="message",
        id=pending.outgoing.id,
        inbox_id=pending.outgoing.id,
        cause_id=pending.cause_id,
        urgent=is_urgent(pending.outgoing),
        traceparent=pending.traceparent,
    )
    return Job(
        handler=handler,
        argument=message,
        trigger=trigger,
        name=f"{_name(handler)} {name}",
        lane=lane_of_message(pending),
        sequence=pending.sequence,
        source=pending,
    )


def jobs_of(service: Service, source: Received | Pending) -> list[Job]:
    """The calls that a record or a message asks for; raises :class:`Poison`."""
    return (
        jobs_of_record(service, source) if isinstance(source, Received) else [job_of_message(service, source)]
    )


def lane_of_message(pending: Pending) -> str:
    """The lane of a local message: one per receiver."""
    return f"{LOCAL}|{pending.outgoing.key.decode(errors='replace')}"


def dump_source(source: Received | Pending) -> bytes:
    """A record or message as bytes, for parking."""
    if isinstance(source, Received):
        body: dict[str, Any] = {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "key": None if source.key is None else _b64(source.key),
            "headers": _dump_headers(source.headers),
            "value": _b64(source.value),
            "timestamp": source.timestamp.isoformat(),
        }
    else:
        body = {
            "collection": source.collection,
            "document_id": source.document_id,
            "sequence": source.sequence,
            "id": source.outgoing.id,
            "key": _b64(source.outgoing.key),
            "headers": _dump_headers(source.outgoing.headers),
            "value": _b64(source.outgoing.value),
            "cause_id": source.cause_id,
            "traceparent": source.traceparent,
        }
    return json.dumps(body).encode()


def load_source(data: bytes) -> Received | Pending:
    """What :func:`dump_source` wrote."""
    body = json.loads(data)
    headers = tuple((name, base64.b64decode(raw)) for name, raw in body["headers"])
    value = base64.b64decode(body["value"])
    if "topic" in body:
        return Received(
            topic=body["topic"],
            partition=body["partition"],
            offset=body["offset"],
            key=None if body["key"] is None else base64.b64decode(body["key"]),
            headers=headers,
            value=value,
            timestamp=datetime.fromisoformat(body["timestamp"]),
        )
    outgoing = Outgoing(
        id=body["id"], topic=None, key=base64.b64decode(body["key"]), headers=headers, value=value
    )
    return Pending(
        collection=body["collection"],
        document_id=body["document_id"],
        sequence=body["sequence"],
        outgoing=outgoing,
        cause_id=body["cause_id"],
        traceparent=body["traceparent"],
    )


def _meant_for(record: Received) -> str | None:
    for name, value in record.headers:
        if name.lower() == "ce_onlyfor" and value:
            return value.decode(errors="replace")
    return None


def _lane_key(record: Received, event_id: str) -> str:
    return event_id if record.key is None else record.key.decode(errors="backslashreplace")


def _name(handler: Handler) -> str:
    return getattr(handler, "__name__", type(handler).__name__)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _dump_headers(headers: tuple[tuple[str, bytes], ...]) -> list[tuple[str, str]]:
    return [(name, _b64(raw)) for name, raw in headers if raw is not None]
