"""A fleet of targets that a test moves by hand, under the real service."""

from datetime import UTC, datetime, timedelta

import pytest

from patchline_assessment.asking import Asker
from patchline_assessment.fleet_source import FleetSource
from patchline_assessment.service import service
from patchline_assessment.settings import Settings
from patchline_fleet.driver import Inventory, Unreachable
from patchline_fleet.drivers import Drivers
from patchline_kit.testing import ServiceHarness
from patchline_schemas.feeds import Advisory, AffectedRange, UpdatePublished
from patchline_schemas.fleet import InstalledPackage
from patchline_schemas.ids import update_id
from patchline_schemas.updates import UpdateAssessed

JINJA = "pkg:pypi/jinja2"
GROUPS = """\
groups:
  - {name: intranet, criticality: low, exposure: controlled, window: always}
  - {name: shop, criticality: high, exposure: open, window: always}
"""


class FakeDriver:
    """Answers with what a test has put on the targets."""

    ecosystems = frozenset({"pypi"})

    def __init__(self):
        self.installed: dict[str, dict[str, str]] = {}
        self.failing: dict[str, Exception] = {}
        self.asked: list[str] = []

    async def inventory(self, target, *, timeout):
        self.asked.append(target.id)
        if target.id in self.failing:
            raise self.failing[target.id]
        packages = self.installed.get(target.id, {})
        return Inventory(
            packages=tuple(
                InstalledPackage(component=f"pkg:pypi/{name}", version=version)
                for name, version in packages.items()
            ),
            runtime="cpython 3.11.7",
            environment=f"sha256:{sorted(packages.items())}",
        )


class World(ServiceHarness):
    """The service with a fleet file and a driver that the test holds."""

    def __init__(self, tmp_path, fleet_every=timedelta(seconds=2), tolerate_errors=False):
        self.file = tmp_path / "fleet.yaml"
        self.driver = FakeDriver()
        drivers = Drivers({"sim": lambda: self.driver})
        super().__init__(
            service,
            tmp_path=tmp_path,
            tolerate_errors=tolerate_errors,
            settings=Settings(dir=tmp_path, fleet=self.file, fleet_every=fleet_every),
            resources={
                FleetSource: FleetSource(self.file),
                Asker: Asker(drivers, at_once=4, timeout=timedelta(seconds=5)),
            },
        )

    def fleet(self, targets, *, groups=GROUPS):
        """Write the fleet file: groups by target id."""
        lines = [
            f"  - {{id: {id_}, group: {group}, driver: sim, path: sim}}" for id_, group in targets.items()
        ]
        self.file.write_text(groups + ("targets:\n" + "\n".join(lines) if lines else "targets: []") + "\n")

    def has(self, target, **packages):
        """Put packages on a target, by name."""
        self.driver.installed[target] = packages

    def breaks(self, target, reason="the environment is missing"):
        """Let a target not answer."""
        self.driver.failing[target] = Unreachable(reason)

    async def update(self, component=JINJA, version="3.1.6", **changes):
        """Publish an update; its id."""
        id_ = update_id(component, version)
        fields = {
            "vendor": "pallets",
            "kind": "security",
            "released_at": datetime(2025, 3, 5, tzinfo=UTC),
            "published_by": "ada",
            "advisories": (Advisory(id="CVE-1", severity="high", affected=(AffectedRange(fixed=version),)),),
        }
        await self.publish(
            UpdatePublished(update_id=id_, component=component, version=version, **(fields | changes))
        )
        await self.settle()
        return id_

    def said(self, id_):
        """The newest assessment of an update as ``{target: status}``, with its head."""
        pages = [event for event in self.published(UpdateAssessed) if event.update_id == id_]
        last = max(event.revision for event in pages)
        newest = [event for event in pages if event.revision == last]
        assert {event.page for event in newest} == set(range(1, newest[0].pages + 1))
        return newest[0], {each.target_id: each for event in newest for each in event.targets}

    async def ready(self):
        """Let the file be read and every target be asked."""
        await self.advance(timedelta(seconds=3))


@pytest.fixture
async def make_world(tmp_path):
    return lambda **options: World(tmp_path, **options)
