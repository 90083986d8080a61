import asyncio
from datetime import timedelta

import pytest
from icalendar import Calendar

from patchline_communication.courier import Courier, NotDelivered
from patchline_communication.documents import Notice
from patchline_communication.service import service
from patchline_communication.settings import Settings
from patchline_kit.testing import ServiceHarness
from patchline_schemas.examples import examples
from patchline_schemas.fleet import Group, GroupRegistered, Policies, Target, TargetRegistered
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent
from patchline_schemas.updates import (
    RetractionAssessed,
    UpdateAssessed,
    UpdateCompleted,
    UpdateFailed,
    UpdateOverdue,
    UpdatePlanned,
    UpdateProgressed,
    UpdateTestFailed,
)
from patchline_schemas.waves import (
    CheckResult,
    TargetResult,
    WaveCancelled,
    WaveDue,
    WavePlanned,
    WaveVerificationFailed,
    WaveVerified,
)

PLANNED = examples()[WavePlanned].usual
UPDATE = examples()[UpdatePlanned].usual
SECRET = "json://user:s3cret@example.org/hook"


class Post:
    """A courier that remembers, and fails so many times first."""

    def __init__(self, failures=0):
        self.failures = failures
        self.letters = []
        self.hang = False
        self.asked = asyncio.Event()
        self.tried = []

    async def deliver(self, contact, letter):
        self.tried.append(letter.notice_id)
        self.asked.set()
        if self.hang:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise NotDelivered("no answer")
        self.letters.append((contact, letter))


@pytest.fixture
def post():
    return Post()


@pytest.fixture
async def harness(tmp_path, post):
    settings = Settings(dir=tmp_path / "state")
    async with ServiceHarness(service, tmp_path=tmp_path, resources={Courier: post}, settings=settings) as h:
        yield h


async def register(harness, contact="file:a.log", *, required=False, revision=1):
    group = Group(
        name="intranet", criticality="low", contacts=(contact,), policies=Policies(required_notice=required)
    )
    await harness.publish(GroupRegistered(revision=revision, group=group))
    await harness.publish(UPDATE)


def calendar(tmp_path):
    file = tmp_path / "state" / "notices" / "calendar" / f"{PLANNED.order.wave_id}.ics"
    return Calendar.from_ical(file.read_bytes()).walk("VEVENT")[0]


async def test_a_planned_wave_is_told_ahead_and_put_into_the_calendar(harness, post, tmp_path):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.settle()
    [(contact, letter)] = post.letters
    assert contact == "file:a.log"
    assert letter.subject == "jinja2 3.1.6 on intranet: planned for 2026-03-03 09:30 UTC"
    assert "CVE-2025-27516" in letter.body
    [sent] = harness.published(NoticeSent)
    assert (sent.notice_id, sent.occasion) == (letter.notice_id, "planned")
    assert calendar(tmp_path).decoded("dtstart") == PLANNED.starts_at


@pytest.mark.parametrize(
    ("window", "shown"),
    [(timedelta(minutes=10), timedelta(minutes=10)), (None, timedelta(minutes=30))],
    ids=["a short window", "no end"],
)
async def test_a_calendar_entry_ends_with_its_window(harness, tmp_path, window, shown):
    await register(harness)
    ends_at = window and PLANNED.starts_at + window
    await harness.publish(PLANNED.model_copy(update={"ends_at": ends_at}))
    await harness.settle()
    assert calendar(tmp_path).decoded("dtend") == PLANNED.starts_at + shown


async def test_a_wave_that_moves_is_told_again_and_its_entry_follows(harness, post, tmp_path):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.settle()
    later = PLANNED.starts_at + timedelta(days=1)
    await harness.publish(PLANNED.model_copy(update={"starts_at": later, "ends_at": None}))
    await harness.settle()
    assert [sent.occasion for sent in harness.published(NoticeSent)] == ["planned", "rescheduled"]
    assert "Before it was planned for 2026-03-03 09:30 UTC." in post.letters[1][1].body
    event = calendar(tmp_path)
    assert (event.decoded("dtstart"), event.decoded("sequence")) == (later, 1)


async def test_the_end_of_a_wave_claims_no_check_that_nobody_declared(harness, post):
    await register(harness)
    good = TargetResult(target_id="wiki", outcome="succeeded")
    check = CheckResult(name="selfcheck", passed=True, output="ok", duration=timedelta(seconds=1))
    checked = good.model_copy(update={"target_id": "blog", "checks": (check,)})
    for number, results in enumerate([(good,), (checked, good)], start=1):
        order = PLANNED.order.model_copy(update={"wave_id": f"{UPDATE.update_id}.r1.w{number}"})
        await harness.publish(PLANNED.model_copy(update={"order": order}))
        await harness.publish(WaveVerified(order=order, results=results))
        await harness.settle()
    alone, beside = (letter.body for _, letter in post.letters if letter.subject.endswith("done"))
    assert "in effect on 1 target.\n" in alone and "checks passed" not in alone
    assert "2 targets and the checks passed to the end" in beside
    assert all("No check is declared for wiki." in body for body in (alone, beside))


async def test_targets_that_could_not_be_asked_are_told_at_the_end(harness, post):
    await register(harness)
    await harness.publish(examples()[UpdateCompleted].usual.model_copy(update={"unknown_total": 2}))
    await harness.settle()
    [(_, letter)] = post.letters
    assert "2 targets could not be asked" in letter.body


async def test_a_cancelled_wave_is_told_and_stays_in_the_calendar_as_cancelled(harness, post, tmp_path):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.publish(WaveCancelled(order=PLANNED.order, reason="Not needed."))
    await harness.settle()
    assert post.letters[-1][1].subject == "jinja2 3.1.6 on intranet: cancelled"
    assert calendar(tmp_path)["status"] == "CANCELLED"


async def test_the_same_plan_twice_is_told_once(harness, post):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.publish(PLANNED)
    await harness.settle()
    assert len(post.letters) == 1


async def test_start_and_failure_are_told(harness, post):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.publish(examples()[WaveDue].usual)
    await harness.publish(examples()[WaveVerificationFailed].usual)
    await harness.settle()
    assert sorted(sent.occasion for sent in harness.published(NoticeSent)) == ["failed", "planned", "started"]


async def test_what_waits_for_a_person_is_told_with_the_command_that_releases_it(harness, post):
    await register(harness)
    waiting = examples()[UpdateProgressed].usual.model_copy(update={"state": "awaiting-approval"})
    await harness.publish(waiting)
    await harness.publish(waiting.model_copy(update={"sequence": 6}))
    await harness.settle()
    [(_, letter)] = post.letters
    assert f"patchline update approve {UPDATE.update_id}" in letter.body


async def test_that_a_person_is_needed_is_told_with_the_reason(harness, post):
    await register(harness)
    needed = {"state": "needs-person", "error": "the archive's checksum differs"}
    await harness.publish(examples()[UpdateProgressed].usual.model_copy(update=needed))
    await harness.settle()
    [(_, letter)] = post.letters
    assert letter.subject == "jinja2 3.1.6: a person is needed"
    assert "the archive's checksum differs" in letter.body


async def test_a_contact_that_fails_for_a_while_is_told_in_the_end(harness, post):
    post.failures = 2
    await register(harness)
    await harness.publish(PLANNED)
    await harness.settle()
    [delayed] = harness.published(NoticeDelayed)
    assert (delayed.attempts, delayed.error, delayed.contact) == (1, "no answer", "file:a.log")
    assert delayed.next_attempt_at == harness.clock.now() + timedelta(seconds=10)
    await harness.advance(timedelta(minutes=10))
    assert [each.attempts for each in harness.published(NoticeDelayed)] == [1, 2]
    assert len(post.letters) == 1
    assert harness.published(NoticeFailed) == []


async def test_a_contact_that_never_answers_is_reported_without_its_secrets(harness, post):
    post.failures = 1_000
    await register(harness, SECRET, required=True)
    await harness.publish(PLANNED)
    await harness.advance(timedelta(hours=1))
    [failed] = harness.published(NoticeFailed)
    assert (failed.required, failed.attempts, failed.error) == (True, 6, "no answer")
    delayed = harness.published(NoticeDelayed)
    assert [each.attempts for each in delayed] == [1, 2, 3, 4, 5]
    assert all(each.next_attempt_at and "s3cret" not in each.model_dump_json() for each in delayed)
    assert "s3cret" not in failed.model_dump_json()


async def test_notices_wait_for_the_group_to_be_known(harness, post):
    await harness.publish(UPDATE)
    await harness.publish(PLANNED)
    await harness.settle()
    assert post.letters == []
    await register(harness)
    await harness.settle()
    assert len(post.letters) == 1


async def test_completion_is_told_where_there_was_more_than_one_wave(harness, post):
    await register(harness)
    await harness.publish(examples()[UpdateCompleted].usual)
    await harness.settle()
    assert post.letters == []
    two = UPDATE.model_copy(update={"revision": 2, "waves": UPDATE.waves * 2})
    await harness.publish(two)
    await harness.publish(examples()[UpdateCompleted].edge)
    await harness.settle()
    [(_, letter)] = post.letters
    assert letter.subject == "jinja2 3.1.6: completed"


async def test_a_failed_update_is_told_once_though_its_test_failed_before(harness, post):
    await register(harness)
    await harness.publish(examples()[UpdateTestFailed].usual)
    await harness.settle()
    await harness.publish(examples()[UpdateFailed].usual)
    await harness.settle()
    [(_, letter)] = post.letters
    assert letter.subject == "jinja2 3.1.6 on a copy: failed"


async def test_an_update_that_gave_up_is_told_with_the_command_that_tries_again(harness, post):
    await register(harness)
    await harness.publish(examples()[UpdateFailed].usual)
    await harness.settle()
    [(_, letter)] = post.letters
    assert f"patchline update retry {UPDATE.update_id}" in letter.body


async def test_an_update_without_a_plan_is_told_to_the_groups_that_it_affects(harness, post):
    group = Group(name="intranet", criticality="low", contacts=("file:a.log",))
    await harness.publish(GroupRegistered(revision=1, group=group))
    await harness.publish(examples()[UpdateAssessed].usual)
    await harness.publish(examples()[UpdateOverdue].usual)
    await harness.settle()
    [(_, letter)] = post.letters
    assert letter.subject == "jinja2 3.1.6: overdue"


async def test_a_withdrawn_version_is_told_where_it_is_installed(harness, post):
    await register(harness)
    target = Target(id="wiki", group="intranet", driver="sim")
    await harness.publish(TargetRegistered(revision=1, target=target))
    usual = examples()[RetractionAssessed].usual
    cannot_be_asked = usual.model_copy(
        update={"installed_on": (), "installed_total": 0, "last_seen_on": ("wiki",), "unknown_total": 1}
    )
    for revision, event in enumerate((usual, usual, cannot_be_asked, cannot_be_asked, usual), start=1):
        await harness.publish(event.model_copy(update={"revision": revision}))
        await harness.settle()
    first, second, third = [letter.body for _, letter in post.letters]
    assert "It is installed on wiki." in first
    assert "installed" not in second and "It was on wiki before, which cannot be asked now." in second
    assert third == first


async def test_a_contact_that_left_the_fleet_file_is_told_no_more(harness, post):
    post.failures = 1
    await register(harness)
    await harness.publish(PLANNED)
    await harness.settle()
    other = Group(name="intranet", criticality="low", contacts=("file:b.log",))
    await harness.publish(GroupRegistered(revision=2, group=other))
    await harness.advance(timedelta(minutes=5))
    assert post.letters == []
    assert harness.published(NoticeSent) == harness.published(NoticeFailed) == []
    first, last = harness.published(NoticeDelayed)
    assert first.next_attempt_at is not None
    assert (last.next_attempt_at, last.contact) == (None, "file:a.log")


async def test_a_notice_that_comes_after_the_time_it_announces_says_so(harness, post):
    await register(harness)
    begun = harness.clock.now() - timedelta(hours=2)
    await harness.publish(PLANNED.model_copy(update={"starts_at": begun}))
    await harness.settle()
    [(_, letter)] = post.letters
    assert letter.body.startswith("This notice is late: it was for 2026-01-05 10:00 UTC")


async def test_a_wave_that_loses_its_window_is_cancelled_in_the_calendar(harness, tmp_path):
    await register(harness)
    await harness.publish(PLANNED)
    await harness.settle()
    await harness.publish(PLANNED.model_copy(update={"starts_at": None, "ends_at": None}))
    await harness.settle()
    event = calendar(tmp_path)
    assert (event["status"], event.decoded("dtstart")) == ("CANCELLED", PLANNED.starts_at)


async def test_nothing_but_the_groups_document_holds_a_contacts_secrets(harness, post, tmp_path):
    post.failures = 1
    await register(harness, SECRET)
    await harness.publish(PLANNED)
    await harness.settle()
    assert all("s3cret" not in notice.model_dump_json() for notice in await harness.documents(Notice))
    await harness.advance(timedelta(minutes=5))
    assert [contact for contact, _ in post.letters] == [SECRET]
    [sent] = harness.published(NoticeSent)
    assert sent.contact == "json://example.org/…"


async def test_a_notice_that_was_cut_off_while_being_sent_is_sent_again_under_the_same_id(harness, post):
    await register(harness)
    post.hang = True
    await harness.publish(PLANNED)
    await asyncio.wait_for(post.asked.wait(), 10)
    post.hang = False
    await harness.restart()
    await harness.settle()
    assert {letter.notice_id for _, letter in post.letters} == set(post.tried)
    assert len(harness.published(NoticeSent)) == 1


async def test_every_example_can_be_read(harness):
    for pair in examples().values():
        for event in pair:
            await harness.publish(event)
    await harness.settle()
    assert harness.dead_letters() == []
