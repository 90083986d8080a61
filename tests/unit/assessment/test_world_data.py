"""The rules on what the world really publishes; see the folder's README."""

import csv
import gzip
import json
import os
from pathlib import Path

import pytest

from patchline_assessment.urgency import DUE_AFTER, URGENCY_ORDER, security_urgency
from patchline_assessment.verdicts import Facts, judge
from patchline_schemas.components import normal_form
from patchline_schemas.feed_items import FeedItemsError, parse_item
from patchline_schemas.feeds import Advisory, AffectedRange
from patchline_schemas.fleet import Group
from patchline_schemas.versions import UnknownVersion, in_any_range, is_valid

DATA = Path(os.environ.get("PATCHLINE_TEST_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the public records are not here ({DATA}); set PATCHLINE_TEST_DATA"
)


@pytest.fixture(scope="module")
def osv():
    with gzip.open(DATA / "osv-pypi.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def packages(records):
    """Each package of each record with its ranges by ecosystem rules and the versions listed as affected."""
    for record in records:
        for affected in record.get("affected", []):
            ranges = [
                each
                for source in affected.get("ranges", [])
                if source["type"] == "ECOSYSTEM"
                for each in as_ranges(source["events"])
            ]
            if ranges:
                component = normal_form(affected["package"]["purl"])
                yield record["id"], component, ranges, affected.get("versions", [])


def as_ranges(events):
    begun = None
    for event in events:
        if "introduced" in event:
            if begun is not None:
                yield AffectedRange(introduced=begun)
            begun = event["introduced"]
        else:
            (end,) = event.items()
            yield AffectedRange(introduced=begun or "0", **dict([end]))
            begun = None
    if begun is not None:
        yield AffectedRange(introduced=begun)


def test_every_record_is_judged_or_said_to_be_unknown(osv):
    judged = unknown = 0
    for id_, component, ranges, versions in packages(osv):
        facts = Facts(component, "99999", "security", (Advisory(id=id_, affected=tuple(ranges)),))
        for version in versions[:50]:
            if judge(facts, [version]).status == "unknown":
                unknown += 1
            else:
                judged += 1
    assert judged > 10_000
    assert unknown < judged / 20


def test_a_version_that_a_record_lists_as_affected_lies_in_its_ranges(osv):
    outside = checked = 0
    for _, component, ranges, versions in packages(osv):
        for version in versions:
            try:
                outside += not in_any_range(component, version, ranges)
            except UnknownVersion:
                continue
            checked += 1
    assert checked > 40_000
    assert outside < checked / 100


def test_an_unreadable_version_is_unknown_and_never_fine(osv):
    odd = [
        (component, ranges, version)
        for _, component, ranges, versions in packages(osv)
        for version in versions
        if not is_valid(component, version)
    ]
    assert odd, "the records used to have some"
    for component, ranges, version in odd:
        facts = Facts(component, "99999", "security", (Advisory(id="X", affected=tuple(ranges)),))
        assert judge(facts, [version]).status == "unknown"


def test_every_fix_makes_a_feed_item_that_is_taken_or_refused_with_its_field(osv):
    taken = refused = 0
    for id_, component, ranges, _ in packages(osv):
        fixes = [each.fixed for each in ranges if each.fixed]
        if not fixes:
            continue
        item = {
            "vendor": "pypa",
            "component": component,
            "version": fixes[-1],
            "kind": "security",
            "released_at": "2025-01-01T00:00:00Z",
            "advisories": [{"id": id_, "affected": [each.model_dump(exclude_none=True) for each in ranges]}],
        }
        try:
            parse_item(item)
            taken += 1
        except FeedItemsError as error:
            refused += 1
            assert all(problem.field for problem in error.problems)
    assert taken > 1_000
    assert refused < taken / 10


def rows(name):
    with (DATA / "ssvc" / name).open() as file:
        return list(csv.DictReader(file))


def test_what_is_known_to_be_exploited_is_due_as_early_as_bod_26_04_wants():
    """For critical groups, as the directive knows no criticality. Total impact is severity critical here."""
    days = {"14 days": 14, "3 days": 3, "3 days & forensic investigation": 3}
    for row in rows("cisa_bod_26_04_1_0_0.csv"):
        values = list(row.values())
        kev, exposed, impact, remediation = values[1], values[2], values[4], values[5]
        if kev != "yes":
            continue
        severity = "critical" if impact == "total" else "medium"
        group = Group(name="g", criticality="critical", exposure="open" if exposed == "yes" else "controlled")
        assert DUE_AFTER[security_urgency(severity, True, group)].days <= days[remediation]


def test_active_exploitation_is_never_more_than_a_step_behind_ssvc():
    """Human impact is criticality here, for severity high; automation is nothing that a feed says."""
    criticality = {"low": "low", "medium": "medium", "high": "high", "very high": "critical"}
    for row in rows("deployer_patch_application_priority_1_0_0.csv"):
        _, exploitation, exposure, _, impact, outcome = row.values()
        if exploitation != "active":
            continue
        group = Group(name="g", criticality=criticality[impact], exposure=exposure)
        ours = URGENCY_ORDER.index(security_urgency("high", True, group))
        assert ours >= URGENCY_ORDER.index(outcome) - 1
