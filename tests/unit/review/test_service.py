"""The review service as it runs, and what it finds."""

import random
from datetime import timedelta

import pytest
import yaml

from patchline_kit.testing import BEGINNING, ServiceHarness
from patchline_review.history import GroupHistory
from patchline_review.service import service
from patchline_review.settings import Settings
from patchline_schemas import updates, waves
from patchline_schemas.examples import examples
from patchline_schemas.fleet import Group, GroupRegistered, Policies
from patchline_schemas.policies import PolicyProposed
from patchline_schemas.updates import UpdateReviewed

FLEET = """\
groups:
  - name: intranet
    criticality: low
    policies: {soak: PT5M}  # watched
"""
MINUTE = timedelta(minutes=1)
ORDER = examples()[waves.WaveDue].usual.order.model_copy(update={"window_ends_at": None, "number": 1})
EXAMPLES = {kind: pair.usual for kind, pair in examples().items()}


@pytest.fixture
async def harness(tmp_path):
    (tmp_path / "fleet.yaml").write_text(FLEET)
    settings = Settings(dir=tmp_path / "state", fleet=tmp_path / "fleet.yaml")
    async with ServiceHarness(service, tmp_path=tmp_path, settings=settings) as h:
        yield h


class Life:
    """Makes the events of one update, with the examples as their ground."""

    def __init__(self, update_id="jinja2-3.1.6-5f2d1c", due_in=timedelta(days=14)):
        self.update_id = update_id
        self.due_at = BEGINNING + due_in
        self.order = ORDER.model_copy(update={"update_id": update_id, "wave_id": f"{update_id}.r1.w1"})

    def of(self, kind, **fields):
        event = EXAMPLES[kind]
        if isinstance(event, waves.WaveEvent):
            return event.model_copy(update={"order": self.order, **fields})
        if "due_at" in kind.model_fields:
            fields = {"due_at": self.due_at, **fields}
        return event.model_copy(update={"update_id": self.update_id, **fields})

    def begin(self):
        yield self.of(updates.UpdateAssessed, published_at=BEGINNING)
        yield self.of(updates.UpdatePlanned)
        yield self.of(waves.WavePlanned, starts_at=None, ends_at=None)
        yield self.of(updates.UpdateTested)
        yield self.of(updates.UpdateApproved)
        yield self.of(waves.WaveDue)
        yield self.of(waves.WaveBackedUp)
        yield self.of(waves.WaveDeployed)
        yield self.of(waves.WaveChecksPassed)

    def completed(self):
        yield from self.begin()
        yield self.of(waves.WaveVerified)
        yield self.of(updates.UpdateCompleted)
        yield self.of(updates.UpdateDocumented)

    def rolled_back(self):
        yield from self.begin()
        yield self.of(waves.WaveVerificationFailed, during_soak=True)
        yield self.of(waves.WaveRolledBack)
        yield self.of(waves.WaveRollbackVerified)
        yield self.of(updates.UpdateFailed, error="wiki answers 503")
        yield self.of(updates.UpdateDocumented, outcome="failed")


async def live(harness, events, *, step=MINUTE):
    ids = {}
    for event in events:
        ids[type(event)] = await harness.publish(event)
        await harness.advance(step)
    await harness.settle()
    return ids


def sentences(review):
    return [finding.sentence for finding in review.findings]


async def test_a_completed_round_is_reviewed_with_its_times(harness):
    await live(harness, Life().completed())
    (review,) = harness.published(UpdateReviewed)
    assert (review.outcome, review.round, review.targets_total) == ("completed", 1, 1)
    assert (review.failed_share, review.rolled_back_share) == (0.0, 0.0)
    assert review.lead_time == 10 * MINUTE
    assert review.time_to_due == timedelta(days=14) - 10 * MINUTE
    assert review.time_in_step["deploying"] == review.time_in_step["soaking"] == MINUTE
    assert not any(finding.deviation for finding in review.findings)


async def test_the_order_in_which_topics_are_read_does_not_matter(harness):
    events = list(Life().completed())
    random.Random(3).shuffle(events)
    for event in events:
        await harness.publish(event)
    await harness.advance(timedelta(seconds=1))
    (review,) = harness.published(UpdateReviewed)
    assert review.outcome == "completed"
    assert harness.dead_letters() == []


async def test_a_late_update_is_a_deviation_with_evidence(harness):
    life = Life(due_in=5 * MINUTE)
    ids = await live(harness, life.completed())
    (review,) = harness.published(UpdateReviewed)
    assert review.time_to_due == -5 * MINUTE
    (late,) = [finding for finding in review.findings if finding.deviation]
    assert late.sentence == "The update was in effect 5 minutes after its due date."
    assert late.evidence == (ids[updates.UpdateCompleted],)


async def test_a_rolled_back_wave_counts_and_is_told(harness):
    ids = await live(harness, Life().rolled_back())
    (review,) = harness.published(UpdateReviewed)
    assert (review.failed_share, review.rolled_back_share) == (1.0, 1.0)
    text = " ".join(sentences(review))
    assert "failed at verification during its soak time, 1 minute after its checks had passed: wiki" in text
    assert "was rolled back on 1 target within 2 minutes" in text
    evidence = {event_id for finding in review.findings for event_id in finding.evidence}
    assert {ids[waves.WaveVerificationFailed], ids[waves.WaveRollbackVerified]} <= evidence


async def test_a_failed_test_is_a_deviation(harness):
    life = Life()
    events = [
        life.of(updates.UpdateAssessed, published_at=BEGINNING),
        life.of(updates.UpdatePlanned),
        life.of(updates.UpdateTestFailed),
        life.of(updates.UpdateFailed),
        life.of(updates.UpdateDocumented, outcome="failed"),
    ]
    await live(harness, events)
    (review,) = harness.published(UpdateReviewed)
    assert "The test failed, so no real target was touched." in sentences(review)


async def test_an_update_that_no_target_needs_is_reviewed_too(harness):
    life = Life()
    await live(
        harness,
        [
            life.of(updates.UpdateNotApplicable),
            life.of(updates.UpdateDocumented, outcome="not-applicable"),
        ],
    )
    (review,) = harness.published(UpdateReviewed)
    assert (review.targets_total, review.failed_share, review.time_to_due) == (0, 0.0, None)


async def test_a_start_outside_its_window_is_a_deviation(harness):
    life = Life()
    events = list(life.completed())
    planned = life.of(waves.WavePlanned, starts_at=BEGINNING + 60 * MINUTE, ends_at=BEGINNING + 90 * MINUTE)
    await live(harness, [planned if isinstance(each, waves.WavePlanned) else each for each in events])
    (review,) = harness.published(UpdateReviewed)
    assert "Wave 1 (intranet) started 55 minutes before its window." in sentences(review)


async def test_a_wave_before_its_turn_is_a_deviation(harness):
    life = Life()
    second = life.order.model_copy(
        update={"number": 2, "group": "shop", "wave_id": f"{life.update_id}.r1.w2"}
    )
    early = [life.of(waves.WaveDue, order=second), life.of(waves.WaveVerified, order=second)]
    await live(harness, [*life.begin(), *early, *list(life.completed())[9:]])
    (review,) = harness.published(UpdateReviewed)
    assert "Wave 2 (shop) started although wave 1 (intranet) was not verified." in sentences(review)


async def test_a_follow_up_wave_in_its_turn_is_no_deviation_whatever_its_number(harness):
    first, follow_up, last = Life(), Life(), Life()
    for life, number in ((follow_up, 3), (last, 2)):
        life.order = ORDER.model_copy(update={"wave_id": f"{life.update_id}.r1.w{number}", "number": number})
    late = waves.WaveTarget(target_id="blog", from_version="3.1.2")
    began = [
        event for event in first.begin() if not isinstance(event, waves.WaveDeployed | waves.WaveChecksPassed)
    ]
    nothing = [
        first.of(waves.WaveDeployed, results=(), not_started=(late,)),
        first.of(waves.WaveCancelled, reason="its window ended"),
    ]
    steps = (
        waves.WaveDue,
        waves.WaveBackedUp,
        waves.WaveDeployed,
        waves.WaveChecksPassed,
        waves.WaveVerified,
    )
    further = [life.of(kind) for life in (follow_up, last) for kind in steps]
    ending = [last.of(updates.UpdateCompleted), last.of(updates.UpdateDocumented)]
    await live(harness, [*began, *nothing, *further, *ending])
    (review,) = harness.published(UpdateReviewed)
    assert not any("although" in sentence for sentence in sentences(review))


async def test_a_review_does_not_wait_for_ever(harness):
    events = [each for each in Life().completed() if not isinstance(each, waves.WaveVerified)]
    await live(harness, events, step=timedelta(0))
    assert harness.published(UpdateReviewed) == []
    await harness.advance(timedelta(seconds=30))
    (review,) = harness.published(UpdateReviewed)
    assert any("had not arrived" in sentence for sentence in sentences(review))


async def test_two_rollbacks_in_the_soak_propose_a_longer_one_as_a_patch(harness):
    group = Group(name="intranet", criticality="low", policies=Policies(soak=5 * MINUTE))
    await harness.publish(GroupRegistered(revision=1, group=group))
    for number in (1, 2, 3):
        await live(harness, Life(f"u{number}").rolled_back())
    (proposed,) = harness.published(PolicyProposed)
    assert (proposed.group, proposed.update_id) == ("intranet", "u2")
    assert "-    policies: {soak: PT5M}  # watched" in proposed.patch
    assert "+    policies: {soak: PT10M}  # watched" in proposed.patch
    assert len(proposed.evidence) >= 2
    assert yaml.safe_load(FLEET)["groups"][0]["policies"]["soak"] == "PT5M"


async def test_without_a_readable_fleet_file_the_proposal_says_what_to_change(harness, tmp_path):
    (tmp_path / "fleet.yaml").unlink()
    group = Group(name="intranet", criticality="low", policies=Policies(soak=5 * MINUTE))
    await harness.publish(GroupRegistered(revision=1, group=group))
    for number in (1, 2):
        await live(harness, Life(f"u{number}").rolled_back())
    (proposed,) = harness.published(PolicyProposed)
    assert proposed.patch == ""
    assert "Set policies.soak of intranet to PT10M" in proposed.reason


async def test_every_round_is_reviewed_once_though_events_come_twice_and_the_service_is_killed(harness):
    life = list(Life().completed())
    for event in life:
        await harness.publish(event, id=f"id-{life.index(event)}")
    await harness.restart()
    for event in life:
        await harness.publish(event, id=f"id-{life.index(event)}")
    await harness.settle()
    assert len(harness.published(UpdateReviewed)) == 1
    assert len((await harness.document(GroupHistory, "intranet")).past) == 1


async def test_every_example_of_what_is_measured_is_read(harness):
    for pair in examples().values():
        for event in pair:
            await harness.publish(event)
    await harness.advance(MINUTE)
    assert harness.dead_letters() == []
