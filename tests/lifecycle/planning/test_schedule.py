"""Windows, freezes, notices, and what holds an update until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from patchline_schemas.fleet import Freeze, RecurringWindow
from patchline_schemas.notices import NoticeFailed, NoticeSent
from patchline_schemas.waves import WaveCancelled, WavePlanned

SATURDAY = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRST = datetime(2026, 1, 10, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


async def to_saturday(life: Any, by: timedelta = timedelta(0)) -> None:
    await life.harness.advance(FIRST + by - life.now)


async def test_no_window_no_start(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    held = life.progress(id_).held
    assert (life.state(id_), held.rule, held.until) == ("scheduled", "window", FIRST)
    await to_saturday(life, -timedelta(seconds=1))
    assert life.due_waves() == []
    await to_saturday(life)
    (due,) = life.due_waves()
    assert life.due(due).order.window_ends_at == FIRST + timedelta(hours=2)


async def test_a_rule_without_any_window_is_held_and_said(life: Any) -> None:
    never = RecurringWindow(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", duration=timedelta(hours=1))
    await life.group("intranet", window=never)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    assert life.held(id_) == "no-window"
    await life.group("intranet", window="always", revision=2)
    assert len(life.due_waves()) == 1


async def test_a_window_missed_while_another_wave_owns_a_target_comes_again(life: Any) -> None:
    await life.group("intranet")
    await life.group("weekend", window=SATURDAY)
    await life.harness.advance(FIRST - life.now - timedelta(minutes=1))
    owner = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    owning = life.planned(owner).waves[0].id
    id_ = await life.roll_out("3.1.6", {"a": "weekend"})
    waiting = life.planned(id_).waves[0].id
    await to_saturday(life)
    assert life.waves(id_) == {waiting: "due"}
    assert life.held(id_) == "target-owned"
    await life.back_up(owning)
    await life.deploy(owning)
    await life.pass_checks(owning)
    assert waiting in life.due_waves()


async def test_a_wave_that_never_owns_its_targets_goes_to_the_next_window(life: Any) -> None:
    short = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(minutes=5))
    await life.group("intranet")
    await life.group("weekend", window=short)
    await life.harness.advance(FIRST - life.now - timedelta(minutes=1))
    await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    id_ = await life.roll_out("3.1.6", {"a": "weekend"})
    (waiting,) = life.waves(id_)
    await to_saturday(life, timedelta(minutes=6))
    assert life.waves(id_) == {waiting: "planned"}
    assert life.progress(id_).held.until == FIRST + WEEK
    assert [event.starts_at for event in life.of_wave(WavePlanned, waiting)] == [FIRST, FIRST + WEEK]


async def test_windows_that_are_too_short_for_the_backups_are_said_to_be(life: Any) -> None:
    short = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(minutes=5))
    await life.group("intranet", window=short)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    said = []
    for week in range(3):
        await to_saturday(life, week * WEEK)
        wave = life.due_waves()[-1]
        await life.back_up(wave)
        await life.harness.advance(short.duration)
        await life.deploy(wave, late=2)
        said.append(life.progress(id_).held.who)
    assert said[0] == "the window of group intranet"
    assert "the last 2 ended before any of its targets was touched" in said[1]
    assert "the last 3 ended" in said[2] and "longer window" in said[2]
    await to_saturday(life, 3 * WEEK)
    wave = life.due_waves()[-1]
    await life.back_up(wave)
    await life.deploy(wave, late=1)
    await life.pass_checks(wave)
    await life.harness.advance(short.duration)
    await life.verify(wave)
    assert life.progress(id_).held.who == "the window of group intranet"


async def waiting_for_its_target(life: Any) -> tuple[str, str]:
    """An update whose wave is due in the group ``shop`` and waits, and the wave that owns its target."""
    await life.group("intranet")
    await life.group("shop")
    owner = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    id_ = await life.roll_out("3.1.6", {"a": "shop"})
    assert life.held(id_) == "target-owned"
    return id_, life.planned(owner).waves[0].id


async def test_a_freeze_holds_a_wave_that_still_waits_for_its_targets(life: Any) -> None:
    id_, owning = await waiting_for_its_target(life)
    until = life.now + timedelta(days=1)
    freeze = Freeze(starts_at=life.now, ends_at=until, reason="year end")
    await life.group("shop", revision=2, freezes=[freeze])
    held = life.progress(id_).held
    assert (held.rule, held.until) == ("freeze", until)
    await life.carry(owning)
    assert life.due_waves() == [owning]
    await life.harness.advance(until - life.now)
    assert life.due_waves() == [owning, f"{id_}.r1.w1"]


async def test_a_window_that_is_moved_holds_a_wave_that_still_waits_for_its_targets(life: Any) -> None:
    id_, owning = await waiting_for_its_target(life)
    await life.group("shop", revision=2, window=SATURDAY)
    assert life.held(id_) == "window"
    await life.carry(owning)
    assert life.due_waves() == [owning]
    await to_saturday(life)
    assert life.due(f"{id_}.r1.w1").order.window_ends_at == FIRST + timedelta(hours=2)


async def test_a_wave_starts_within_the_window_as_it_is_by_then(life: Any) -> None:
    id_, owning = await waiting_for_its_target(life)
    now_open = RecurringWindow(rrule="FREQ=DAILY;BYHOUR=11", duration=timedelta(hours=2))
    await life.group("shop", revision=2, window=now_open)
    await life.carry(owning)
    assert life.due(f"{id_}.r1.w1").order.window_ends_at == START + timedelta(hours=1)


async def test_a_wave_is_done_as_the_policies_are_when_it_starts(life: Any) -> None:
    await life.group("intranet", window=SATURDAY, policies={"on_failure": "roll-back-all"})
    await life.group("shop", criticality="high", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    hour = timedelta(hours=1)
    later = {"soak": hour, "max_failures": 2, "concurrency": 3, "target_timeout": timedelta(minutes=1)}
    await life.group("intranet", window=SATURDAY, policies=later, revision=2)
    plan = await life.plan(id_)
    assert plan.waves[0].roll_back_all is False
    assert plan.waves[1].starts_at == FIRST + hour
    await to_saturday(life)
    order = life.due(plan.waves[0].id).order
    assert {name: getattr(order, name) for name in later} == later


async def test_a_wave_that_waited_for_its_targets_is_done_as_the_policies_are_by_then(life: Any) -> None:
    id_, owning = await waiting_for_its_target(life)
    policies = {"soak": timedelta(hours=1), "max_failures": 3, "on_failure": "roll-back-all"}
    await life.group("shop", revision=2, policies=policies)
    await life.carry(owning)
    order = life.due(f"{id_}.r1.w1").order
    assert (order.soak, order.max_failures) == (timedelta(hours=1), 3)
    assert (await life.plan(id_)).waves[0].roll_back_all


def sent(life: Any, id_: str, wave: str, contact: str) -> NoticeSent:
    return NoticeSent(
        notice_id=contact,
        contact=contact,
        subject_line="planned",
        sent_at=life.now,
        update_id=id_,
        wave_id=wave,
        group="intranet",
        occasion="planned",
    )


async def test_a_notice_to_a_contact_that_is_gone_counts_for_no_other(life: Any) -> None:
    policies = {"required_notice": True}
    await life.group("intranet", contacts=("file:a.log", "file:b.log"), policies=policies)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    (wave,) = life.waves(id_)
    await life.say(sent(life, id_, wave, "file:a.log"))
    await life.group("intranet", contacts=("file:b.log",), policies=policies, revision=2)
    assert (life.due_waves(), life.held(id_)) == ([], "notice-required")
    await life.say(sent(life, id_, wave, "file:b.log"))
    assert life.due_waves() == [wave]


async def test_an_update_that_waits_for_approval_follows_the_policy_as_it_is_now(life: Any) -> None:
    await life.group("intranet", policies={"approval": {"minimum_approvers": 2}})
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.ask("approve", id_)
    assert life.state(id_) == "awaiting-approval"
    await life.group("intranet", policies={"approval": {"minimum_approvers": 1}}, revision=2)
    assert life.due_waves() == [f"{id_}.r1.w1"]


async def test_a_notice_that_is_required_no_more_holds_no_wave(life: Any) -> None:
    await life.group("intranet", policies={"required_notice": True}, contacts=("file:a.log",))
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    assert life.held(id_) == "notice-required"
    await life.group("intranet", contacts=("file:a.log",), revision=2)
    assert life.due_waves() == [f"{id_}.r1.w1"]


async def test_a_window_that_ends_before_the_wave_before_is_verified_is_planned_again(life: Any) -> None:
    await life.group("intranet", window=SATURDAY, policies={"soak": timedelta(hours=3)})
    await life.group("shop", criticality="high", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    starts = {wave.id: wave.starts_at for wave in life.planned(id_).waves}
    assert starts == {first: FIRST, second: FIRST + WEEK}
    await to_saturday(life)
    await life.carry(first)
    assert life.due_waves() == [first]
    assert life.progress(id_).held.until == FIRST + WEEK


async def test_a_freeze_that_is_added_later_moves_what_is_planned(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    freeze = Freeze(starts_at=FIRST - timedelta(days=1), ends_at=FIRST + timedelta(days=1), reason="fair")
    await life.group("intranet", window=SATURDAY, freezes=[freeze], revision=2)
    held = life.progress(id_).held
    assert (held.rule, held.until) == ("freeze", FIRST + WEEK)
    await to_saturday(life, timedelta(hours=1))
    assert life.due_waves() == []


async def test_a_wave_follows_the_one_before_it_when_that_moves(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    await life.group("shop", criticality="high")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    _, second = (wave.id for wave in life.planned(id_).waves)
    freeze = Freeze(starts_at=FIRST - timedelta(days=1), ends_at=FIRST + timedelta(days=1), reason="fair")
    await life.group("intranet", window=SATURDAY, freezes=[freeze], revision=2)
    before, after = (event.starts_at for event in life.of_wave(WavePlanned, second))
    assert (FIRST < before < FIRST + timedelta(hours=1), after - before) == (True, WEEK)


async def test_a_wave_is_not_announced_anew_for_what_the_wave_before_is_late_within_the_window(
    life: Any,
) -> None:
    await life.group("intranet", window=SATURDAY)
    await life.group("shop", criticality="high", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    await to_saturday(life)
    await life.back_up(first)
    await life.harness.advance(timedelta(minutes=5))
    await life.group("shop", criticality="high", window=SATURDAY, notice=timedelta(hours=1), revision=2)
    assert len(life.of_wave(WavePlanned, second)) == 1


async def test_notice_is_kept_unless_the_urgency_is_immediate(life: Any) -> None:
    await life.group("intranet", notice=timedelta(days=2))
    routine = await life.roll_out("3.1.6", {"a": "intranet"})
    assert (life.held(routine), life.due_waves()) == ("notice", [])
    urgent = await life.roll_out(
        "2.0.0", {"b": "intranet"}, component="pkg:pypi/other", urgency="immediate", urgent=True
    )
    assert life.due_waves() == [life.planned(urgent).waves[0].id]
    await life.harness.advance(timedelta(days=2))
    assert life.planned(routine).waves[0].id in life.due_waves()


async def test_a_later_assessment_that_says_immediate_brings_the_wave_forward(life: Any) -> None:
    await life.group("intranet", notice=timedelta(days=2))
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, urgency="immediate", urgent=True)
    assert len(life.due_waves()) == 1
    assert life.progress(id_).urgency == "immediate"


async def test_a_required_notice_holds_the_wave_until_every_contact_is_told(life: Any) -> None:
    contacts = ("file:a.log", "file:b.log")
    await life.group("intranet", contacts=contacts, policies={"required_notice": True})
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    (wave,) = life.waves(id_)
    notice = {"update_id": id_, "wave_id": wave, "group": "intranet", "occasion": "planned"}
    assert life.held(id_) == "notice-required"
    assert life.progress(id_).held.who == (
        "the notice to 2 contacts of intranet, once it is delivered, or anybody who resumes it"
    )
    await life.say(sent(life, id_, wave, "file:a.log"))
    assert life.due_waves() == []
    await life.say(
        NoticeFailed(notice_id="n2", contact="file:b.log", error="full", attempts=5, required=True, **notice)
    )
    assert "file:b.log could not be told" in life.progress(id_).held.who
    assert life.due_waves() == []
    assert "without the notice" in await life.ask("resume", id_)
    assert life.due_waves() == [wave]


async def test_a_dropped_wave_is_said_to_be_cancelled(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    await life.group("shop", criticality="high", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    await life.ask("cancel", id_)
    assert {event.order.wave_id for event in life.harness.published(WaveCancelled)} == set(life.waves(id_))
