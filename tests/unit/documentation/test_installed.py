"""The record of what is installed."""

from datetime import UTC, datetime, timedelta

from patchline_documentation.installed import Installed, Observed, observations, observe
from patchline_schemas.examples import examples
from patchline_schemas.fleet import InstalledPackage, InventoryReported
from patchline_schemas.updates import UpdatePlanned
from patchline_schemas.waves import WaveRolledBack, WaveVerified

NINE = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def seen(minute, *, whole=False, update=None, **versions):
    packages = tuple(InstalledPackage(component=name, version=text) for name, text in versions.items())
    at = NINE + timedelta(minutes=minute)
    return Observed(to="wiki", at=at, event_id=f"e{minute}", update_id=update, packages=packages, whole=whole)


def after(*observed):
    record = Installed(id="wiki")
    for each in observed:
        observe(record, each)
    return {name: (each.version, each.event_id) for name, each in record.components.items()}


def test_a_version_that_stays_keeps_its_since():
    assert after(seen(0, whole=True, a="1"), seen(5, whole=True, a="1")) == {"a": ("1", "e0")}


def test_an_update_replaces_the_version():
    assert after(seen(0, whole=True, a="1", b="1"), seen(5, update="u", a="2")) == {
        "a": ("2", "e5"),
        "b": ("1", "e0"),
    }


def test_a_whole_inventory_shows_what_is_gone():
    assert after(seen(0, whole=True, a="1", b="1"), seen(5, whole=True, a="1")) == {"a": ("1", "e0")}


def test_an_older_observation_changes_nothing_newer():
    newest = seen(5, update="u", a="2")
    assert after(newest, seen(0, whole=True, a="1")) == {"a": ("2", "e5")}
    assert after(newest, seen(0, whole=True, b="1")) == {"a": ("2", "e5"), "b": ("1", "e0")}
    assert after(seen(5, whole=True, a="2"), seen(0, whole=True, a="1", b="1")) == {"a": ("2", "e5")}


def test_what_events_say_of_targets():
    pairs = examples()
    (verified,) = observations(pairs[WaveVerified].usual, "e1", NINE)
    assert [(p.component, p.version) for p in verified.packages] == [("pkg:pypi/jinja2", "3.1.6")]
    (back,) = observations(pairs[WaveRolledBack].usual, "e2", NINE)
    assert [(p.component, p.version) for p in back.packages] == [("pkg:pypi/jinja2", "3.1.2")]
    (inventory,) = observations(pairs[InventoryReported].usual, "e3", NINE)
    assert inventory.whole
    assert list(observations(pairs[UpdatePlanned].usual, "e4", NINE)) == []
