"""Poison, a handler that always fails, a downstream that is away for long: on the native Kafka and MongoDB.

In each the other keys go on, the order within a key holds, nothing is lost, and a dead letter says why.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from chaos.native_harness import NativeHarness, native_harness
from delivery import advisory, update
from pydantic import Field

from patchline_kit import Context, Document, RetryLater, RetryPolicy, Service
from patchline_schemas import WireRecord
from patchline_schemas.dead_letters import DeadLettered
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

pytestmark = pytest.mark.native
KINDS = (UpdatePublished, AdvisoryPublished, DeadLettered)
POLICY = RetryPolicy(attempts=5, longest=timedelta(seconds=20))
"""Delays of 1, 2, 4 and 8 s; a downstream that is away for longer outlasts the attempts."""


class Shelf(Document, collection="shelves"):
    """What was handled of a key, in order."""

    seen: list[str] = Field(default_factory=list)


class Downstream:
    """Something outside that may be away, or refuse what one key asks for."""

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.asked: list[str] = []


def shelving(downstream: Downstream) -> Service:
    """A service that asks the downstream about each event, then shelves and tells it."""
    service = Service("shelves", emits=[AdvisoryPublished], retry=POLICY)

    @service.on(UpdatePublished)
    async def shelve(event: UpdatePublished, ctx: Context) -> None:
        downstream.asked.append(f"{event.update_id}{event.version}")
        if event.update_id in downstream.away:
            raise RetryLater("the mirror does not answer")
        if event.version == "broken":
            raise ZeroDivisionError("no such shelf")
        shelf = await ctx.load(Shelf, event.update_id) or ctx.create(Shelf(id=event.update_id))
        shelf.seen.append(event.version)
        ctx.emit(advisory(event.version, component=event.component))

    return service


async def shelved(h: NativeHarness, key: str) -> list[str]:
    shelf = await h.document(Shelf, key)
    return shelf.seen if shelf else []


def told(h: NativeHarness, key: str) -> list[str]:
    return [event.version for event in h.published(AdvisoryPublished) if event.update_id == key]


def component(key: str) -> str:
    return f"pkg:pypi/{key}"


async def test_poison_among_good_records_is_given_up_with_the_reason_and_the_rest_is_handled_in_order(
    tmp_path: Path, mongo_uri: str
) -> None:
    async with native_harness(shelving(Downstream()), KINDS, tmp_path=tmp_path, mongo=mongo_uri) as h:
        for version in ("1", "2", "3"):
            await h.publish(update(version))
            await h.transport.publish([WireRecord(UpdatePublished.TOPIC, b"pkg:pypi/a", (), b"{no event")])
            await h.publish(update(version, component=component("b")))
        await h.settle()
        assert await shelved(h, "a") == told(h, "a") == ["1", "2", "3"]
        assert await shelved(h, "b") == told(h, "b") == ["1", "2", "3"]
        letters = h.dead_letters()
        assert len(letters) == 3
        for letter in letters:
            assert letter.reason == "no CloudEvent: the attribute 'id' is missing"
            assert base64.b64decode(letter.record.value) == b"{no event"
        assert await h.parked() == []


async def test_a_handler_that_always_fails_on_one_record_holds_up_its_key_only_until_it_is_given_up(
    tmp_path: Path, mongo_uri: str
) -> None:
    downstream = Downstream()
    async with native_harness(shelving(downstream), KINDS, tmp_path=tmp_path, mongo=mongo_uri) as h:
        for version in ("1", "broken", "2", "3"):
            await h.publish(update(version))
        await h.publish(update("1", component=component("b")))
        await h.settle()
        assert await shelved(h, "b") == ["1"]
        assert await shelved(h, "a") == ["1"]
        await h.restart()
        await h.publish(update("4"))
        await h.advance(timedelta(minutes=1))
        assert await shelved(h, "a") == told(h, "a") == ["1", "2", "3", "4"]
        assert downstream.asked.count("abroken") == POLICY.attempts
        (letter,) = h.dead_letters()
        assert letter.attempts == POLICY.attempts
        assert letter.error == "ZeroDivisionError: no such shelf"
        assert letter.reason == "failed 5 times, the last time with: ZeroDivisionError: no such shelf"


async def test_a_downstream_that_is_away_for_ten_times_the_longest_delay_loses_nothing(
    tmp_path: Path, mongo_uri: str
) -> None:
    downstream = Downstream()
    downstream.away = {"a"}
    async with native_harness(shelving(downstream), KINDS, tmp_path=tmp_path, mongo=mongo_uri) as h:
        for version in ("1", "2", "3"):
            await h.publish(update(version))
            await h.publish(update(version, component=component("b")))
        await h.settle()
        assert await shelved(h, "b") == ["1", "2", "3"]
        await h.advance(10 * POLICY.longest)
        await h.publish(update("4", component=component("b")))
        await h.settle()
        assert await shelved(h, "b") == told(h, "b") == ["1", "2", "3", "4"]
        assert await shelved(h, "a") == []

        letters = h.dead_letters()
        assert all("the mirror does not answer" in letter.reason for letter in letters)
        downstream.away = set()
        for letter in letters:
            await h.transport.publish([replayed(letter)])
        await h.advance(2 * POLICY.longest)
        assert await shelved(h, "a") == told(h, "a") == ["1", "2", "3"]
        assert len(h.dead_letters()) == len(letters)
        assert await h.parked() == []


def replayed(letter: DeadLettered) -> WireRecord:
    """The record of a dead letter, as `patchline dead-letters replay` publishes it again."""
    record = letter.record
    headers = tuple((name, base64.b64decode(raw)) for name, raw in record.headers)
    key = base64.b64decode(record.key or "")
    return WireRecord(
        record.topic, key, (*headers, ("ce_onlyfor", b"shelves")), base64.b64decode(record.value)
    )
