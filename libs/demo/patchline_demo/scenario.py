"""The five ways that the demo's updates go, and the truth about them, asked from the targets."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from patchline_demo.build import App

Update = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The built applications and how they were before the first update."""

    apps: Mapping[str, App]
    config_before: Mapping[str, str]

    @classmethod
    def before_updates(cls, apps: Iterable[App]) -> Fleet:
        """Remember how the applications are now."""
        by_id = {app.blueprint.id: app for app in apps}
        return cls(by_id, {name: config_digest(app.folder) for name, app in by_id.items()})

    def wrong_versions(self, package: str, expected: Mapping[str, str]) -> list[str]:
        """Where an environment itself reports another version than ``expected`` (by target)."""
        found = {name: self.apps[name].installed(package) for name in expected}
        return [
            f"{name} has {package} {found[name]}, not {version}"
            for name, version in expected.items()
            if found[name] != version
        ]

    def packages_not_as_built(self, name: str) -> list[str]:
        """Packages of one target that are not in the exact version it was built with."""
        pinned = (requirement.partition("==") for requirement in self.apps[name].blueprint.packages)
        return [
            problem
            for package, _, version in pinned
            for problem in self.wrong_versions(package, {name: version})
        ]


@dataclass(frozen=True, slots=True)
class Way:
    """One update of the feed, how it must end, and what must then be true."""

    component: str
    story: str
    ends: str
    problems: Callable[[Fleet, Update], list[str]]


def config_digest(folder: Path) -> str:
    """A digest over an application's configuration files."""
    digest = hashlib.sha256()
    for file in sorted((folder / "config").rglob("*")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _requests(fleet: Fleet, update: Update) -> list[str]:
    names = ("status-board", "price-watch", "card-gateway", "payouts")
    problems = fleet.wrong_versions("requests", dict.fromkeys(names, "2.32.4"))
    groups = [wave["group"] for wave in update["waves"] if wave["state"] == "verified"]
    if groups != ["intranet", "shop", "payments"]:
        problems.append(f"the verified waves are {groups}, not intranet, shop, payments")
    return problems


def _markupsafe(fleet: Fleet, update: Update) -> list[str]:
    problems = fleet.packages_not_as_built("handbook")
    if "soft_unicode" not in (update["error"] or ""):
        problems.append(f"the error does not name soft_unicode: {update['error']}")
    if any(entry["type"].startswith("dev.patchline.waves.due") for entry in update["history"]):
        problems.append("a wave became due although the test failed")
    return problems


def _pyjwt(fleet: Fleet, update: Update) -> list[str]:
    problems = fleet.wrong_versions("pyjwt", {"staff-login": "2.10.1"})
    problems += fleet.packages_not_as_built("customer-login")
    app = fleet.apps["customer-login"]
    if config_digest(app.folder) != fleet.config_before["customer-login"]:
        problems.append("customer-login's configuration is not what it was")
    deployed = _last_time_of(update, "dev.patchline.waves.deployed.v1")
    rolled_back = _last_time_of(update, "dev.patchline.waves.rolled-back.v1")
    if deployed is None or rolled_back is None:
        return [*problems, "the second wave was not deployed and rolled back"]
    with closing(sqlite3.connect(app.folder / "data" / "app.db")) as connection:
        (rows,) = connection.execute(
            "SELECT count(*) FROM rows WHERE written_at BETWEEN ? AND ?",
            (deployed.timestamp(), rolled_back.timestamp()),
        ).fetchone()
    if rows == 0:
        problems.append("no row that customer-login wrote between deployment and rollback is left")
    if not any(entry["type"] == "dev.patchline.waves.checks-passed.v1" for entry in update["history"][-30:]):
        problems.append("the second wave did not reach its soak")
    return problems


def _django(fleet: Fleet, update: Update) -> list[str]:
    return [f"{name} has django" for name, app in fleet.apps.items() if app.installed("django") is not None]


def _idna(fleet: Fleet, update: Update) -> list[str]:
    problems = fleet.wrong_versions("idna", {"name-registry": "3.7"})
    kinds = [entry["type"] for entry in update["history"]]
    if "dev.patchline.requests.accepted.v1" not in kinds:
        problems.append("no person's approval is in the history")
    return problems


def _last_time_of(update: Update, kind: str) -> datetime | None:
    times = [datetime.fromisoformat(entry["time"]) for entry in update["history"] if entry["type"] == kind]
    return times[-1] if times else None


WAYS: tuple[Way, ...] = (
    Way("pkg:pypi/requests", "goes through three waves", "completed", _requests),
    Way("pkg:pypi/markupsafe", "breaks an application and is caught in testing", "failed", _markupsafe),
    Way("pkg:pypi/pyjwt", "fails in its second wave's soak and is rolled back", "failed", _pyjwt),
    Way("pkg:pypi/django", "is needed by no target", "not-applicable", _django),
    Way("pkg:pypi/idna", "waits for a person", "completed", _idna),
)
APPROVED_BY_HAND = "pkg:pypi/idna"
