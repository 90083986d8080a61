"""What comes from outside: feeds and the fleet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from patchline_schemas import feeds, fleet
from patchline_schemas.examples.shared import DIGEST, ENVIRONMENT, JINJA, UPDATE, Examples, at

ADVISORY = feeds.Advisory(
    id="CVE-2025-27516",
    aliases=("GHSA-cpwx-vrp4-4pq7",),
    severity="high",
    affected=(feeds.AffectedRange(introduced="0", fixed="3.1.6"),),
)


def feed_examples() -> Iterable[Examples]:
    """Examples of feeds."""
    head = {"update_id": UPDATE, "vendor": "palletsprojects", "component": JINJA, "version": "3.1.6"}
    usual = feeds.UpdatePublished(
        **head,
        kind="security",
        released_at=at(-600),
        advisories=(ADVISORY,),
        notes_url="https://example.org/notes",
        published_by="ada",
    )
    yield Examples(
        usual,
        usual.model_copy(
            update={
                "advisories": (feeds.Advisory(id="EXAMPLE-2026-1", exploited=True),),
                "notes_url": None,
                "emergency": True,
                "restart_required": True,
            }
        ),
    )
    more = feeds.Advisory(
        id="EXAMPLE-2026-2",
        severity=None,
        affected=(feeds.AffectedRange(introduced="3.0", last_affected="3.1.5"),),
    )
    yield Examples(
        feeds.AdvisoryPublished(**head, advisories=(ADVISORY,)),
        feeds.AdvisoryPublished(
            **head, advisories=(more,), kind="security", restart_required=True, emergency=True
        ),
    )
    yield Examples(
        feeds.UpdateRetracted(**head, reason="The release breaks async templates.", retracted_by="ada"),
        feeds.UpdateRetracted(**head, reason="Withdrawn."),
    )


def fleet_examples() -> Iterable[Examples]:
    """Examples of fleet."""
    plain = fleet.Group(name="intranet", criticality="low")
    careful = fleet.Group(
        name="payments",
        criticality="critical",
        exposure="open",
        window=fleet.RecurringWindow(
            rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2), timezone="Europe/Berlin"
        ),
        notice=timedelta(days=2),
        contacts=("file:notices/payments.log",),
        policies=fleet.Policies(
            approval=fleet.Approval(minimum_approvers=2, not_the_requester=True),
            soak=timedelta(hours=1),
            on_failure="roll-back-all",
            required_notice=True,
        ),
    )
    freeze = fleet.Freeze(starts_at=at(0, day=20), ends_at=at(0, day=30), reason="end of the quarter")
    yield Examples(
        fleet.GroupRegistered(revision=1, group=plain),
        fleet.GroupRegistered(revision=7, group=careful, freezes=(freeze,)),
    )
    yield Examples(
        fleet.GroupRemoved(revision=2, group="intranet"),
        fleet.GroupRemoved(revision=8, group="payments"),
    )
    yield Examples(
        fleet.TargetRegistered(
            revision=1,
            target=fleet.Target(
                id="wiki",
                group="intranet",
                driver="venv",
                path="/srv/wiki",
                venv="/srv/wiki/.venv",
                checks=(
                    fleet.CommandCheck(command=(".venv/bin/python", "-m", "wiki.selfcheck")),
                    fleet.HttpCheck(http="http://127.0.0.1:8101/health"),
                ),
                restart=fleet.Restart(command=("./restart.sh",)),
                backup=fleet.BackupRules(paths=("config", "data")),
            ),
        ),
        fleet.TargetRegistered(
            revision=7, target=fleet.Target(id="sim-00001", group="payments", driver="sim")
        ),
    )
    yield Examples(
        fleet.TargetRemoved(revision=2, target_id="wiki", group="intranet"),
        fleet.TargetRemoved(revision=8, target_id="sim-00001", group="payments"),
    )
    yield Examples(
        fleet.FleetFileRead(
            revision=1, path="/etc/patchline/fleet.yaml", digest=DIGEST, groups_total=2, targets_total=12
        ),
        fleet.FleetFileRead(
            revision=8, path="/etc/patchline/fleet.yaml", digest=DIGEST, groups_total=0, targets_total=0
        ),
    )
    yield Examples(
        fleet.FleetFileRefused(
            revision=1,
            path="/etc/patchline/fleet.yaml",
            digest=DIGEST,
            error="fleet.yaml:14: targets[2].group: there is no group 'shpo'; did you mean 'shop'?",
        ),
        fleet.FleetFileRefused(
            revision=0, path="/etc/patchline/fleet.yaml", digest="", error="fleet.yaml: cannot be read"
        ),
    )
    report = fleet.InventoryReported(
        target_id="wiki",
        group="intranet",
        collected_at=at(0),
        runtime="cpython 3.11.7",
        packages=(
            fleet.InstalledPackage(component=JINJA, version="3.1.2"),
            fleet.InstalledPackage(component="pkg:pypi/markupsafe", version="2.1.5"),
        ),
        environment=ENVIRONMENT,
    )
    yield Examples(report, report.model_copy(update={"packages": (), "runtime": None}))
    yield Examples(
        fleet.InventoryFailed(
            target_id="wiki", group="intranet", attempted_at=at(0), reason="/srv/wiki/.venv is missing"
        ),
        fleet.InventoryFailed(
            target_id="sim-00001", group="payments", attempted_at=at(5), reason="no answer within PT30S"
        ),
    )
