"""Changes to the fleet file, as people wrote it."""

import subprocess

import pytest
import yaml

from patchline_review.patch import CannotPatch, unified_diff, with_value

FLEET = """\
# Our fleet
groups:
  - name: intranet        # low goes first
    criticality: low
    window: {rrule: "FREQ=MONTHLY;BYDAY=1SA", duration: PT2H}
    contacts: ["file:intranet.log"]
  - name: shop
    criticality: medium
    policies: {soak: PT16S}           # customers' sessions
  - {name: payments, criticality: high}
  - name: registry
    criticality: critical
    window:
      rrule: FREQ=WEEKLY
      duration: PT1H
    policies:
      # two people look
      approval: {minimum_approvers: 2}
policies:
  soak: PT5S
"""


@pytest.mark.parametrize(
    ("group", "path", "value"),
    [
        ("shop", ("policies", "soak"), "PT1M"),
        ("shop", ("policies", "concurrency"), 20),
        ("intranet", ("policies", "soak"), "PT1M"),
        ("payments", ("policies", "soak"), "PT1M"),
        ("registry", ("policies", "soak"), "PT1M"),
        ("intranet", ("window", "rrule"), "FREQ=WEEKLY;BYDAY=SA"),
        ("registry", ("window", "rrule"), "FREQ=WEEKLY;BYDAY=WE,SA"),
    ],
)
def test_one_value_changes_and_the_rest_stays(group, path, value):
    changed = with_value(FLEET, group, path, value)
    before, after = yaml.safe_load(FLEET), yaml.safe_load(changed)
    for each in before["groups"]:
        if each["name"] == group:
            each.setdefault(path[0], {})[path[1]] = value
    assert after == before
    removed = [line for line in FLEET.splitlines() if line not in changed.splitlines()]
    assert len(removed) <= 1
    assert "# two people look" in changed and "# Our fleet" in changed


def test_the_diff_can_be_applied(tmp_path):
    changed = with_value(FLEET, "shop", ("policies", "soak"), "PT1M")
    (tmp_path / "fleet.yaml").write_text(FLEET)
    patch = unified_diff(FLEET, changed, "fleet.yaml")
    done = subprocess.run(
        ["git", "apply", "-p0", "-"], input=patch, text=True, cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fleet.yaml").read_text() == changed


def test_a_file_without_a_newline_at_its_end_can_be_patched():
    text = "groups:\n  - name: shop"
    changed = with_value(text, "shop", ("policies", "soak"), "PT1M")
    assert yaml.safe_load(changed)["groups"] == [{"name": "shop", "policies": {"soak": "PT1M"}}]
    assert "\\ No newline at end of file" in unified_diff(text, changed, "fleet.yaml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("groups: [", "no YAML"),
        ("groups: []", "no group shop"),
        ("[]", "no group shop"),
        ("groups:\n- name: shop\n  policies: none\n", "not a mapping"),
    ],
)
def test_a_place_that_is_not_there_is_named(text, why):
    with pytest.raises(CannotPatch, match=why):
        with_value(text, "shop", ("policies", "soak"), "PT1M")
