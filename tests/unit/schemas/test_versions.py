import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchline_schemas.feeds import Advisory, AffectedRange
from patchline_schemas.versions import (
    ECOSYSTEMS,
    UnknownVersion,
    compare,
    exposed_to,
    in_any_range,
    in_range,
    is_valid,
    normal_form,
)

JINJA = "pkg:pypi/jinja2"

IN_ORDER = {
    "pypi": ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.10", "2!0.1"],
    "npm": ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.0", "1.10.0"],
    "cargo": ["0.9.0", "1.0.0-rc.1", "1.0.0", "1.0.1"],
    "golang": ["v0.0.0-20190101000000-abcdef", "v1.0.0", "v1.2.3", "v2.0.0+incompatible"],
    "composer": ["v1.9.9", "2.0.0-rc1", "2.0.0", "2.0.0.1"],
    "nuget": ["1.0.0-beta", "1.0.0", "1.0.0.4", "1.0.0.10", "1.0.1"],
    "generic": ["1", "1.1", "1.1.1", "1.1.1.2", "1.1.1.10"],
    "gem": ["1.0.0.pre1", "1.0.0", "1.0.0.1", "1.0.1"],
    "maven": ["1.0-alpha1", "1.0-rc1", "1.0", "1.0.1", "1.10"],
    "deb": ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u4", "1.0-1+deb12u10", "1.1-1", "1:0.5-1"],
    "rpm": ["1.0~rc1-1.el9", "1.0-1.el9", "1.0-10.el9", "1.1-1.el9", "1:0.5-1.el9"],
    "apk": ["1.0_rc1-r0", "1.0-r0", "1.0-r1", "1.1-r0"],
    "alpm": ["1.0rc1-1", "1.0-1", "1.0-2", "1.1-1", "1:0.5-1"],
}


def component(ecosystem):
    return f"pkg:{ecosystem}/thing"


def test_every_ecosystem_has_an_order_to_check():
    assert set(IN_ORDER) == set(ECOSYSTEMS)


@pytest.mark.parametrize("ecosystem", ECOSYSTEMS)
def test_versions_follow_the_order_of_their_ecosystem(ecosystem):
    versions = IN_ORDER[ecosystem]
    for i, a in enumerate(versions):
        for j, b in enumerate(versions):
            assert compare(component(ecosystem), a, b) == (i > j) - (i < j), (a, b)


@pytest.mark.parametrize(
    ("ecosystem", "a", "b"),
    [
        ("pypi", "1.0", "1.0.0"),
        ("pypi", "v1.0-rc1", "1.0rc1"),
        ("npm", "v1.2.3", "1.2.3+build.7"),
        ("generic", "1.2", "1.2.0"),
        ("golang", "v1.2.3", "1.2.3"),
        ("deb", "1.0-1", "1.00-1"),
    ],
)
def test_two_spellings_of_one_version_are_equal(ecosystem, a, b):
    assert compare(component(ecosystem), a, b) == 0


@pytest.mark.parametrize(
    ("ecosystem", "version"),
    [
        ("pypi", "banana"),
        ("pypi", ""),
        ("pypi", "1.0 2"),
        ("npm", "1.2.3.4"),
        ("npm", "latest"),
        ("deb", "not_a_version"),
        ("deb", "1.0 (amd64)"),
        ("rpm", "-"),
        ("maven", "${version}"),
        ("nuget", "1.2.3.4.5"),
        ("pypi", "1" * 200),
        ("generic", "\u0661.2"),
        ("hex", "1.0"),
    ],
)
def test_what_no_rule_can_read_is_an_error_and_never_a_version(ecosystem, version):
    assert not is_valid(component(ecosystem), version)
    with pytest.raises(UnknownVersion):
        compare(component(ecosystem), version, "1.0")
    with pytest.raises(UnknownVersion):
        in_range(component(ecosystem), version, AffectedRange())


@settings(deadline=None)
@given(st.sampled_from(ECOSYSTEMS), st.text(max_size=20), st.text(max_size=20))
def test_no_text_makes_comparing_crash(ecosystem, a, b):
    try:
        order = compare(component(ecosystem), a, b)
    except UnknownVersion:
        return
    assert order == -compare(component(ecosystem), b, a)


SOME_VERSIONS = st.from_regex(
    r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-?(a|rc|beta|alpha)\.?[0-9]{0,2})?", fullmatch=True
)


@settings(deadline=None)
@given(st.sampled_from(ECOSYSTEMS), SOME_VERSIONS, SOME_VERSIONS)
def test_versions_like_real_ones_never_crash_either(ecosystem, a, b):
    test_no_text_makes_comparing_crash.hypothesis.inner_test(ecosystem, a, b)


@pytest.mark.parametrize(
    ("version", "affected", "inside"),
    [
        ("3.1.5", AffectedRange(fixed="3.1.6"), True),
        ("3.1.6", AffectedRange(fixed="3.1.6"), False),
        ("3.1.6rc1", AffectedRange(fixed="3.1.6"), True),
        ("0.0.1", AffectedRange(introduced="0", fixed="3.1.6"), True),
        ("2.9", AffectedRange(introduced="3.0", fixed="3.1.6"), False),
        ("3.0", AffectedRange(introduced="3.0", fixed="3.1.6"), True),
        ("3.1.5", AffectedRange(last_affected="3.1.5"), True),
        ("3.1.6", AffectedRange(last_affected="3.1.5"), False),
        ("99", AffectedRange(introduced="3.0"), True),
    ],
)
def test_a_range_begins_with_its_first_version_and_ends_before_its_fix(version, affected, inside):
    assert in_range(JINJA, version, affected) is inside


def test_one_readable_range_that_holds_is_enough():
    ranges = [AffectedRange(fixed="?"), AffectedRange(fixed="3.1.6")]
    assert in_any_range(JINJA, "3.1.0", ranges)


def test_an_unreadable_range_is_not_taken_for_one_that_does_not_hold():
    with pytest.raises(UnknownVersion):
        in_any_range(JINJA, "3.1.7", [AffectedRange(fixed="?"), AffectedRange(fixed="3.1.6")])


def test_an_advisory_without_ranges_concerns_everything_before_the_update():
    advisory = Advisory(id="CVE-1")
    assert exposed_to(JINJA, "3.1.5", "3.1.6", advisory)
    assert not exposed_to(JINJA, "3.1.6", "3.1.6", advisory)


def test_a_version_of_pypi_has_one_spelling():
    assert normal_form(JINJA, "v3.1-rc1") == "3.1rc1"
    assert normal_form("pkg:deb/debian/x", "1:2~rc1-1") == "1:2~rc1-1"
