from datetime import timedelta
from itertools import pairwise, product

import pytest

from patchline_assessment.urgency import DUE_AFTER, URGENCY_ORDER, Exposed, decide, security_urgency
from patchline_schemas.advisories import SEVERITY_ORDER
from patchline_schemas.feeds import Advisory
from patchline_schemas.fleet import Group
from patchline_schemas.values import CRITICALITY_ORDER

EXPOSURE_ORDER = ("small", "controlled", "open")


def group(criticality="medium", exposure="controlled", name="shop"):
    return Group(name=name, criticality=criticality, exposure=exposure)


def weight(severity, exposure, criticality, exploited=False):
    return URGENCY_ORDER.index(security_urgency(severity, exploited, group(criticality, exposure)))


def decision(kind="security", *advisories, groups=None):
    return decide(kind, [Exposed(each, advisories) for each in groups or [group()]], {"CVE-1": "pallets"})


@pytest.mark.parametrize("exploited", [False, True])
def test_no_worse_input_makes_an_update_less_urgent(exploited):
    orders = (SEVERITY_ORDER, EXPOSURE_ORDER, CRITICALITY_ORDER)
    for inputs in product(*orders):
        for place, order in enumerate(orders):
            for better, worse in pairwise(order):
                low, high = ((*inputs[:place], each, *inputs[place + 1 :]) for each in (better, worse))
                assert weight(*low, exploited) <= weight(*high, exploited)


def test_known_exploitation_is_never_left_to_the_calendar():
    for severity, exposure, criticality in product(SEVERITY_ORDER, EXPOSURE_ORDER, CRITICALITY_ORDER):
        exploited = weight(severity, exposure, criticality, exploited=True)
        assert exploited >= max(weight(severity, exposure, criticality), URGENCY_ORDER.index("out-of-cycle"))


@pytest.mark.parametrize(
    ("severity", "exploited", "exposure", "criticality", "urgency"),
    [
        ("low", False, "small", "low", "defer"),
        ("high", False, "controlled", "low", "scheduled"),
        ("high", False, "open", "medium", "out-of-cycle"),
        ("critical", False, "open", "critical", "immediate"),
        ("low", True, "open", "low", "immediate"),
        ("low", True, "small", "low", "out-of-cycle"),
        ("high", True, "controlled", "high", "immediate"),
    ],
)
def test_the_table_says(severity, exploited, exposure, criticality, urgency):
    assert security_urgency(severity, exploited, group(criticality, exposure)) == urgency


def test_an_unknown_severity_counts_as_high_and_says_so():
    found = decision("security", Advisory(id="CVE-1"))
    known = decision("security", Advisory(id="CVE-1", severity="high"))
    assert found.urgency == known.urgency
    assert "unknown severity, taken as high" in found.rule
    values = {each.name: (each.value, each.origin) for each in found.inputs}
    assert values["severity of CVE-1"] == (None, "feed:pallets")
    assert values["severity assumed"] == ("high", "rule of urgency")


def test_a_security_update_without_any_advisory_counts_as_high():
    assert decision("security").urgency == decision("security", Advisory(id="X", severity="high")).urgency


def test_the_most_urgent_group_decides_and_is_named():
    found = decision(
        "security",
        Advisory(id="CVE-1", severity="critical"),
        groups=[group("low", "small", "lab"), group("critical", "open", "payments")],
    )
    assert found.urgency == "immediate"
    assert found.due_after == timedelta(days=3)
    assert found.rule == (
        "immediate: 3 days from publication, for severity critical, "
        "exposure open and criticality critical of group payments"
    )
    assert {each.origin for each in found.inputs} == {"feed:pallets", "fleet file, group payments"}


def test_the_worst_advisory_decides():
    found = decision(
        "security", Advisory(id="CVE-1", severity="low"), Advisory(id="CVE-2", severity="critical")
    )
    assert "severity critical" in found.rule


@pytest.mark.parametrize(
    ("kind", "urgency"), [("bugfix", "scheduled"), ("feature", "defer"), ("other", "defer")]
)
def test_other_kinds_follow_the_calendar(kind, urgency):
    assert decision(kind).urgency == urgency


def test_an_advisory_makes_any_kind_a_matter_of_security():
    assert decision("bugfix", Advisory(id="CVE-1", severity="critical")).urgency == "out-of-cycle"


def test_more_urgent_is_due_earlier():
    due = [DUE_AFTER[urgency] for urgency in URGENCY_ORDER]
    assert due == sorted(due, reverse=True)
