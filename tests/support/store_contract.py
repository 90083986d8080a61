"""What every store must do: an adapter's test class inherits :class:`StoreContract` and opens its store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from patchline_kit.store.port import (
    AlreadyHandled,
    Claim,
    FenceLost,
    Outgoing,
    Parked,
    Save,
    Store,
    VersionConflict,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def save(id: str = "a", version: int = 0, **changes: object) -> Save:
    plain = Save(
        collection="things",
        id=id,
        expected_version=version,
        body=b'{"n": 1}',
        wake_at=None,
        wake_priority=0,
        tags=frozenset(),
        handled=None,
        outgoing=(),
        at=NOON,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def event(id: str, *, topic: str | None = "updates.planned", key: bytes = b"k") -> Outgoing:
    return Outgoing(id=id, topic=topic, key=key, headers=(("ce_id", b"\xff\x00"),), value=b"{}")


def parked(
    sequence: int = 0, *, lane: str = "t|k", not_before: datetime | None = NOON, **changes: object
) -> Parked:
    plain = Parked(
        lane=lane,
        sequence=sequence,
        record=b"record",
        not_before=not_before,
        attempts=1,
        reason="because",
        first_failed_at=NOON,
        waits_for=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class StoreContract:
    """The contract. ``store`` is empty; ``other`` is another service's in the same place, ``twin`` the same
    service's as another process opens it."""

    async def test_a_store_tells_the_time(self, store: Store) -> None:
        before = datetime.now(UTC)
        assert before - SECOND <= await store.now() <= datetime.now(UTC) + SECOND

    # documents

    async def test_a_saved_document_can_be_loaded_as_it_was(self, store: Store) -> None:
        await store.save(save(wake_at=NOON, wake_priority=3, traceparent="tp", cause_id="c"))
        found = await store.load("things", "a")
        assert found is not None
        assert (found.version, found.body, found.wake_at, found.wake_priority) == (1, b'{"n": 1}', NOON, 3)
        assert (found.traceparent, found.cause_id, found.saved_at) == ("tp", "c", NOON)

    async def test_what_is_not_stored_is_none(self, store: Store) -> None:
        assert await store.load("things", "a") is None

    async def test_each_save_raises_the_version_by_one(self, store: Store) -> None:
        assert (await store.save(save())).version == 1
        assert (await store.save(save(version=1))).version == 2

    @pytest.mark.parametrize("version", [0, 2])
    async def test_a_save_of_another_version_is_a_conflict_and_changes_nothing(
        self, store: Store, version: int
    ) -> None:
        await store.save(save())
        with pytest.raises(VersionConflict):
            await store.save(save(version=version, body=b"{}", outgoing=(event("e"),), handled="r"))
        found = await store.load("things", "a")
        assert found is not None and found.body == b'{"n": 1}'
        assert not await store.pending()
        assert not await store.handled("things", "a", "r")

    async def test_a_change_of_what_does_not_exist_is_a_conflict(self, store: Store) -> None:
        with pytest.raises(VersionConflict):
            await store.save(save(version=1))

    async def test_one_conflict_does_not_fail_the_saves_beside_it(self, store: Store) -> None:
        await store.save(save("taken"))
        saves = [save(f"new-{number}") for number in range(50)] + [save("taken")]
        results = await asyncio.gather(*map(store.save, saves), return_exceptions=True)
        assert [type(result) for result in results if isinstance(result, Exception)] == [VersionConflict]
        assert await store.count("things") == 51

    async def test_of_concurrent_saves_of_one_version_exactly_one_wins(self, store: Store) -> None:
        await store.save(save())
        results = await asyncio.gather(
            *(store.save(save(version=1, body=b"%d" % number)) for number in range(20)),
            return_exceptions=True,
        )
        assert sum(not isinstance(result, Exception) for result in results) == 1

    async def test_a_deleted_document_is_gone_but_its_events_and_inbox_stay(self, store: Store) -> None:
        await store.save(save(tags=frozenset({"x"})))
        await store.save(save(version=1, body=None, outgoing=(event("e"),), handled="r"))
        assert await store.load("things", "a") is None
        assert await store.count("things") == 0
        assert await store.find("things", "x") == []
        assert [entry.outgoing.id for entry in await store.pending()] == ["e"]
        assert await store.handled("things", "a", "r")

    async def test_another_service_sees_nothing_of_it(self, store: Store, other: Store) -> None:
        await store.save(save(wake_at=NOON, tags=frozenset({"x"}), outgoing=(event("e"),), handled="r"))
        await store.park(parked())
        assert await other.load("things", "a") is None
        assert await other.find("things", None) == []
        assert await other.count("things") == 0
        assert await other.pending() == []
        assert not await other.handled("things", "a", "r")
        assert not await other.claim_due(["things"], NOON, "me", 10)
        assert await other.parked() == []
        assert (await other.save(save())).version == 1

    # tags

    async def test_documents_are_found_by_tag_in_order_of_their_ids(self, store: Store) -> None:
        for id in ("c", "a", "b"):
            await store.save(save(id, tags=frozenset({"red", id})))
        assert [found.id for found in await store.find("things", "red")] == ["a", "b", "c"]
        assert [found.id for found in await store.find("things", "red", after="a", limit=1)] == ["b"]
        assert [found.id for found in await store.find("things", None, after="a")] == ["b", "c"]
        assert [found.id for found in await store.find("things", "c")] == ["c"]

    async def test_a_save_replaces_the_tags_and_the_counts_follow(self, store: Store) -> None:
        await store.save(save(tags=frozenset({"red", "round"})))
        await store.save(save("b", tags=frozenset({"red"})))
        await store.save(save(version=1, tags=frozenset({"round", "blue"})))
        counts = {tag: await store.count("things", tag) for tag in ("red", "round", "blue")}
        assert counts == {"red": 1, "round": 1, "blue": 1}
        assert await store.count("things") == 2
        assert [found.id for found in await store.find("things", "red")] == ["b"]

    # inbox

    async def test_a_record_is_handled_once_per_document(self, store: Store) -> None:
        await store.save(save(handled="r"))
        with pytest.raises(AlreadyHandled):
            await store.save(save(version=1, handled="r"))
        await store.save(save("b", handled="r"))
        assert await store.handled("things", "a", "r")

    async def test_a_record_that_created_a_document_is_known_rather_than_a_conflict(
        self, store: Store
    ) -> None:
        await store.save(save(handled="r"))
        with pytest.raises(AlreadyHandled):
            await store.save(save(handled="r"))

    async def test_a_record_without_effect_is_noted_and_leaves_the_version_alone(self, store: Store) -> None:
        await store.save(save())
        await store.note("things", "a", 1, "r", NOON)
        found = await store.load("things", "a")
        assert found is not None and found.version == 1
        with pytest.raises(AlreadyHandled):
            await store.save(save(version=1, handled="r"))

    async def test_a_note_on_a_changed_document_is_a_conflict(self, store: Store) -> None:
        await store.save(save())
        with pytest.raises(VersionConflict):
            await store.note("things", "a", 0, "r", NOON)

    async def test_old_records_can_be_forgotten(self, store: Store) -> None:
        await store.save(save(handled="old"))
        await store.save(save(version=1, handled="new", at=NOON + SECOND))
        assert await store.prune(NOON + SECOND) == 1
        assert not await store.handled("things", "a", "old")
        assert await store.handled("things", "a", "new")

    # outbox

    async def test_events_lie_in_order_until_they_are_cleared(self, store: Store) -> None:
        first = await store.save(
            save(outgoing=(event("1"), event("2", topic=None)), cause_id="c", traceparent="t")
        )
        await store.save(save("b", outgoing=(event("3"),)))
        entries = await store.pending()
        assert [entry.outgoing.id for entry in entries] == ["1", "2", "3"]
        assert tuple(entries[:2]) == first.pending
        assert entries[0].outgoing == event("1")
        assert (entries[0].cause_id, entries[0].traceparent) == ("c", "t")
        await store.clear(entries[:1])
        assert [entry.outgoing.id for entry in await store.pending()] == ["2", "3"]
        assert [entry.outgoing.id for entry in await store.pending(document=("things", "b"))] == ["3"]
        assert [entry.outgoing.id for entry in await store.pending(after=entries[1].sequence)] == ["3"]

    async def test_clearing_leaves_the_version_alone(self, store: Store) -> None:
        saved = await store.save(save(outgoing=(event("1"),)))
        await store.clear(saved.pending)
        await store.save(save(version=1))

    async def test_a_save_names_the_older_events_of_its_document(self, store: Store) -> None:
        first = await store.save(save(outgoing=(event("1"),)))
        await store.save(save("b", outgoing=(event("2"),)))
        second = await store.save(save(version=1, outgoing=(event("3"),)))
        assert first.earlier == ()
        assert second.earlier == (first.pending[0].sequence,)

    # claims

    async def claim(self, store: Store, owner: str = "me", now: datetime = NOON) -> Claim:
        (claim,) = await store.claim_due(["things"], now, owner, 10)
        return claim

    async def test_due_documents_are_claimed_most_urgent_first_then_oldest(self, store: Store) -> None:
        await store.save(save("late", wake_at=NOON))
        await store.save(save("early", wake_at=NOON - SECOND))
        await store.save(save("urgent", wake_at=NOON, wake_priority=1))
        await store.save(save("future", wake_at=NOON + SECOND, wake_priority=9))
        await store.save(save("other", collection="others", wake_at=NOON - SECOND, wake_priority=2))
        claims = await store.claim_due(["things", "others"], NOON, "me", 3)
        assert [claim.stored.id for claim in claims] == ["other", "urgent", "early"]
        assert claims[1].due == NOON
        assert [claim.stored.id for claim in await store.claim_due(["things"], NOON, "me", 3)] == ["late"]

    async def test_the_next_wake_is_the_earliest_of_what_nobody_has(self, store: Store) -> None:
        assert await store.next_wake(["things"]) is None
        await store.save(save("a", wake_at=NOON))
        await store.save(save("b", wake_at=NOON + SECOND, wake_priority=5))
        assert await store.next_wake(["things"]) == NOON
        await store.save(save("c", collection="others", wake_at=NOON + 2 * SECOND))
        await store.save(save("d", collection="nobody's", wake_at=NOON - SECOND))
        await self.claim(store)
        assert await store.next_wake(["things"]) == NOON + SECOND
        assert await store.next_wake(["others", "things"]) == NOON + SECOND
        assert await store.next_wake(["none", "others"]) == NOON + 2 * SECOND
        assert not await store.claim_due(["none", "others"], NOON + SECOND, "me", 10)

    async def test_two_workers_never_claim_one_document(self, store: Store) -> None:
        for number in range(40):
            await store.save(save(f"{number}", wake_at=NOON))
        claims = await asyncio.gather(*(store.claim_due(["things"], NOON, f"w{n}", 10) for n in range(8)))
        ids = [claim.stored.id for some in claims for claim in some]
        assert sorted(ids) == sorted(f"{number}" for number in range(40))

    async def test_a_claimed_document_has_no_wake_at_and_can_be_saved_by_others(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        found = await store.load("things", "a")
        assert claim.stored.wake_at is None
        assert found is not None and found.wake_at is None and found.version == 1
        await store.save(save(version=1, wake_at=NOON + SECOND))
        with pytest.raises(VersionConflict):
            await store.save(save(version=1, fence=claim.fence, release=True))
        assert not await store.claim_due(["things"], NOON + SECOND, "you", 1)
        await store.save(save(version=2, fence=claim.fence, release=True, wake_at=NOON + 2 * SECOND))
        assert await store.next_wake(["things"]) == NOON + 2 * SECOND

    async def test_a_save_without_release_keeps_the_claim(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.save(save(version=1, fence=claim.fence))
        await store.save(save(version=2, fence=claim.fence, release=True))
        with pytest.raises(FenceLost):
            await store.save(save(version=3, fence=claim.fence))

    async def test_a_checkpoint_does_not_make_a_crashed_worker_s_document_sleep(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.save(save(version=1, fence=claim.fence))
        (beat,) = await store.claims()
        assert await store.take_over(beat)
        assert await store.next_wake(["things"]) == NOON

    async def test_fences_rise_over_all_documents_and_services(self, store: Store, other: Store) -> None:
        fences = []
        for where in (store, other, store, other):
            version = stored.version if (stored := await where.load("things", "a")) else 0
            await where.save(save(version=version, wake_at=NOON))
            claim = await self.claim(where)
            fences.append(claim.fence)
            await where.release("things", "a", claim.fence, done=True)
        assert fences == sorted(set(fences))

    async def test_a_beat_shows_life_and_prevents_a_takeover(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        (seen,) = await store.claims()
        assert (seen.owner, seen.fence) == ("me", claim.fence)
        assert await store.beat("things", "a", claim.fence)
        assert not await store.take_over(seen)
        (fresh,) = await store.claims()
        assert await store.take_over(fresh)
        assert not await store.beat("things", "a", claim.fence)

    async def test_who_was_taken_over_cannot_save(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        mine = await self.claim(store)
        (seen,) = await store.claims()
        await store.take_over(seen)
        with pytest.raises(FenceLost):
            await store.save(save(version=1, fence=mine.fence))
        yours = await self.claim(store, "you")
        assert yours.fence > mine.fence
        with pytest.raises(FenceLost):
            await store.save(save(version=1, fence=mine.fence, release=True))
        await store.release("things", "a", mine.fence)
        await store.save(save(version=1, fence=yours.fence, release=True))

    async def test_a_released_document_is_due_again_at_once(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.release("things", "a", claim.fence)
        assert (await self.claim(store)).attempts == 0

    async def test_failures_are_counted_until_a_save(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        for attempts in range(3):
            claim = await self.claim(store, now=NOON + attempts * SECOND)
            assert claim.attempts == attempts
            await store.release("things", "a", claim.fence, retry_at=NOON + (attempts + 1) * SECOND)
            assert await store.next_wake(["things"]) == NOON + (attempts + 1) * SECOND
        claim = await self.claim(store, now=NOON + 3 * SECOND)
        await store.save(save(version=1, fence=claim.fence, release=True, wake_at=NOON))
        assert (await self.claim(store)).attempts == 0

    async def test_an_earlier_wake_set_meanwhile_wins_over_the_retry(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.save(save(version=1, wake_at=NOON + SECOND))
        await store.release("things", "a", claim.fence, retry_at=NOON + 60 * SECOND)
        assert await store.next_wake(["things"]) == NOON + SECOND

    async def test_a_wake_that_is_done_leaves_only_what_was_set_meanwhile(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.release("things", "a", claim.fence, done=True)
        assert await store.next_wake(["things"]) is None

    async def test_a_sole_owner_frees_every_claim(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        await self.claim(store)
        assert await store.free_claims() == 1
        assert (await self.claim(store)).stored.id == "a"

    async def test_a_document_deleted_under_its_worker_is_a_conflict(self, store: Store) -> None:
        await store.save(save(wake_at=NOON))
        claim = await self.claim(store)
        await store.save(save(version=1, body=None))
        with pytest.raises(VersionConflict):
            await store.save(save(version=1, fence=claim.fence))

    # parking

    async def test_only_the_first_of_a_lane_is_ever_due(self, store: Store) -> None:
        await store.park(parked(1))
        await store.park(parked(2, not_before=None))
        await store.park(parked(7, lane="other"))
        assert await store.parked_lanes(["t|k", "other", "empty"]) == {"t|k", "other"}
        due = await store.claim_parked(NOON, NOON + SECOND)
        assert sorted((entry.lane, entry.sequence) for entry in due) == [("other", 7), ("t|k", 1)]

    async def test_a_parked_record_that_is_being_tried_is_nobody_else_s(self, store: Store) -> None:
        await store.park(parked(1))
        assert len(await store.claim_parked(NOON, NOON + SECOND)) == 1
        assert await store.claim_parked(NOON, NOON + SECOND) in ([], ())
        assert await store.next_parked() == NOON + SECOND
        assert len(await store.claim_parked(NOON + SECOND, NOON + 2 * SECOND)) == 1

    async def test_taking_a_record_out_makes_the_next_of_its_lane_due(self, store: Store) -> None:
        await store.park(parked(1))
        await store.park(parked(2, not_before=None))
        await store.park(parked(3, not_before=None))
        await store.unpark(parked(1))
        (due,) = await store.claim_parked(NOON, NOON + SECOND)
        assert due.sequence == 2
        await store.unpark(due)
        await store.unpark((await store.claim_parked(NOON, NOON + SECOND))[0])
        assert await store.parked_lanes(["t|k"]) == frozenset()
        assert await store.next_parked() is None

    async def test_parking_behind_nothing_is_due_at_once(self, store: Store) -> None:
        await store.park(parked(2, not_before=None))
        (due,) = await store.claim_parked(NOON, NOON + SECOND)
        assert due.sequence == 2

    async def test_a_later_attempt_replaces_the_entry(self, store: Store) -> None:
        await store.park(parked(1))
        await store.park(parked(1, attempts=2, reason="again", not_before=NOON + SECOND))
        (entry,) = await store.parked()
        assert (entry.attempts, entry.reason, entry.not_before) == (2, "again", NOON + SECOND)

    async def test_a_redelivered_record_stays_as_it_lies(self, store: Store) -> None:
        await store.park(parked(1, attempts=3, not_before=NOON + SECOND))
        await store.park(parked(1, attempts=0, not_before=None))
        (entry,) = await store.parked()
        assert (entry.attempts, entry.not_before) == (3, NOON + SECOND)

    async def test_an_older_record_goes_before_what_lies_there(self, store: Store) -> None:
        await store.park(parked(5))
        await store.park(parked(4, not_before=None))
        (due,) = await store.claim_parked(NOON, NOON + SECOND)
        assert due.sequence == 4
        await store.unpark(due)
        (due,) = await store.claim_parked(NOON, NOON + SECOND)
        assert due.sequence == 5

    async def test_what_waits_for_a_document_is_let_go_and_is_due(self, store: Store) -> None:
        await store.park(parked(1, not_before=NOON + 60 * SECOND, waits_for="things/a"))
        await store.park(parked(2, not_before=None))
        await store.park(parked(1, lane="other", not_before=NOON + 60 * SECOND, waits_for="things/b"))
        assert await store.let_go(["things/c"]) == 0
        assert not await store.claim_parked(NOON, NOON + SECOND)
        assert await store.let_go(["things/c", "things/a"]) == 1
        (due,) = await store.claim_parked(NOON, NOON + SECOND)
        assert (due.lane, due.sequence) == ("t|k", 1)

    async def test_what_waits_for_any_of_some_documents_is_let_go(self, store: Store) -> None:
        for name in "ab":
            await store.park(parked(1, lane=name, not_before=NOON + 60 * SECOND, waits_for=f"things/{name}"))
        assert await store.let_go(["things/a", "things/b"]) == 2
        assert {due.lane for due in await store.claim_parked(NOON, NOON + SECOND)} == {"a", "b"}

    # loads at once

    async def test_loads_at_once_are_each_answered_for_their_own_record(self, store: Store) -> None:
        await store.save(save("a", handled="r1"))
        await store.save(save("a", 1, handled="r2", body=b"{}"))
        await store.save(save("b", handled="r3"))
        wanted = [("a", "r2"), ("a", "r1"), ("a", "r3"), ("a", "r4"), ("b", "r1"), ("b", "r3"), ("c", "r1")]
        results = await asyncio.gather(
            *(store.load_unless_handled("things", id, record) for id, record in wanted),
            store.load("things", "a"),
            store.load("things", "c"),
            return_exceptions=True,
        )
        versions = [
            "handled" if isinstance(result, AlreadyHandled) else result and result.version
            for result in results
        ]
        assert versions == ["handled", "handled", 2, 2, 1, "handled", None, 2, None]

    async def test_many_loads_at_once_are_all_answered(self, store: Store) -> None:
        await store.save_all([save(f"a{number}") for number in range(300)])
        found = await asyncio.gather(*(store.load("things", f"a{number}") for number in range(301)))
        assert [each and each.id for each in found] == [f"a{number}" for number in range(300)] + [None]

    # more than one process

    async def test_racing_saves_lose_nothing(self, store: Store, twin: Store) -> None:
        async def add(where: Store, times: int) -> None:
            while times:
                found = await where.load("things", "a")
                body = int(found.body) + 1 if found else 1
                version = found.version if found else 0
                try:
                    await where.save(save(version=version, body=b"%d" % body, outgoing=(event(f"e{body}"),)))
                except VersionConflict:
                    continue
                times -= 1

        await asyncio.gather(*(add(where, 10) for where in (store, twin, store, twin)))
        found = await store.load("things", "a")
        assert found is not None and (found.body, found.version) == (b"40", 40)
        events = [entry.outgoing.id for entry in await twin.pending(document=("things", "a"))]
        assert events == [f"e{number}" for number in range(1, 41)]

    async def test_a_record_that_two_processes_handle_has_one_effect(self, store: Store, twin: Store) -> None:
        await store.save(save(body=b"0"))

        async def handle(where: Store, record: str) -> int:
            while True:
                try:
                    found = await where.load_unless_handled("things", "a", record)
                    assert found is not None
                    body = b"%d" % (int(found.body) + 1)
                    await where.save(save(version=found.version, body=body, handled=record))
                except VersionConflict:
                    continue
                except AlreadyHandled:
                    return 0
                return 1

        records = [f"r{number}" for number in range(15)]
        effects = await asyncio.gather(
            *(handle(where, record) for record in records for where in (store, twin))
        )
        found = await store.load("things", "a")
        assert found is not None
        assert (sum(effects), found.body) == (15, b"15")

    async def test_racing_claims_take_each_document_once(self, store: Store, twin: Store) -> None:
        for number in range(30):
            await store.save(save(f"{number}", wake_at=NOON))
        claims = [
            claim
            for some in await asyncio.gather(
                *(where.claim_due(["things"], NOON, name, 7) for name in "abc" for where in (store, twin))
            )
            for claim in some
        ]
        assert len({claim.stored.id for claim in claims}) == len(claims) == 30
        assert len({claim.fence for claim in claims}) == 30

    async def test_who_claims_after_another_has_the_higher_number(self, store: Store, twin: Store) -> None:
        for number in range(6):
            await store.save(save(f"{number}", wake_at=NOON))
        fences: dict[str, list[int]] = {}

        async def work(where: Store, name: str) -> None:
            for _ in range(8):
                for claim in await where.claim_due(["things"], NOON, name, 3):
                    fences.setdefault(claim.stored.id, []).append(claim.fence)
                    await where.release("things", claim.stored.id, claim.fence)

        await asyncio.gather(*(work(where, name) for name in "ab" for where in (store, twin)))
        assert all(taken == sorted(set(taken)) for taken in fences.values())

    async def test_one_of_those_who_take_a_claim_over_gets_it(self, store: Store, twin: Store) -> None:
        await store.save(save(wake_at=NOON))
        lost = await self.claim(store)
        (seen,) = await twin.claims()
        freed = await asyncio.gather(*(where.take_over(seen) for where in (store, twin, store, twin)))
        assert sum(freed) == 1
        claimed = await asyncio.gather(
            *(where.claim_due(["things"], NOON, "you", 1) for where in (store, twin))
        )
        (claim,) = (claim for some in claimed for claim in some)
        assert claim.fence > lost.fence
        with pytest.raises(FenceLost):
            await store.save(save(version=1, fence=lost.fence))
        assert not await store.beat("things", "a", lost.fence)

    async def test_a_lane_never_stands_still_while_one_parks_and_another_takes_out(
        self, store: Store, twin: Store
    ) -> None:
        tried: list[int] = []

        async def park_all() -> None:
            for sequence in range(30):
                await store.park(parked(sequence, not_before=None))

        async def try_all() -> None:
            now = NOON
            while len(tried) < 30:
                now += SECOND
                await asyncio.sleep(0)  # the other's turn
                for due in await twin.claim_parked(now, now + SECOND):
                    tried.append(due.sequence)
                    await twin.unpark(due)

        async with asyncio.timeout(60):
            await asyncio.gather(park_all(), try_all())
        assert tried == list(range(30))
        assert await store.parked_lanes(["t|k"]) == frozenset()
        assert await store.parked() in ([], ())

    # what is easily overlooked

    async def test_ids_may_hold_any_text(self, store: Store) -> None:
        ids = ["a/b", "a", "ä €", "pkg:pypi/jinja2@3.1.6", "$x.y", "#1"]
        for id in ids:
            await store.save(save(id, outgoing=(event(f"e-{id}"),), tags=frozenset({"a/b"})))
        assert {found.id for found in await store.find("things", "a/b")} == set(ids)
        assert {entry.document_id for entry in await store.pending()} == set(ids)
        assert [found.id for found in await store.find("thing", None)] == []

    async def test_all_outboxes_can_be_read_page_by_page(self, store: Store, twin: Store) -> None:
        for version in range(3):
            for number in range(7):
                where = (store, twin)[number % 2]
                emitted = (event(f"{version}-{number}-1"), event(f"{version}-{number}-2"))
                await where.save(save(f"{number}", version=version, outgoing=emitted))
        read, after = [], 0
        while page := await store.pending(after=after, limit=4):
            assert len(page) <= 4
            read += page
            after = page[-1].sequence
        assert len({entry.outgoing.id for entry in read}) == len(read) == 42
        assert [entry.sequence for entry in read] == sorted(entry.sequence for entry in read)
        for number in range(7):
            mine = [entry.outgoing.id for entry in read if entry.document_id == f"{number}"]
            assert mine == sorted(mine)

    async def test_a_document_made_again_sends_after_what_it_sent_before(
        self, store: Store, twin: Store
    ) -> None:
        await store.save(save(outgoing=(event("1"),)))
        await store.save(save(version=1, body=None, outgoing=(event("2"),)))
        made = await twin.save(save(outgoing=(event("3"),)))
        assert len(made.earlier) == 2
        assert [entry.outgoing.id for entry in await store.pending()] == ["1", "2", "3"]
        with pytest.raises(VersionConflict):
            await store.save(save(outgoing=(event("4"),)))
        await twin.save(save(version=made.version, outgoing=(event("5"),)))
        assert await store.count("things") == 1

    async def test_a_record_noted_before_the_document_is_remembered_when_it_is_made(
        self, store: Store
    ) -> None:
        await store.note("things", "a", 0, "r", NOON)
        assert await store.load("things", "a") is None
        assert await store.find("things", None) in ([], ())
        with pytest.raises(AlreadyHandled):
            await store.note("things", "a", 0, "r", NOON)
        with pytest.raises(AlreadyHandled):
            await store.save(save(handled="r"))
        await store.save(save(handled="other"))
        assert await store.handled("things", "a", "r")

    async def test_an_inbox_may_be_long(self, store: Store, twin: Store) -> None:
        await store.save(save(handled="r0"))
        for number in range(1, 130):
            where = (store, twin)[number % 2]
            await where.load("things", "a")
            await where.save(save(version=number, handled=f"r{number}", at=NOON + number * SECOND))
        for record in ("r0", "r1", "r90", "r128", "r129"):
            assert await twin.handled("things", "a", record)
            with pytest.raises(AlreadyHandled):
                await store.save(save(version=130, handled=record))
            with pytest.raises(AlreadyHandled):
                await twin.load_unless_handled("things", "a", record)
            with pytest.raises(AlreadyHandled):
                await twin.note("things", "a", 130, record, NOON)
        assert await store.prune(NOON + 100 * SECOND) >= 100  # one that is being moved may count twice
        assert not await store.handled("things", "a", "r0")
        assert await store.handled("things", "a", "r129")
        await store.save(save(version=130, handled="r130"))

    async def test_many_saves_at_once_are_answered_each(self, store: Store) -> None:
        await store.save(save("taken", handled="r"))
        saves = [save(f"{number}") for number in range(30)]
        saves += [save("taken"), save("taken", handled="r"), save("taken", version=1, handled="s")]
        results = await store.save_all(saves)
        assert [type(result).__name__ for result in results[-3:]] == [
            "VersionConflict",
            "AlreadyHandled",
            "Saved",
        ]
        assert await store.count("things") == 31

    async def test_after_a_wipe_nothing_is_left_and_one_can_begin_anew(self, store: Store) -> None:
        for number in range(3):
            await store.save(
                save(f"{number}", tags=frozenset({"t"}), handled=f"r{number}", outgoing=(event(f"{number}"),))
            )
        await store.park(Parked("lane", 1, b"{}", NOON, 1, "why", first_failed_at=NOON, waits_for=None))
        await store.wipe()
        assert await store.find("things", None) in ([], ())
        assert (await store.count("things"), await store.count("things", "t")) == (0, 0)
        assert await store.pending() in ([], ())
        assert await store.parked() in ([], ())
        assert not await store.handled("things", "0", "r0")
        await store.save(save("0", handled="r0"))
        assert await store.count("things") == 1
