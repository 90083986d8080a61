"""Waves, approvals, supersession, gates, deadlines and the tables: the rules without any service."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline_planning import approvals, deadlines, endings, gates, supersession, waves
from patchline_planning.approvals import Given, Refusal
from patchline_planning.gates import Claim, TargetGate
from patchline_planning.machine import ASKED, ENDED, PAUSABLE, UPDATE, WAVE, WAVE_ANSWERS, ImpossibleMove
from patchline_planning.plan import Ending
from patchline_planning.supersession import Candidate
from patchline_schemas.fleet import Approval, Group, Policies
from patchline_schemas.updates import AssessedTarget
from patchline_schemas.values import TERMINAL_STATES, UpdateState
from patchline_schemas.waves import WaveTarget

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def group(name: str, criticality: str = "low", **policies: Any) -> Group:
    return Group(name=name, criticality=criticality, policies=Policies(**policies))


def target(id_: str, group_name: str = "g", version: str | None = "1.0", **fields: Any) -> AssessedTarget:
    values = {"status": "affected", "reason": "old", "environment": f"env-{version}"} | fields
    return AssessedTarget(target_id=id_, group=group_name, installed_version=version, **values)


@pytest.mark.parametrize("state", (*ASKED["reject"], "rolling-out"))
def test_a_rejection_ends_also_the_rollout_that_begins_in_that_moment(state: UpdateState) -> None:
    rejected = Ending(outcome="rejected", by="bea", reason="not now")
    fitting = endings.fitting(rejected, state)
    assert (fitting.by, fitting.reason) == ("bea", "not now")
    assert UPDATE.after(state, fitting.outcome) in ("rejected", "cancelled")


class TestWaves:
    def test_low_criticality_first_and_the_smallest_group_first_within_it(self) -> None:
        groups = {
            each.name: each
            for each in (group("vault", "critical"), group("big"), group("small"), group("shop", "high"))
        }
        targets = [target("v", "vault"), target("s", "shop"), target("x", "small")]
        targets += [target(f"b{n}", "big") for n in range(3)]
        chunks = waves.lay_out(targets, groups)
        assert [chunk.group for chunk in chunks] == ["small", "big", "shop", "vault"]

    @given(count=st.integers(1, 60), size=st.integers(1, 20))
    def test_every_target_is_in_exactly_one_wave_of_its_group(self, count: int, size: int) -> None:
        groups = {"a": group("a", wave_size=size), "b": group("b", "high", wave_size=size)}
        targets = [target(f"t{n:02}", "a" if n % 3 else "b") for n in range(count)]
        chunks = waves.lay_out(targets, groups)
        assert sorted(t.target_id for chunk in chunks for t in chunk.targets) == [
            t.target_id for t in targets
        ]
        assert all(len(chunk.targets) <= size for chunk in chunks)
        for chunk in chunks:
            assert waves.within(targets, chunk.group, chunk.first, chunk.last) == chunk.targets

    def test_one_target_stands_for_all_with_the_same_environment(self) -> None:
        targets = [
            WaveTarget(target_id=f"t{n}", from_version="1.0", environment="same" if n else None)
            for n in range(4)
        ]
        chosen, total = waves.representatives(targets)
        assert total == 2
        assert [(each.environment, each.target_id, each.targets_total) for each in chosen] == [
            ("same", "t1", 3),
            ("target:t0", "t0", 1),
        ]

    def test_the_way_back_names_each_version_that_targets_come_from(self) -> None:
        targets = [WaveTarget(target_id=str(n), from_version="1.0" if n else "0.9") for n in range(3)]
        first, second = waves.way_back("pkg:pypi/x", "2.0", targets)
        assert first.startswith("2 targets go back from x 2.0 to 1.0")
        assert second.startswith("1 target goes back from x 2.0 to 0.9")

    def test_a_target_that_becomes_unknown_keeps_its_place(self) -> None:
        planned = [WaveTarget(target_id=id_, from_version="1.0") for id_ in "abcd"]
        assessed = [
            target("a"),
            target("b", status="unknown", version=None),
            target("c", version="1.1"),
            target("e"),
        ]
        difference = waves.compare({"g": planned}, assessed)
        assert difference.dropped == {"d"}
        assert list(difference.changed) == ["c"]
        assert [each.target_id for each in difference.added] == ["e"]

    def test_another_environment_alone_changes_nothing(self) -> None:
        planned = [WaveTarget(target_id="a", from_version="1.0", environment="before")]
        assert waves.compare({"g": planned}, [target("a", environment="after")]).changed == {}


class TestApprovals:
    def test_the_strictest_group_decides(self) -> None:
        rule = approvals.strictest(
            [
                group("a"),
                group("b", approval=Approval(minimum_approvers=2)),
                group("c", approval=Approval(not_the_requester=True)),
            ]
        )
        assert rule == Approval(minimum_approvers=2, not_the_requester=True)
        assert approvals.strictest([group("a")]) == "automatic"
        assert approvals.in_words(rule, "ada") == "2 people other than ada"

    @pytest.mark.parametrize(
        ("who", "named", "rule"),
        [
            ("ada", 3, "approval.not-the-requester"),
            ("bea", 2, "approval.plan-revision"),
            ("cy", 3, "approval.distinct"),
        ],
    )
    def test_a_yes_that_does_not_count_names_its_rule(self, who: str, named: int, rule: str) -> None:
        wanted = Approval(minimum_approvers=2, not_the_requester=True)
        given = [Given(who="cy", at=NOW, reason="fine")]
        with pytest.raises(Refusal) as refused:
            approvals.check(wanted, given, who=who, requester="ada", named=named, revision=3)
        assert refused.value.rule == rule
        approvals.check(wanted, given, who="bea", requester="ada", named=3, revision=3)


class TestSupersession:
    older = Candidate(
        update_id="old",
        component="pkg:pypi/x",
        version="1.9",
        advisories=frozenset({"A"}),
        ready=False,
        starts={"g": NOW, "h": NOW + DAY},
        waiting={"g": NOW, "h": NOW + DAY},
    )

    def newer(self, **changes: Any) -> Candidate:
        values = {
            "update_id": "new",
            "component": "pkg:pypi/x",
            "version": "1.10",
            "advisories": frozenset({"A", "B"}),
            "ready": True,
            "starts": {"g": NOW, "h": NOW + HOUR},
            "waiting": {"g": NOW, "h": NOW + HOUR},
        }
        return Candidate(**(values | changes))

    def test_a_newer_approved_update_that_fixes_all_takes_the_place(self) -> None:
        assert supersession.superseded([self.older, self.newer()]) == {"old": "new"}

    def test_where_the_older_one_has_started_already_nothing_is_asked_of_the_newer(self) -> None:
        older = dataclasses.replace(self.older, waiting={"h": None})
        newer = self.newer(starts={"h": NOW + 9 * DAY})
        assert supersession.superseded([older, newer]) == {"old": "new"}

    def test_an_older_one_of_which_all_has_started_comes_to_its_own_end(self) -> None:
        older = dataclasses.replace(self.older, waiting={})
        assert supersession.superseded([older, self.newer()]) == {}

    @pytest.mark.parametrize(
        "changes",
        [
            {"ready": False},
            {"version": "1.8"},
            {"version": "what?"},
            {"advisories": frozenset({"B"})},
            {"starts": {"g": NOW + HOUR, "h": NOW + HOUR}},
            {"starts": {"g": NOW, "h": NOW + 2 * DAY}},
            {"starts": {"g": NOW, "h": None}},
            {"starts": {"g": NOW}},
        ],
    )
    def test_until_then_both_stand(self, changes: dict[str, Any]) -> None:
        assert supersession.superseded([self.older, self.newer(**changes)]) == {}


class TestGates:
    def claim(self, wave: str, attempt: int = 1, **fields: Any) -> Claim:
        return Claim(wave_id=wave, update_id=wave.upper(), attempt=attempt, **fields)

    def test_a_target_belongs_to_one_wave_at_a_time(self) -> None:
        gate = TargetGate(id="t")
        assert gates.ask(gate, self.claim("a"))
        assert not gates.ask(gate, self.claim("b"))
        assert gates.leave(gate, "a", 1)
        assert gates.next_in_queue(gate).wave_id == "b"

    def test_a_rollback_goes_before_waves_that_have_not_started(self) -> None:
        gate = TargetGate(id="t")
        gates.ask(gate, self.claim("a"))
        gates.ask(gate, self.claim("b", priority=1))
        gates.ask(gate, self.claim("c", priority=3))
        gates.ask(gate, self.claim("d", purpose="rollback"))
        assert [claim.wave_id for claim in gate.queue] == ["d", "c", "b"]

    def test_an_answer_to_an_earlier_attempt_frees_nothing(self) -> None:
        gate = TargetGate(id="t")
        gates.ask(gate, self.claim("a", attempt=2))
        assert not gates.leave(gate, "a", 1)
        assert gate.owner.attempt == 2

    def test_only_the_owner_blocks_and_leaving_unblocks(self) -> None:
        gate = TargetGate(id="t")
        gates.ask(gate, self.claim("a"))
        assert not gates.block(gate, "b")
        assert gates.block(gate, "a")
        gates.leave(gate, "a", 1)
        assert not gate.blocked


class TestDeadlines:
    def test_a_step_has_time_for_every_round_of_targets(self) -> None:
        assert deadlines.step_limit(21, 10, 10 * MINUTE) == 30 * MINUTE + deadlines.MARGIN

    @pytest.mark.parametrize(
        ("days", "before"),
        [(10, 2 * DAY), (3, DAY), (1, HOUR * 12), (0, timedelta(0))],
    )
    def test_due_soon_is_a_fifth_or_a_day_but_never_before_half(self, days: int, before: timedelta) -> None:
        due = NOW + days * DAY
        assert deadlines.due_soon_at(NOW, due) == due - before


class TestTables:
    def test_every_state_that_ends_a_round_is_one_of_the_contract(self) -> None:
        assert set(ENDED) == TERMINAL_STATES

    def test_every_state_can_be_reached_and_left(self) -> None:
        reached = {transition.target for transition in UPDATE.transitions}
        left = {source for transition in UPDATE.transitions for source in transition.sources}
        assert reached == left
        for state in reached:
            assert state in ENDED or any(
                UPDATE.allows(state, transition.trigger) for transition in UPDATE.transitions
            )

    def test_an_answer_before_its_state_is_early_and_after_it_stale(self) -> None:
        expected = WAVE_ANSWERS["waves.deployed"]
        assert [WAVE.moment(state, expected) for state in ("due", "deploying", "verifying", "failed")] == [
            "early",
            "now",
            "stale",
            "stale",
        ]

    def test_what_the_table_does_not_have_is_refused(self) -> None:
        with pytest.raises(ImpossibleMove, match="test-passed"):
            UPDATE.after("completed", "test-passed")

    def test_what_people_may_ask_leads_somewhere(self) -> None:
        for state in ASKED["cancel"]:
            assert UPDATE.allows(state, "cancelled")
        for state in ASKED["reject"]:
            assert UPDATE.allows(state, "rejected")
        assert set(ASKED["pause"]) == set(PAUSABLE)
