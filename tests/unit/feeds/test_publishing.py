from datetime import timedelta

import pytest

from patchline_feeds.publications import KnownUpdate, Refusal
from patchline_feeds.service import service
from patchline_feeds.settings import Settings
from patchline_kit.testing import ServiceHarness
from patchline_schemas.examples import examples
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted
from patchline_schemas.requests import RequestAccepted, RequestRefused, RequestSubmitted

ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/Jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
    "advisories": [
        {"id": "CVE-2025-27516", "severity": "high", "affected": [{"introduced": "0", "fixed": "3.1.6"}]}
    ],
    "notes_url": "https://example.org/notes",
    "restart_required": False,
}
RETRACTION = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "retracted": True,
    "reason": "breaks async templates",
}


@pytest.fixture
async def feeds(tmp_path):
    async with ServiceHarness(service, tmp_path=tmp_path, settings=Settings(dir=tmp_path)) as harness:
        yield harness


async def hand_in(feeds, item, *, who="ada"):
    await feeds.publish(RequestSubmitted(action="publish", who=who, reason="vendor feed", item=item))
    await feeds.settle()


def answers(feeds):
    return [answer.published.result for answer in feeds.published(RequestAccepted)]


async def test_a_new_item_is_published_in_normal_form(feeds):
    await hand_in(feeds, ITEM)
    (event,) = feeds.published(UpdatePublished)
    assert (event.component, event.version, event.published_by) == ("pkg:pypi/jinja2", "3.1.6", "ada")
    (answer,) = feeds.published(RequestAccepted)
    assert answer.published.update_id == event.update_id
    assert answer.published.event_id == feeds.envelopes(UpdatePublished)[0].id


async def test_the_same_item_again_is_a_duplicate_and_publishes_nothing(feeds):
    await hand_in(feeds, ITEM)
    await hand_in(feeds, ITEM, who="bea")
    assert answers(feeds) == ["accepted", "duplicate"]
    assert len(feeds.published(UpdatePublished)) == 1
    assert feeds.published(AdvisoryPublished) == []


async def test_another_vendors_advisory_amends_the_update(feeds):
    await hand_in(feeds, ITEM)
    more = {**ITEM, "vendor": "scanner", "advisories": [{"id": "GHSA-1", "severity": "critical"}]}
    await hand_in(feeds, more)
    (event,) = feeds.published(AdvisoryPublished)
    assert [each.id for each in event.advisories] == ["GHSA-1"]
    assert answers(feeds) == ["accepted", "amended"]
    known = await feeds.document(KnownUpdate, event.update_id)
    assert [each.id for each in known.advisories] == ["CVE-2025-27516", "GHSA-1"]


async def test_another_spelling_of_the_version_is_the_same_update(feeds):
    await hand_in(feeds, ITEM)
    padded = {**ITEM, "vendor": "scanner", "version": "3.1.6.0", "advisories": [{"id": "GHSA-1"}]}
    await hand_in(feeds, padded)
    assert answers(feeds) == ["accepted", "amended"]


async def test_a_worse_score_of_a_known_advisory_amends_it_under_its_id(feeds):
    await hand_in(feeds, ITEM)
    worse = {"id": "GHSA-1", "aliases": ["CVE-2025-27516"], "severity": "critical", "exploited": True}
    await hand_in(feeds, {**ITEM, "advisories": [worse]})
    (event,) = feeds.published(AdvisoryPublished)
    (advisory,) = event.advisories
    assert (advisory.id, advisory.aliases) == ("CVE-2025-27516", ("GHSA-1",))
    assert (advisory.severity, advisory.exploited) == ("critical", True)
    assert len(advisory.affected) == 1


async def test_an_update_that_turns_out_to_be_about_security_says_so(feeds):
    await hand_in(feeds, {**ITEM, "kind": "bugfix", "advisories": []})
    await hand_in(feeds, ITEM)
    (event,) = feeds.published(AdvisoryPublished)
    assert event.kind == "security"


async def test_an_emergency_travels_on_the_urgent_lane(feeds):
    await hand_in(feeds, {**ITEM, "emergency": True})
    assert [record.topic for record in feeds.records(UpdatePublished)] == ["feeds.update-published.urgent"]


async def test_a_bad_item_is_refused_with_its_field(feeds):
    await hand_in(feeds, {**ITEM, "version": "banana"})
    (refusal,) = feeds.published(RequestRefused)
    assert refusal.rule == "input"
    assert refusal.explanation.startswith("version: 'banana' is no version")
    assert feeds.published(UpdatePublished) == []


async def test_a_request_without_an_item_is_refused(feeds):
    await hand_in(feeds, None)
    (refusal,) = feeds.published(RequestRefused)
    assert "vendor: is missing" in refusal.explanation


async def test_a_refusal_is_forgotten_in_time(feeds):
    await hand_in(feeds, {})
    assert len(await feeds.documents(Refusal)) == 1
    await feeds.advance(timedelta(days=31))
    assert await feeds.documents(Refusal) == []


async def test_other_requests_are_left_to_planning(feeds):
    await feeds.publish(RequestSubmitted(action="approve", who="bea", reason="fine", update_id="x-1"))
    await feeds.settle()
    assert feeds.published(RequestAccepted) + feeds.published(RequestRefused) == []


async def test_a_retraction_is_published_once(feeds):
    await hand_in(feeds, ITEM)
    await hand_in(feeds, RETRACTION)
    await hand_in(feeds, RETRACTION)
    (event,) = feeds.published(UpdateRetracted)
    assert event.reason == "breaks async templates"
    assert answers(feeds) == ["accepted", "accepted", "duplicate"]


async def test_a_withdrawn_version_cannot_be_published_again(feeds):
    await hand_in(feeds, RETRACTION)
    await hand_in(feeds, ITEM)
    (refusal,) = feeds.published(RequestRefused)
    assert refusal.rule == "state"
    assert "breaks async templates" in refusal.explanation


async def test_a_redelivered_request_is_answered_once(feeds):
    request = RequestSubmitted(action="publish", who="ada", reason="feed", item=ITEM)
    for _ in range(3):
        await feeds.publish(request, id="request-1")
        await feeds.settle()
    assert answers(feeds) == ["accepted"]
    assert len(feeds.published(UpdatePublished)) == 1


async def test_every_example_of_a_request_is_handled(feeds):
    for event in examples()[RequestSubmitted]:
        await feeds.publish(event)
        await feeds.settle()
    assert feeds.dead_letters() == []
    assert len(feeds.published(RequestRefused)) == 1
