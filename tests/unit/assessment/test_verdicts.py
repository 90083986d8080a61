import pytest

from patchline_assessment.verdicts import Facts, judge
from patchline_schemas.feeds import Advisory, AffectedRange


def facts(*ranges, kind="security", version="3.1.6", ids=("CVE-1",)):
    advisories = tuple(Advisory(id=id_, affected=ranges) for id_ in ids)
    return Facts("pkg:pypi/jinja2", version, kind, advisories)


FIXED = AffectedRange(introduced="3.0", fixed="3.1.6")


@pytest.mark.parametrize(
    ("installed", "status", "reason"),
    [
        ("3.1.2", "affected", "jinja2 3.1.2 is older than 3.1.6 and exposed to CVE-1."),
        ("3.1.6rc1", "affected", "jinja2 3.1.6rc1 is older than 3.1.6 and exposed to CVE-1."),
        ("2.11.3", "not-affected", "jinja2 2.11.3 is older than 3.1.6, but in no affected range"),
        ("3.1.6", "not-affected", "jinja2 3.1.6 is what the update brings."),
        ("3.1.7", "not-affected", "jinja2 3.1.7 is newer than 3.1.6."),
        ("my-fork", "unknown", "Whether jinja2 my-fork needs 3.1.6 cannot be said"),
    ],
)
def test_a_security_update_is_for_versions_in_an_affected_range(installed, status, reason):
    verdict = judge(facts(FIXED), [installed])
    assert (verdict.status, verdict.installed_version) == (status, installed)
    assert verdict.reason.startswith(reason)


def test_a_newer_version_that_is_exposed_all_the_same_is_said_to_need_another_update():
    two_branches = (AffectedRange(fixed="2.4.1"), AffectedRange(introduced="3.0", fixed="3.0.2"))
    verdict = judge(facts(*two_branches, version="2.4.1"), ["3.0.1"])
    assert verdict.status == "not-affected"
    assert "yet exposed to CVE-1: it needs another update" in verdict.reason


def test_an_unreadable_range_makes_the_target_unknown():
    verdict = judge(facts(AffectedRange(fixed="???")), ["3.0"])
    assert verdict.status == "unknown"
    assert "CVE-1" in verdict.reason


def test_an_unreadable_range_hides_nothing_that_is_known():
    assert judge(facts(AffectedRange(fixed="???"), FIXED), ["3.1.2"]).status == "affected"


@pytest.mark.parametrize("kind", ["bugfix", "feature", "other"])
def test_other_updates_are_for_every_older_version(kind):
    assert judge(Facts("pkg:pypi/x", "2.0", kind, ()), ["1.0"]).status == "affected"
    assert judge(Facts("pkg:pypi/x", "2.0", kind, ()), ["2.0"]).status == "not-affected"


def test_a_security_update_without_advisories_is_for_every_older_version():
    assert judge(Facts("pkg:pypi/x", "2.0", "security", ()), ["1.0"]).status == "affected"


def test_of_several_installed_versions_the_worst_counts():
    verdict = judge(facts(FIXED), ["3.1.7", "3.1.2"])
    assert (verdict.status, verdict.installed_version) == ("affected", "3.1.2")


def test_a_long_list_of_advisories_is_cut_in_the_sentence_and_not_in_the_list():
    verdict = judge(facts(FIXED, ids=[f"CVE-{n}" for n in range(9)]), ["3.1.2"])
    assert "and 4 more" in verdict.reason
    assert len(verdict.advisories) == 9
