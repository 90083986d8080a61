"""Old news never overwrites."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from patchline_gateway import projections
from patchline_gateway.messages import TellDecision, TellGroup, TellLetter, TellNotice, TellTarget, TellUpdate
from patchline_gateway.views import DeadLetterView, GroupView, NoticeView, TargetView, UpdateView
from patchline_gateway.waits import Goal, Standing, standing
from patchline_schemas.dead_letters import DeadLetterDecided, DeadLettered
from patchline_schemas.examples import examples
from patchline_schemas.examples.shared import JINJA, UPDATE, at
from patchline_schemas.fleet import Approval, Group, Policies
from patchline_schemas.notices import NoticeDelayed, NoticeFailed, NoticeSent
from patchline_schemas.updates import Report, UpdateProgressed
from patchline_schemas.values import ON_THE_WAY, UpdateState


def progress(sequence: int, state: UpdateState, *, round: int = 1) -> TellUpdate:
    event = UpdateProgressed(
        update_id=UPDATE,
        revision=1,
        component=JINJA,
        version="3.1.6",
        sequence=sequence,
        round=round,
        kind="security",
        state=state,
        urgency=None,
        due_at=None,
        held=None,
        waves=(),
    )
    return TellUpdate(to=UPDATE, component=JINJA, to_version="3.1.6", progress=event)


def news(**parts: object) -> TellUpdate:
    return TellUpdate(to=UPDATE, component=JINJA, to_version="3.1.6", **parts)  # type: ignore[arg-type]


def told(*messages: TellUpdate) -> UpdateView:
    view = UpdateView(id=UPDATE)
    for message in messages:
        projections.update_told(view, message)
    return view


def documented(round: int) -> TellUpdate:
    report = Report(format="html", address=f"file:///reports/{round}.html", sha256="0" * 64)
    return news(documented_round=round, reports=(report,))


def reviewed(round: int) -> TellUpdate:
    return news(reviewed_round=round, reviewed_at=at(60 + round), findings=("It was late.",))


def test_the_highest_sequence_wins_in_any_order() -> None:
    life = [
        progress(1, "planned"),
        progress(2, "testing"),
        progress(3, "rolling-out"),
        progress(4, "completed"),
    ]
    for order in itertools.permutations(life):
        view = told(*order, order[0])
        assert (view.state, view.sequence) == ("completed", 4)
        assert {seen.state for seen in view.reached} == {"planned", "testing", "rolling-out", "completed"}


def test_an_update_is_shown_once_planning_has_spoken() -> None:
    assert told(documented(1)).tags() == frozenset()
    assert told(progress(1, "planned")).tags() == {"all", "state:planned"}


def test_an_update_is_closed_when_its_round_is_documented_and_reviewed() -> None:
    life = [progress(1, "completed"), documented(1), reviewed(1)]
    for order in itertools.permutations(life):
        assert told(*order).closed == at(61)
    for left_out in life:
        assert told(*(part for part in life if part is not left_out)).closed is None


def test_a_new_round_opens_a_closed_update_again() -> None:
    view = told(progress(1, "failed"), documented(1), reviewed(1), progress(2, "planned", round=2))
    assert view.closed is None
    assert [seen.state for seen in view.reached] == ["planned"]
    projections.update_told(view, progress(3, "completed", round=2))
    assert view.closed is None
    for part in (documented(2), reviewed(2)):
        projections.update_told(view, part)
    assert view.closed == at(62)


def test_a_wait_ends_when_the_state_is_reached_passed_or_out_of_reach() -> None:
    view = told(
        progress(1, "planned"), progress(2, "testing"), progress(3, "paused"), progress(5, "completed")
    )
    assert standing(view, Goal("completed", 5)) == Standing(reached=True, ended=False)
    assert standing(view, Goal("testing", 5)) == Standing(reached=True, ended=False)
    assert standing(view, Goal("failed", 5)) == Standing(reached=False, ended=True)
    assert standing(view, Goal("closed", 5)) == Standing(reached=False, ended=False)


@pytest.mark.parametrize("goal", ON_THE_WAY)
def test_a_state_that_was_passed_without_a_word_is_reached(goal: UpdateState) -> None:
    assert standing(told(progress(1, "completed")), Goal(goal, 1)).reached
    scheduled = told(progress(1, "testing"), progress(2, "scheduled"))
    assert standing(scheduled, Goal(goal, 2)).reached is (goal != "rolling-out")
    assert standing(told(progress(1, "not-applicable")), Goal(goal, 1)).ended is (goal != "assessed")


def test_a_pause_before_the_wait_began_does_not_count() -> None:
    view = told(progress(1, "paused"), progress(2, "rolling-out"))
    assert standing(view, Goal("paused", 2)) == Standing(reached=False, ended=False)
    projections.update_told(view, progress(3, "paused"))
    projections.update_told(view, progress(4, "rolling-out"))
    assert standing(view, Goal("paused", 2)) == Standing(reached=True, ended=False)


def test_a_removed_target_comes_back_with_a_later_fleet_file_only() -> None:
    view = TargetView(id="wiki")
    present = TellTarget(to="wiki", group="intranet", revision=1, driver="venv", definition="d1")
    for message in (present.model_copy(update={"revision": 3, "removed": True}), present):
        projections.target_told(view, message)
    assert view.tags() == frozenset()
    projections.target_told(view, present.model_copy(update={"revision": 4}))
    assert view.tags() == {"registered", "group:intranet"}


def test_a_group_that_left_the_fleet_file_is_listed_no_more_until_it_comes_back() -> None:
    view = GroupView(id="shop")
    present = TellGroup(to="shop", revision=1, group=Group(name="shop", criticality="high"))
    gone = TellGroup(to="shop", revision=2, group=None)
    for message in (gone, present):
        projections.group_told(view, message)
    assert view.tags() == frozenset()
    projections.group_told(view, present.model_copy(update={"revision": 3}))
    assert (view.tags(), view.criticality) == ({"registered"}, "high")


def test_a_failed_inventory_keeps_what_was_known_and_says_so() -> None:
    view = TargetView(id="wiki", revision=1)
    good = TellTarget(to="wiki", group="g", asked_at=at(1), runtime="cpython 3.11.7", packages_total=4)
    bad = TellTarget(to="wiki", group="g", asked_at=at(2), inventory_error="no answer")
    for message in (bad, good):
        projections.target_told(view, message)
    assert (view.inventory_error, view.packages_total, view.collected_at) == ("no answer", None, None)
    projections.target_told(view, good.model_copy(update={"asked_at": at(3)}))
    assert (view.inventory_error, view.packages_total, view.collected_at) == (None, 4, at(3))


def test_contacts_of_a_group_are_shown_without_their_secrets() -> None:
    group = Group(
        name="shop",
        criticality="medium",
        contacts=("file:notices/shop.log", "mailto://bob:hunter2@mail.example.org", "slack://T1/B2/c3c3"),
        policies=Policies(approval=Approval(minimum_approvers=2, not_the_requester=True)),
    )
    view = GroupView(id="shop")
    projections.group_told(view, TellGroup(to="shop", revision=1, group=group))
    assert view.contacts == ("file:notices/shop.log", "mailto://mail.example.org/…", "slack://…")
    assert (view.window, view.approval) == ("always", "2 people, not the requester")


def test_a_notice_that_was_sent_stays_sent_and_is_shown_once() -> None:
    pair = examples()
    sent, failed = pair[NoticeSent].usual, pair[NoticeFailed].usual
    assert isinstance(sent, NoticeSent)
    again = sent.model_copy(update={"sent_at": sent.sent_at + timedelta(minutes=1)})
    for order in itertools.permutations([sent, again, failed]):
        view = NoticeView(id="n", time=at(0))
        for notice in order:
            projections.notice_told(view, TellNotice(to="n", time=at(90), notice=notice))  # type: ignore[arg-type]
        assert (view.state, view.time, view.error) == ("sent", sent.sent_at, None)


def test_a_notice_that_is_still_tried_shows_its_newest_attempt_until_it_has_ended() -> None:
    pair = examples()
    failed, delayed = pair[NoticeFailed].usual, pair[NoticeDelayed].usual
    assert isinstance(failed, NoticeFailed)
    assert isinstance(delayed, NoticeDelayed)
    later = delayed.model_copy(update={"attempts": 3, "next_attempt_at": at(5)})
    gone = later.model_copy(update={"next_attempt_at": None})
    for news, expected in (
        ([delayed, later], ("retrying", 3, at(5))),
        ([delayed, later, gone], ("dropped", 3, None)),
        ([delayed, later, failed], ("failed", failed.attempts, None)),
    ):
        for order in itertools.permutations(news):
            view = NoticeView(id="n", time=at(0))
            for notice in order:
                projections.notice_told(view, TellNotice(to="n", time=at(90), notice=notice))
            assert (view.state, view.attempts, view.next_attempt_at) == expected


def test_a_dead_letter_that_was_decided_stays_so_when_its_news_comes_again() -> None:
    letter = examples()[DeadLettered].usual
    assert isinstance(letter, DeadLettered)
    view = DeadLetterView(id=letter.letter_id)
    first = TellLetter(to=letter.letter_id, event_id="e1", letter=letter)
    projections.letter_told(view, first)
    view.state, view.decided_on = "discarded", view.letter_event_id
    projections.letter_told(view, first)
    assert view.state == "discarded"
    projections.letter_told(view, first.model_copy(update={"event_id": "e2"}))
    assert view.state == "open"


def test_a_decision_about_a_dead_letter_shows_whether_it_comes_before_or_after_the_letter() -> None:
    letter = examples()[DeadLettered].usual
    assert isinstance(letter, DeadLettered)
    told = TellLetter(to=letter.letter_id, event_id="e1", letter=letter)
    decided = TellDecision(
        to=letter.letter_id,
        decided=DeadLetterDecided(
            letter_id=letter.letter_id,
            letter_event_id="e1",
            decision="discarded",
            who="bea",
            decided_at=at(5),
        ),
    )
    views = [DeadLetterView(id=letter.letter_id) for _ in range(2)]
    projections.letter_told(views[0], told)
    projections.decision_told(views[0], decided)
    projections.decision_told(views[1], decided)
    assert views[1].tags() == frozenset(), "not shown before the letter itself is here"
    projections.letter_told(views[1], told)
    assert views[0] == views[1]
    assert (views[0].state, views[0].decided_by) == ("discarded", "bea")
