from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from patchline_assessment.inventory import Inventory, changed, next_ask, packages_of, retry_after
from patchline_fleet.driver import Inventory as Answer
from patchline_schemas.fleet import InstalledPackage, Target

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TARGET = Target(id="wiki", group="intranet", driver="venv")
VERSIONS = st.dictionaries(st.sampled_from("abc"), st.just(("1",)) | st.just(("2",)))


def answer(*packages):
    installed = tuple(InstalledPackage(component=c, version=v) for c, v in packages)
    return Answer(packages=installed, runtime=None, environment="e")


def test_components_are_kept_in_normal_form_and_strange_ones_as_they_are():
    found = packages_of(answer(("pkg:pypi/Jinja2", "3.1"), ("weird thing", "1"), ("pkg:pypi/jinja2", "3.0")))
    assert found == {"pkg:pypi/jinja2": ("3.0", "3.1"), "weird thing": ("1",)}


@settings(deadline=None)
@given(VERSIONS, VERSIONS)
def test_a_change_names_exactly_what_differs(before, after):
    difference = changed(before, after)
    assert {name for name in "abc" if before.get(name) != after.get(name)} == set(difference)
    assert all(versions == before.get(name, ()) for name, versions in difference.items())


def test_a_target_is_found_by_what_it_has_only_while_that_is_known():
    inventory = Inventory(
        id="wiki",
        revision=1,
        target=TARGET,
        state="known",
        packages={"pkg:pypi/x": ("1",)},
        ecosystems=("pypi",),
    )
    assert inventory.tags() == {"answered", "component:pkg:pypi/x"}
    inventory.state = "unknown"
    assert inventory.tags() == {"answered", "unknown:pypi"}
    inventory.state, inventory.ecosystems = "awaited", None
    assert inventory.tags() == {"unknown:*"}
    inventory.removed = True
    assert inventory.tags() == frozenset()


@settings(deadline=None)
@given(st.text(min_size=1))
def test_targets_are_asked_again_after_their_time_and_a_tenth_at_most(target):
    assert NOW + HOUR <= next_ask(target, NOW, HOUR) <= NOW + HOUR * 1.1


def test_a_target_that_does_not_answer_is_asked_less_and_less_often():
    waits = [retry_after(failures, HOUR) for failures in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=5), timedelta(minutes=5))
    assert retry_after(9, timedelta(seconds=30)) == timedelta(seconds=30)
