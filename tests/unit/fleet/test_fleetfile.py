from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from patchline_fleet.drivers import Drivers
from patchline_fleet.fleetfile import FleetFile, FleetFileError, Problem, read_fleet_file
from patchline_fleet.fleetfile.windows import why_impossible, why_overlapping
from patchline_fleet.sim.driver import SimDriver
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_schemas.fleet import Approval, CommandCheck, HttpCheck, RecurringWindow

DRIVERS = Drivers({"venv": VenvDriver, "sim": SimDriver, "plain": object})
GROUP = "groups: [{name: intranet, criticality: low}]\n"


def read(folder: Path, text: str) -> FleetFile:
    path = folder / "fleet.yaml"
    path.write_text(text)
    return read_fleet_file(path, drivers=DRIVERS)


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(FleetFileError) as caught:
        read(folder, text)
    return caught.value.problems


def only_problem(folder: Path, text: str) -> Problem:
    (problem,) = problems(folder, text)
    return problem


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    (tmp_path / "apps" / "wiki").mkdir(parents=True)
    return tmp_path


def test_the_designs_example_is_read_whole(apps: Path) -> None:
    fleet = read(
        apps,
        """\
groups:
  - name: intranet
    criticality: low
    exposure: controlled
    window: {rrule: "FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration: PT2H, timezone: Europe/Berlin}
    notice: PT0S
    contacts: ["file:notices.log"]
    policies: {soak: PT1M}
targets:
  - id: wiki
    group: intranet
    driver: venv
    path: apps/wiki
    checks:
      - {command: [".venv/bin/python", "-m", "wiki.selfcheck"], timeout: PT20S}
      - {http: "http://127.0.0.1:8101/health"}
    restart: {command: ["./restart.sh"]}
    backup: {paths: [config, data], restore: [config]}
policies:
  approval: {minimum_approvers: 2, not_the_requester: yes}
  soak: PT10S
  on_failure: roll-back-all
freezes: [{from: 2026-12-20T00:00:00+01:00, until: 2027-01-02T00:00:00+01:00, reason: year end}]
""",
    )
    (group,), (target,), (freeze,) = fleet.groups, fleet.targets, fleet.freezes
    assert group.window == RecurringWindow(
        rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2), timezone="Europe/Berlin"
    )
    assert group.policies.approval == Approval(minimum_approvers=2, not_the_requester=True)
    assert group.policies.soak == timedelta(minutes=1), "a group's policy overrides the global one"
    assert group.policies.on_failure == "roll-back-all"
    assert target.path == str(apps / "apps" / "wiki")
    assert target.checks == (
        CommandCheck(command=(".venv/bin/python", "-m", "wiki.selfcheck"), timeout=timedelta(seconds=20)),
        HttpCheck(http="http://127.0.0.1:8101/health"),
    )
    assert target.backup.restore == ("config",)
    assert freeze.starts_at == datetime(2026, 12, 19, 23, tzinfo=UTC)
    assert fleet.freezes_of("intranet") == (freeze,)


def test_every_problem_is_told_at_once_with_its_line(apps: Path) -> None:
    found = problems(
        apps,
        """\
groups:
  - name: intranet
    criticality: lo
targets:
  - {id: a, group: intranett, driver: sim}
  - {id: a, group: intranet, driver: sim, checkz: []}
  - {id: b, group: intranet, driver: venv, path: apps/gone}
""",
    )
    assert [(each.line, each.where) for each in found] == [
        (3, "groups[0].criticality"),
        (5, "targets[0].group"),
        (6, "targets[1].id"),
        (6, "targets[1].checkz"),
        (7, "targets[2].path"),
    ]
    assert found[1].fix == "did you mean 'intranet'?"
    assert found[3].fix == "did you mean 'checks'?"
    assert "line 5" in found[2].reason
    assert str(found[4]).startswith(f"{apps}/fleet.yaml:7: targets[2].path: {apps}/apps/gone does not exist")


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("groups: {}", "groups", "must be a list"),
        ("groups: [{name: a}]", "groups[0]", "'criticality' is missing"),
        ("groups: [{name: [a], criticality: low}]", "groups[0].name", "must be text, not a list"),
        ("groups: [{name: a b, criticality: low}]", "groups[0].name", "is no name"),
        ("groups: [{name: a, name: b, criticality: low}]", "groups[0].name", "stands here twice"),
        ("groups: [{name: a, criticality: low}, {name: a, criticality: low}]", "groups[1].name", "already"),
        ("groups: [{name: a, criticality: low, window: {}}]", "groups[0].window", "'rrule' is missing"),
        ("groups: [{name: a, criticality: low, window: never}]", "groups[0].window", "is no window"),
        ("groups: [{name: a, criticality: low, notice: 30}]", "groups[0].notice", "no ISO 8601 duration"),
        ("groups: [{name: a, criticality: low, contacts: [me]}]", "groups[0].contacts[0]", "is no contact"),
        ("policies: {soak: 1:30}", "policies.soak", "no ISO 8601 duration"),
        ("policies: {concurrency: 0}", "policies.concurrency", "at least 1"),
        ("policies: {wave_size: 501}", "policies.wave_size", "at most 500"),
        ("policies: {max_failures: 010}", "policies.max_failures", "no whole number"),
        ("policies: {approval: manual}", "policies.approval", "is no approval"),
        ("policies: {required_notice: maybe}", "policies.required_notice", "neither true nor false"),
        ("targets: [{id: a, driver: sim}]", "targets[0]", "'group' is missing"),
        ("targets: [3]", "targets[0]", "must be a mapping, not a single value"),
        ("freezes: [{from: 2026-01-01, until: 2026-01-02, reason: x}]", "freezes[0].from", "has no zone"),
    ],
)
def test_a_wrong_value_is_named_where_it_stands(apps: Path, text: str, where: str, reason: str) -> None:
    found = problems(apps, text + "\n")
    assert (found[0].line, found[0].where) == (1, where)
    assert reason in found[0].reason


@pytest.mark.parametrize(
    ("target", "where", "reason"),
    [
        ("driver: venv", "targets[0]", "'path' is missing"),
        ("driver: vnev, path: apps/wiki", "targets[0].driver", "there is no driver 'vnev'"),
        ("driver: sim, checks: [{command: run me}]", "targets[0].checks[0].command", "there is no shell"),
        ("driver: sim, checks: [{command: []}]", "targets[0].checks[0].command", "is empty"),
        ("driver: sim, checks: [{http: 'ftp://x/'}]", "targets[0].checks[0].http", "no http or https URL"),
        ("driver: sim, checks: [{timeout: PT1S}]", "targets[0].checks[0]", "either 'command' or 'http'"),
        ("driver: sim, backup: {paths: [/etc]}", "targets[0].backup.paths[0]", "inside the target's folder"),
        ("driver: sim, backup: {paths: [a, a/b]}", "targets[0].backup.paths[1]", "overlap"),
        (
            "driver: sim, backup: {paths: [a], restore: [b]}",
            "targets[0].backup.restore[0]",
            "not in the backup",
        ),
        ("driver: sim, restart: {timeout: PT1S}", "targets[0].restart", "'command' is missing"),
    ],
)
def test_a_wrong_target_is_named_where_it_stands(apps: Path, target: str, where: str, reason: str) -> None:
    problem = only_problem(apps, GROUP + f"targets: [{{id: a, group: intranet, {target}}}]\n")
    assert (problem.line, problem.where) == (2, where)
    assert reason in problem.reason


def test_two_targets_on_one_environment_are_refused(apps: Path) -> None:
    target = "{{id: {}, group: intranet, driver: venv, path: apps/wiki}}"
    problem = only_problem(apps, GROUP + f"targets: [{target.format('a')}, {target.format('b')}]\n")
    assert "the target 'a' already has the environment" in problem.reason


def test_a_command_written_as_text_is_shown_as_the_list_it_should_be(apps: Path) -> None:
    text = GROUP + "targets: [{id: a, group: intranet, driver: sim, checks: [{command: \"run 'a b'\"}]}]\n"
    assert only_problem(apps, text).fix == 'write ["run", "a b"]'


def test_a_contact_may_hold_a_password_so_it_is_not_repeated(apps: Path) -> None:
    text = "groups: [{name: a, criticality: low, contacts: [user.hunter2]}]\n"
    assert "hunter2" not in str(only_problem(apps, text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("groups: [", "is no YAML"),
        ("- a\n", "must be a mapping"),
        ("a: 1\n---\nb: 2\n", "no YAML"),
    ],
)
def test_a_file_that_is_no_fleet_file_says_so(apps: Path, text: str, reason: str) -> None:
    assert reason in only_problem(apps, text).reason


def test_bytes_that_are_no_text_say_so(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"groups: \xff\xfe\x00")
    with pytest.raises(FleetFileError, match="is no YAML"):
        read_fleet_file(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FleetFileError, match="cannot be read: No such file"):
        read_fleet_file(tmp_path / "fleet.yaml")


def test_yaml_1_1_does_not_turn_words_into_something_else(apps: Path) -> None:
    fleet = read(
        apps,
        "groups: [{name: no, criticality: low}]\n"
        "targets: [{id: 1.10, group: no, driver: plain, settings: {on: off, at: 12:30:00}}]\n",
    )
    (target,) = fleet.targets
    assert (target.id, target.group) == ("1.10", "no")
    assert target.settings == {"on": "off", "at": "12:30:00"}


def test_anchors_and_merge_keys_save_writing(apps: Path) -> None:
    fleet = read(
        apps,
        """\
groups:
  - &base {name: a, criticality: low, policies: {soak: PT5S}}
  - {<<: *base, name: b}
""",
    )
    assert [(each.name, each.policies.soak) for each in fleet.groups] == [
        ("a", timedelta(seconds=5)),
        ("b", timedelta(seconds=5)),
    ]


def test_without_rules_a_rollback_puts_back_only_what_is_in_the_backup(apps: Path) -> None:
    text = GROUP + "targets: [{id: a, group: intranet, driver: plain, backup: {paths: [data]}}]\n"
    assert read(apps, text).targets[0].backup.restore == ()


def test_paths_may_begin_at_home_and_the_environment_beside_the_application(
    apps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(apps))
    text = GROUP + "targets: [{id: a, group: intranet, driver: venv, path: ~/apps/wiki, venv: ../env}]\n"
    (target,) = read(apps, text).targets
    assert (target.path, target.venv) == (f"{apps}/apps/wiki", f"{apps}/apps/env")


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAYLY",
        "",
        "BYDAY=SA",
        "FREQ=DAILY;BYHOUR=25",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=3",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=0",
        "FREQ=HOURLY;INTERVAL=0;BYDAY=SA",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=99999999999",
        "DTSTART:20200101T000000\nRRULE:FREQ=DAILY",
    ],
)
def test_an_impossible_rule_is_told_from_a_possible_one(rule: str) -> None:
    assert why_impossible(rule, date(1970, 1, 5)) is not None


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MINUTELY",
        "FREQ=WEEKLY;BYDAY=SA;BYHOUR=2",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=DAILY;UNTIL=20301231T000000Z",
        "FREQ=DAILY;UNTIL=20301231",
    ],
)
def test_a_possible_rule_passes(rule: str) -> None:
    assert why_impossible(rule, date(1970, 1, 5)) is None


def test_a_window_may_end_where_the_next_begins_but_not_later() -> None:
    start = date(1970, 1, 5)
    assert why_overlapping("FREQ=DAILY", start, timedelta(hours=24)) is None
    assert why_overlapping("FREQ=DAILY", start, timedelta(hours=25)) is not None


def test_a_large_file_loads_in_reasonable_time(tmp_path: Path) -> None:
    lines = [f"  - {{id: t{n}, group: intranet, driver: plain, settings: {{n: {n}}}}}" for n in range(5000)]
    fleet = read(tmp_path, GROUP + "targets:\n" + "\n".join(lines))
    assert len(fleet.targets) == 5000


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("driver: sim, path: sim, settings: {latency: soon}", "latency 'soon' is no ISO 8601 duration"),
        ("driver: sim, path: sim, settings: {latncy: PT1S}", "no such setting 'latncy'"),
        ("driver: sim", "has no path"),
        ("driver: venv, path: apps/wiki, settings: {index: mirror}", "no such setting 'index'"),
    ],
)
def test_settings_that_the_driver_cannot_use_are_told_with_their_line(
    apps: Path, target: str, reason: str
) -> None:
    problem = only_problem(apps, f"{GROUP}targets:\n- {{id: wiki, group: intranet, {target}}}\n")
    assert problem.line == 3
    assert reason in problem.reason


def test_a_driver_that_checks_no_settings_takes_any(apps: Path) -> None:
    target = "{id: wiki, group: intranet, driver: plain, settings: {port: '22'}}"
    assert read(apps, f"{GROUP}targets: [{target}]\n").targets[0].settings == {"port": "22"}
