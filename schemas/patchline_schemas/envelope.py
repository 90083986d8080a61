"""The CloudEvents envelope: event classes, their registry, and their form on the wire.

An event class names its topic; its CloudEvents ``type`` follows from it. On Kafka an event is in
*binary content mode* (CloudEvents 1.0, Kafka Protocol Binding, section 3.2): attributes in ``ce_``
headers, the JSON body as the value. *Structured mode* (section 3.3) is accepted too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, ClassVar

import uuid_utils
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, ValidationError

SPEC_VERSION = "1.0"
NAMESPACE = uuid_utils.UUID("5b1d3f0e-6f52-5c0b-9d0e-0b5f6f0f9a41")
"""The UUIDv5 namespace of ids that follow from a cause (see :func:`derived_id`)."""
MAX_MESSAGE_BYTES = 256 * 1024
"""No event's value may be longer; a longer one is refused before it is stored."""
URGENT_SUFFIX = ".urgent"
VERSION_HEADER = ("ce_specversion", SPEC_VERSION.encode())
JSON_HEADER = ("content-type", b"application/json")
REQUIRED = ("ce_id", "ce_source", "ce_specversion", "ce_type")

Headers = Sequence[tuple[str, bytes]]


class EnvelopeError(ValueError):
    """A record is no event of ours: not a CloudEvent, an unknown type, or a body that does not fit."""


class Event(BaseModel):
    """Base of all events. A subclass names its topic::

        class UpdateAssessed(Event, topic="updates.assessed"): ...

    ``key()`` is the record key, by which events keep their order within a topic.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    TOPIC: ClassVar[str] = ""
    TYPE: ClassVar[str] = ""
    HAS_URGENT_LANE: ClassVar[bool] = False
    """Whether the topic has an ``.urgent`` twin, read before it."""

    def __init_subclass__(
        cls, *, topic: str | None = None, version: int = 1, urgent_lane: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if topic is None:
            return
        cls.TOPIC = topic
        cls.TYPE = f"dev.patchline.{topic}.v{version}"
        cls.HAS_URGENT_LANE = urgent_lane
        if cls.TYPE in _REGISTRY:
            raise TypeError(f"two event classes claim the type {cls.TYPE}")
        _REGISTRY[cls.TYPE] = cls

    def key(self) -> str:
        """The record key (an update id, a package URL, a target id or a group)."""
        raise NotImplementedError

    def subject(self) -> str:
        """What the event is about, for CloudEvents' ``subject``; the key unless a class knows better."""
        return self.key()

    @classmethod
    @cache
    def topics(cls) -> tuple[str, ...]:
        """The topics a consumer of this event reads, the urgent one first; without any prefix."""
        if cls.HAS_URGENT_LANE:
            return (cls.TOPIC + URGENT_SUFFIX, cls.TOPIC)
        return (cls.TOPIC,)


ENTITIES = (
    "dead_letters",
    "feeds",
    "fleet",
    "ledger",
    "notices",
    "policies",
    "requests",
    "updates",
    "waves",
)
"""The modules of this package that declare events."""
_REGISTRY: dict[str, type[Event]] = {}


def event_types() -> Mapping[str, type[Event]]:
    """All event classes by CloudEvents type, in the order of the types."""
    _declare_all()
    return dict(sorted(_REGISTRY.items()))


def _event_class(type_: str) -> type[Event] | None:
    found = _REGISTRY.get(type_)
    if found is None:
        _declare_all()
        found = _REGISTRY.get(type_)
    return found


@cache
def _declare_all() -> None:
    for entity in ENTITIES:
        import_module(f"patchline_schemas.{entity}")


class Envelope(Struct, frozen=True):
    """What the headers say of an event, beside its body."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    causationid: str | None = None
    """The id of the event this one follows from."""
    traceparent: str | None = None
    """W3C trace context of the step that made the event."""
    urgent: bool = False
    """Whether the event travels on the urgent lane of its topic."""
    onlyfor: str | None = None
    """A service that alone should handle this record (a replayed dead letter)."""


class WireRecord(Struct, frozen=True):
    """An event as it lies on a topic. ``topic`` is without the installation's prefix."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def derived_id(cause_id: str, type_: str, part: str = "") -> str:
    """The id of an event that follows from another: the same cause, type and part give the same id."""
    return str(uuid_utils.uuid5(NAMESPACE, f"{cause_id}\n{type_}\n{part}"))


def encode(event: Event, envelope: Envelope) -> WireRecord:
    """The record of ``event``. A field that is null is left out of the body.

    Raises :class:`EnvelopeError` if the body is longer than :data:`MAX_MESSAGE_BYTES`.
    """
    value = event.__pydantic_serializer__.to_json(event, exclude_none=True)
    if len(value) > MAX_MESSAGE_BYTES:
        raise EnvelopeError(
            f"{envelope.type} {envelope.id} is {len(value)} bytes long; "
            f"an event may have at most {MAX_MESSAGE_BYTES}"
        )
    headers = [
        VERSION_HEADER,
        JSON_HEADER,
        ("ce_id", envelope.id.encode()),
        _header("ce_source", envelope.source),
        _header("ce_type", envelope.type),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", _rfc3339(envelope.time)),
    ]
    if envelope.causationid:
        headers.append(("ce_causationid", envelope.causationid.encode()))
    if envelope.traceparent:
        headers.append(("ce_traceparent", envelope.traceparent.encode()))
    if envelope.onlyfor:
        headers.append(("ce_onlyfor", envelope.onlyfor.encode()))
    topic = event.TOPIC + URGENT_SUFFIX if envelope.urgent and event.HAS_URGENT_LANE else event.TOPIC
    return WireRecord(topic=topic, key=event.key().encode(), headers=tuple(headers), value=value)


def read_envelope(headers: Headers, value: bytes) -> tuple[Envelope, bytes]:
    """The envelope of a record and its JSON body, in binary or structured mode.

    Raises :class:`EnvelopeError` if the record is no CloudEvent.
    """
    attributes = dict(headers)
    if not "".join(attributes).islower():
        attributes = {name.lower(): raw for name, raw in headers}
    if (attributes.get("content-type") or b"").startswith(b"application/cloudevents+json"):
        return _structured(value)
    try:
        return _envelope(
            {name: raw.decode() for name, raw in attributes.items() if raw and name[:3] == "ce_"}
        ), value
    except UnicodeDecodeError as error:
        name = next(name for name, raw in attributes.items() if raw == error.object)
        raise EnvelopeError(f"the header {name!r} is not UTF-8") from error


def decode(headers: Headers, value: bytes) -> tuple[Envelope, Event]:
    """The envelope and the typed event of a record.

    Raises :class:`EnvelopeError`, naming the field, if the record is no CloudEvent, has a type that
    this schema library does not know, or a body that does not fit the type.
    """
    envelope, body = read_envelope(headers, value)
    event_class = _event_class(envelope.type)
    if event_class is None:
        raise EnvelopeError(f"unknown event type {envelope.type!r} (event {envelope.id})")
    try:
        return envelope, event_class.__pydantic_validator__.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise EnvelopeError(
            f"{envelope.type} {envelope.id}: {where}: {first['msg']} ({error.error_count()} in all)"
        ) from error


def _structured(value: bytes) -> tuple[Envelope, bytes]:
    try:
        document = json.loads(value)
    except ValueError as error:
        raise EnvelopeError(f"the structured CloudEvent is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise EnvelopeError("a structured CloudEvent is a JSON object")
    body = json.dumps(document.pop("data", None)).encode()
    return _envelope({f"ce_{name}": str(item) for name, item in document.items() if item is not None}), body


def _envelope(ce: Mapping[str, str]) -> Envelope:
    id_, source, type_ = ce.get("ce_id"), ce.get("ce_source"), ce.get("ce_type")
    if not (id_ and source and type_) or ce.get("ce_specversion") != SPEC_VERSION:
        raise EnvelopeError(_why_none(ce))
    try:
        time = datetime.fromisoformat(ce["ce_time"]) if "ce_time" in ce else datetime.now(UTC)
    except ValueError as error:
        raise EnvelopeError(f"event {id_}: time {ce['ce_time']!r} is no RFC 3339 time") from error
    if time.tzinfo is None:
        raise EnvelopeError(f"event {id_}: time {ce['ce_time']!r} has no zone")
    return Envelope(
        id=id_,
        source=source,
        type=type_,
        subject=ce.get("ce_subject", ""),
        time=time if time.tzinfo is UTC else time.astimezone(UTC),
        causationid=ce.get("ce_causationid"),
        traceparent=ce.get("ce_traceparent"),
        onlyfor=ce.get("ce_onlyfor"),
    )


def _why_none(ce: Mapping[str, str]) -> str:
    """Why these attributes are those of no CloudEvent."""
    missing = [name for name in REQUIRED if not ce.get(name)]
    if missing:
        return f"no CloudEvent: the attribute {missing[0].removeprefix('ce_')!r} is missing"
    return f"CloudEvents version {ce['ce_specversion']!r} is not {SPEC_VERSION!r}"


def _rfc3339(time: datetime) -> bytes:
    """``time`` in UTC, with a Z."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return utc.isoformat().replace("+00:00", "Z").encode()


@lru_cache(maxsize=1024)
def _header(name: str, text: str) -> tuple[str, bytes]:
    """A header that many records have alike."""
    return name, text.encode()
