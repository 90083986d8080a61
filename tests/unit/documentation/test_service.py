"""The documentation service as it runs."""

import json
import random
from datetime import timedelta

import pytest

from patchline_documentation.chains import Entry, Head
from patchline_documentation.export import entries, seals
from patchline_documentation.installed import Installed
from patchline_documentation.jobs import ReportJob
from patchline_documentation.seals import SealRecord
from patchline_documentation.service import service
from patchline_documentation.settings import Settings
from patchline_kit.ledger import LEDGER_CHAIN, verify
from patchline_kit.playback import original, was_played_back
from patchline_kit.settings import load_settings
from patchline_kit.testing import ServiceHarness
from patchline_kit.transport.topics import PLAYBACK
from patchline_schemas import decode
from patchline_schemas.examples import examples
from patchline_schemas.fleet import InstalledPackage, InventoryReported
from patchline_schemas.ledger import LedgerSealed, PlaybackAdvanced, PlaybackRequested
from patchline_schemas.updates import UpdateDocumented

UPDATE = "jinja2-3.1.6-5f2d1c"
A_MOMENT = timedelta(seconds=1)


@pytest.fixture
async def harness(tmp_path):
    settings = load_settings(Settings, dir=tmp_path / "state")
    async with ServiceHarness(service, tmp_path=tmp_path, settings=settings) as h:
        yield h


async def publish(harness, life, *, shuffled=False, without=()):
    facts = list(zip(life.ledger.lines, life.ledger.facts, strict=True))
    if shuffled:
        random.Random(7).shuffle(facts)
    for line, fact in facts:
        if fact.id not in without:
            _envelope, event = decode(
                tuple((name, text.encode()) for name, text in line.headers), line.body.encode()
            )
            await harness.publish(event, id=fact.id, cause=fact.cause_id)


async def problems(harness):
    store = harness.runtime.core.store
    sealed = [line async for line in seals(store)]
    return verify([line async for line in entries(store)], sealed)


async def test_every_event_is_kept_whole(harness, completed_life):
    await publish(harness, completed_life)
    await harness.settle()
    kept = {entry.line.event_id: entry.line for entry in await harness.documents(Entry)}
    for record in harness.transport.records:
        envelope, _event = decode(record.headers, record.value)
        line = kept[envelope.id]
        assert line.body.encode() == record.value
        assert [(name, text.encode()) for name, text in line.headers] == list(record.headers)
        assert line.topic == record.topic


async def test_every_kind_of_event_is_kept(harness):
    for pair in examples().values():
        for event in pair:
            await harness.publish(event)
    await harness.settle()
    topics = {entry.line.topic for entry in await harness.documents(Entry)}
    assert {kind.TOPIC for kind in examples()} <= topics
    assert await problems(harness) == []
    assert harness.dead_letters() == []


async def test_an_event_that_comes_twice_is_kept_once(harness, life):
    life.published()
    await publish(harness, life)
    await publish(harness, life)
    await harness.settle()
    ids = [entry.line.event_id for entry in await harness.documents(Entry)]
    assert sorted(ids) == ["e0", "e1", "e2"]


async def test_events_of_one_update_share_a_chain(harness, completed_life):
    await publish(harness, completed_life)
    await harness.settle()
    head = await harness.document(Head, f"update/{UPDATE}")
    assert head.sequence == 12


async def test_a_round_that_ends_is_documented_once(harness, completed_life, tmp_path):
    await publish(harness, completed_life)
    await harness.advance(A_MOMENT)
    (documented,) = harness.published(UpdateDocumented)
    assert (documented.outcome, documented.round) == ("completed", 1)
    assert [report.format for report in documented.reports] == ["html", "md", "json"]
    folder = tmp_path / "state" / "reports" / UPDATE
    assert sorted(file.name for file in folder.iterdir()) == ["round-1.html", "round-1.json", "round-1.md"]
    (envelope,) = harness.envelopes(UpdateDocumented)
    assert envelope.causationid == completed_life.last


async def test_a_report_is_the_same_whatever_order_the_topics_are_read_in(harness, completed_life, tmp_path):
    await publish(harness, completed_life, shuffled=True)
    await harness.advance(A_MOMENT)
    report = json.loads((tmp_path / "state/reports" / UPDATE / "round-1.json").read_text())
    assert report["headline"] == "jinja2 3.1.6 is in effect on 1 target"
    assert [line["event_id"] for line in report["timeline"]][:3] == ["e0", "e1", "e2"]


async def test_a_report_waits_for_the_causes_of_its_ending(harness, completed_life):
    absent = completed_life.ledger.facts[-2].id
    await publish(harness, completed_life, without=(absent,))
    await harness.settle()
    assert harness.published(UpdateDocumented) == []
    line = completed_life.ledger.lines[-2]
    headers = tuple((name, text.encode()) for name, text in line.headers)
    _envelope, event = decode(headers, line.body.encode())
    await harness.publish(event, id=absent, cause=completed_life.ledger.facts[-2].cause_id)
    await harness.advance(timedelta(seconds=2))
    assert len(harness.published(UpdateDocumented)) == 1


async def test_a_report_that_waited_long_enough_names_the_missing_cause(harness, completed_life, tmp_path):
    absent = completed_life.ledger.facts[-2].id
    await publish(harness, completed_life, without=(absent,))
    await harness.advance(timedelta(seconds=31))
    assert len(harness.published(UpdateDocumented)) == 1
    report = json.loads((tmp_path / "state/reports" / UPDATE / "round-1.json").read_text())
    assert report["missing_cause"] == absent


async def test_heads_are_sealed_soon_after_an_update_ends(harness, completed_life):
    await publish(harness, completed_life)
    await harness.advance(timedelta(seconds=3))
    (sealed,) = harness.published(LedgerSealed)
    assert {head.chain for head in sealed.heads} == {f"update/{UPDATE}"}, "the others wait for the next round"
    await harness.advance(timedelta(minutes=1))
    assert all(not head.unsealed for head in await harness.documents(Head) if head.id != LEDGER_CHAIN)
    assert await problems(harness) == []


async def test_heads_are_sealed_regularly(harness, life):
    life.published()
    await publish(harness, life)
    await harness.advance(timedelta(minutes=1, seconds=1))
    assert len(harness.published(LedgerSealed)) == 1


async def test_a_seal_alone_asks_for_no_further_seal(harness, life):
    life.published()
    await publish(harness, life)
    await harness.advance(timedelta(minutes=10))
    assert len(harness.published(LedgerSealed)) == 1
    assert (await harness.document(Head, LEDGER_CHAIN)).sequence == 1


async def test_seals_follow_from_one_another_and_cover_only_what_changed(harness, life):
    life.published()
    await publish(harness, life)
    await harness.advance(timedelta(minutes=2))
    life.planned()
    planned = life.ledger.lines[-1]
    headers = tuple((name, text.encode()) for name, text in planned.headers)
    await harness.publish(decode(headers, planned.body.encode())[1], id="later")
    await harness.advance(timedelta(minutes=2))
    first, second = harness.published(LedgerSealed)
    assert (second.number, second.previous) == (2, first.hash)
    assert {head.chain for head in second.heads} == {f"update/{UPDATE}", LEDGER_CHAIN}
    assert len(await harness.documents(SealRecord)) == 2
    assert await problems(harness) == []


async def test_a_cut_tail_is_found_in_the_store(harness, completed_life):
    await publish(harness, completed_life)
    await harness.advance(timedelta(seconds=3))
    store = harness.runtime.core.store
    sealed = [line async for line in seals(store)]
    lines = [line async for line in entries(store)]
    tail = [line for line in lines if line.chain == f"update/{UPDATE}"][-2:]
    found = verify([line for line in lines if line not in tail], sealed)
    assert [problem.kind for problem in found] == ["cut"]


async def test_nothing_is_lost_or_doubled_by_a_kill(harness, completed_life):
    await publish(harness, completed_life, shuffled=True)
    await harness.restart()
    await publish(harness, completed_life)
    await harness.advance(A_MOMENT)
    assert len(harness.published(UpdateDocumented)) == 1
    kept = [entry.line.event_id for entry in await harness.documents(Entry)]
    assert len(kept) == len(set(kept))
    assert {fact.id for fact in completed_life.ledger.facts} <= set(kept)
    assert await problems(harness) == []


async def test_the_record_of_installed_versions_says_since_when_and_by_which_update(harness, completed_life):
    await harness.publish(
        InventoryReported(
            target_id="wiki",
            group="intranet",
            collected_at=harness.clock.now(),
            packages=(InstalledPackage(component="pkg:pypi/jinja2", version="3.1.2"),),
            environment="sha256:1",
        )
    )
    await harness.settle()
    await harness.advance(timedelta(seconds=5))
    await publish(harness, completed_life)
    await harness.settle()
    jinja = (await harness.document(Installed, "wiki")).components["pkg:pypi/jinja2"]
    assert (jinja.version, jinja.update_id) == ("3.1.6", UPDATE)


async def test_a_failed_write_is_tried_again(harness, completed_life, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "reports").write_text("in the way")
    harness._tolerate_errors = True
    await publish(harness, completed_life)
    await harness.settle()
    assert harness.published(UpdateDocumented) == []
    (tmp_path / "state" / "reports").unlink()
    await harness.advance(timedelta(minutes=5))
    assert len(harness.published(UpdateDocumented)) == 1
    assert (await harness.document(ReportJob, f"{UPDATE}/1")).written


async def test_the_ledger_is_played_back_whole_and_each_chain_in_its_order(
    harness, completed_life, monkeypatch
):
    monkeypatch.setattr("patchline_documentation.playback.ENTRIES_AT_ONCE", 7)
    monkeypatch.setattr("patchline_documentation.service.ENTRIES_AT_ONCE", 7)
    await publish(harness, completed_life, shuffled=True)
    await harness.settle()
    kept = {entry.line.event_id: entry.line for entry in await harness.documents(Entry)}
    request = PlaybackRequested(playback_id="p1", reader="gateway@1")
    await harness.publish(request)
    await harness.publish(request)
    await harness.settle()
    played = [
        original(record, "gateway@1") for record in await harness.transport.read(PLAYBACK, limit=10_000)
    ]
    assert all(record is not None and was_played_back(record) for record in played)
    lines = [
        kept[decode(r.headers, r.value)[0].id] for r in played if decode(r.headers, r.value)[0].id in kept
    ]
    assert sorted(line.event_id for line in lines) == sorted(kept)
    for chain in {line.chain for line in lines}:
        sequence = [line.sequence for line in lines if line.chain == chain]
        assert sequence == sorted(sequence)
    for record in played:
        line = kept.get(decode(record.headers, record.value)[0].id)
        if line:
            assert (record.topic, record.key, record.value) == (
                line.topic,
                line.key.encode(),
                line.body.encode(),
            )
    advanced = harness.published(PlaybackAdvanced)
    assert [event.ended for event in advanced] == [False] * (len(advanced) - 1) + [True]
    assert advanced[-1].entries_done == len(played)


async def test_what_is_played_back_is_for_its_reader_alone(harness, completed_life):
    await publish(harness, completed_life)
    await harness.publish(PlaybackRequested(playback_id="p1", reader="gateway@1"))
    await harness.settle()
    record, *_ = await harness.transport.read(PLAYBACK)
    assert original(record, "gateway@2") is None
    (elsewhere, *_) = await harness.transport.read("updates.planned")
    assert original(elsewhere, "gateway@2") is elsewhere
