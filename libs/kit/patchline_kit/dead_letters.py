"""Records given up: an event with the record and the reason, once each, and a limit on how many in a row."""

from __future__ import annotations

import base64
from datetime import datetime

from patchline_kit import tracing
from patchline_kit.core import Core, body_of
from patchline_kit.documents import Document
from patchline_kit.records import LOCAL
from patchline_kit.store.port import (
    AlreadyHandled,
    Outgoing,
    Pending,
    Save,
    Store,
    Stored,
    VersionConflict,
)
from patchline_kit.transport.port import Received
from patchline_schemas import Envelope, derived_id, encode
from patchline_schemas.dead_letters import DeadLettered, RawRecord

LARGEST_KEPT = 150 * 1024
"""A longer value is left out of the dead letter, so that it stays below the limit of a message."""


class DeadLetter(Document, collection="_dead_letters"):
    """A record that was given up. Its number of documents is what ``doctor`` and readiness show."""

    reason: str
    what: str
    event_id: str | None = None
    at: datetime


async def prune_letters(store: Store, before: datetime) -> None:
    """Delete what is known of records given up before that instant, which lie on no topic any more."""
    after = ""
    while page := await store.find(DeadLetter.COLLECTION, None, after=after):
        after = page[-1].id
        for stored in page:
            if DeadLetter.model_validate_json(stored.body).at < before:
                await store.save(_deletion(stored))


def _deletion(stored: Stored) -> Save:
    return Save(
        collection=stored.collection,
        id=stored.id,
        expected_version=stored.version,
        body=None,
        wake_at=None,
        wake_priority=0,
        tags=frozenset(),
        handled=None,
        outgoing=(),
    )


class TooManyDeadLetters(Exception):
    """So many records in a row were given up that something else must be wrong: the service stops."""


class DeadLetters:
    """Gives records up, and counts how many in a row."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._in_a_row = 0
        self.stopped: str | None = None
        """Why the service takes no more records; None while it does."""

    def succeeded(self) -> None:
        """A record was handled: what is wrong is not everything."""
        self._in_a_row = 0

    async def give_up(
        self,
        source: Received | Pending,
        *,
        what: str,
        reason: str,
        error: BaseException,
        attempts: int,
        event_id: str | None,
        first_failed_at: datetime,
    ) -> None:
        """Publish the dead letter with the next relay. Once per record, however often it is called.

        Raises :class:`TooManyDeadLetters` instead if the service's limit is reached.
        """
        limit = self._core.service.retry.dead_letters_in_a_row
        if self._in_a_row >= limit:
            self.stopped = (
                f"{limit} records in a row became dead letters, the last because: {reason}. The service takes"
                " no more until it is started again; `patchline dead-letters list` shows them"
            )
            self._core.log.error("%s stops: %s", self._core.service.name, self.stopped)
            self._core.activity.pulse()
            raise TooManyDeadLetters(self.stopped)
        self._in_a_row += 1
        self._core.log.error("dead letter: %s: %s", what, reason)
        self._core.measures.dead_lettered(what)
        service, now = self._core.service.name, self._core.clock.now()
        raw = _raw(source)
        letter_id = derived_id(service, raw.topic, f"{raw.partition}/{raw.offset}")
        letter = DeadLetter(id=letter_id, reason=reason, what=what, event_id=event_id, at=now)
        event = DeadLettered(
            letter_id=letter_id,
            service=service,
            reason=reason,
            error=f"{type(error).__name__}: {error}",
            attempts=attempts,
            event_id=event_id,
            first_failed_at=first_failed_at,
            record=raw,
        )
        envelope = Envelope(
            id=derived_id(letter_id, DeadLettered.TYPE),
            source=service,
            type=DeadLettered.TYPE,
            subject=letter_id,
            time=now,
            causationid=event_id,
            traceparent=tracing.current(),
        )
        record = encode(event, envelope)
        try:
            await self._core.commit(
                Save(
                    collection=DeadLetter.COLLECTION,
                    id=letter_id,
                    expected_version=0,
                    body=body_of(letter),
                    wake_at=None,
                    wake_priority=0,
                    tags=frozenset(),
                    handled=letter_id,
                    outgoing=(Outgoing(envelope.id, record.topic, record.key, record.headers, record.value),),
                    cause_id=event_id,
                    at=now,
                )
            )
        except (AlreadyHandled, VersionConflict):
            self._core.log.info("the dead letter %s is written already", letter_id)


def _raw(source: Received | Pending) -> RawRecord:
    if isinstance(source, Received):
        topic, partition, offset, key = source.topic, source.partition, source.offset, source.key
        headers, value = source.headers, source.value
    else:
        topic, partition, offset, key = LOCAL, 0, source.sequence, source.outgoing.key
        headers, value = source.outgoing.headers, source.outgoing.value
    fits = len(value) + sum(len(raw or b"") for _name, raw in headers) <= LARGEST_KEPT
    return RawRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        key=None if key is None else _b64(key),
        headers=tuple((name, _b64(raw)) for name, raw in headers if raw is not None) if fits else (),
        value=_b64(value) if fits else "",
    )


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
