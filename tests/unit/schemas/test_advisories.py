from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchline_schemas.advisories import merged, weightier_kind, worse_severity
from patchline_schemas.feeds import Advisory, AffectedRange

IDS = st.sampled_from(["CVE-1", "CVE-2", "GHSA-a", "GHSA-b"])
RANGES = st.builds(AffectedRange, fixed=st.sampled_from(["1.0", "2.0"]))
ADVISORIES = st.builds(
    Advisory,
    id=IDS,
    aliases=st.lists(IDS, max_size=2, unique=True).map(tuple),
    severity=st.sampled_from([None, "low", "high", "critical"]),
    affected=st.lists(RANGES, max_size=2).map(tuple),
    exploited=st.sampled_from([None, False, True]),
    summary=st.sampled_from([None, "short", "longer words"]),
)
ACCOUNTS = st.lists(ADVISORIES, max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACCOUNTS, ACCOUNTS)
def test_the_order_of_accounts_does_not_matter(some, others):
    assert merged(merged((), some), others) == merged(merged((), others), some)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACCOUNTS)
def test_saying_it_again_changes_nothing(accounts):
    once = merged((), accounts)
    assert merged(once, accounts) == once


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACCOUNTS)
def test_no_two_of_the_result_are_the_same_weakness(accounts):
    result = merged((), accounts)
    names = [name for each in result for name in (each.id, *each.aliases)]
    assert len(names) == len(set(names))
    assert set(names) == {name for each in accounts for name in (each.id, *each.aliases)}


def test_an_alias_joins_two_accounts_under_the_cve():
    (one,) = merged(
        [Advisory(id="GHSA-a", aliases=("CVE-1",), severity="medium", exploited=False)],
        [Advisory(id="CVE-1", severity="high", affected=(AffectedRange(fixed="2.0"),), exploited=True)],
    )
    assert (one.id, one.aliases) == ("CVE-1", ("GHSA-a",))
    assert (one.severity, one.exploited, one.affected) == ("high", True, (AffectedRange(fixed="2.0"),))


def test_a_known_severity_counts_before_an_unknown_one():
    assert worse_severity(None, "low") == "low"
    assert worse_severity("critical", "low") == "critical"
    assert worse_severity(None, None) is None


def test_security_outweighs_other_kinds():
    assert weightier_kind("bugfix", "security") == "security"
    assert weightier_kind("feature", "other") == "feature"
