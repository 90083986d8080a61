"""Checks of the running Patchline, over its API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from textwrap import shorten
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from patchline_cli import exit_codes
from patchline_cli.client import Client
from patchline_cli.diagnosis import Diagnosis, fails, passes, skips, warns
from patchline_cli.failures import Failure
from patchline_cli.output import count

CLOCK_WARNS = 2.0
CLOCK_FAILS = 5.0
"""Seconds; a replica further off starts nothing."""
LAG_WARNS = 60.0
"""Age in seconds of the oldest record that a service has not handled."""
NAMED = 3
"""How many of a kind are named."""


def all_checks(client: Client, *, asked_for: bool) -> list[Diagnosis]:
    """Every check; with none running they are skipped, or the first fails if one was ``asked_for``."""
    reached = gateway(client, asked_for=asked_for)
    if reached.result != "pass":
        why = "no Patchline is reached."
        return [reached, *(skips(name, why) for name in CHECKS)]
    return [reached, *(_guarded(name, check, client) for name, check in CHECKS.items())]


def gateway(client: Client, *, asked_for: bool) -> Diagnosis:
    """Whether a Patchline answers, and lets us in."""
    try:
        client.get("/v1/updates", {"limit": 1})
    except Failure as failure:
        if failure.exit_code == exit_codes.UNREACHABLE and not asked_for:
            return skips("gateway", f"none runs at {client.url}.", "Start one with `patchline up`.")
        return fails("gateway", failure.explanation, failure.fix)
    return passes("gateway", f"{client.url} answers.")


def ready(client: Client) -> Diagnosis:
    """Whether every service of the gateway's process does its work; others it knows nothing of."""
    said = client.probe("/ready")
    stuck = [f"{name}: {what}" for name, state in said["services"].items() for what in state["stuck"]]
    if not said["ready"]:
        return fails(
            "services", "; ".join(said["reasons"]), "The log says more (patchline.log in the state folder)."
        )
    if stuck:
        return warns("services", f"Tried again and again: {_some(stuck)}.", "Put right what the error names.")
    if list(said["services"]) == ["gateway"]:
        return passes(
            "services", "The gateway is at work; the others say it at /ready of their own processes."
        )
    return passes("services", f"{count(len(said['services']), 'service')} at work.")


def lag(client: Client) -> Diagnosis:
    """Whether every service of the gateway's process keeps up with its topics."""
    families = {
        family.name: {sample.labels["service"]: sample.value for sample in family.samples}
        for family in text_string_to_metric_families(client.fetch("/metrics").decode())
        if family.name in ("patchline_lag_records", "patchline_oldest_unhandled_seconds")
    }
    ages = families.get("patchline_oldest_unhandled_seconds", {})
    behind = [name for name, age in sorted(ages.items()) if age > LAG_WARNS]
    if behind:
        oldest = max(ages.values())
        return warns(
            "lag",
            f"{_some(behind)}: the oldest unhandled record is {oldest:.0f} s old.",
            "See the check `services`.",
        )
    waiting = families.get("patchline_lag_records", {})
    return passes(
        "lag",
        f"{count(int(sum(waiting.values())), 'record')} waiting to be handled by"
        f" {count(len(waiting), 'service')}.",
    )


def clock(client: Client) -> Diagnosis:
    """Whether Patchline's clock and ours agree."""
    theirs, ours = client.time_there(), datetime.now(UTC)
    apart = abs((theirs - ours).total_seconds())
    what = f"Patchline's clock is {apart:.1f} s off this machine's."
    fix = "Let NTP set both clocks."
    if apart >= CLOCK_FAILS:
        return fails("clock", what, fix)
    if apart >= CLOCK_WARNS:
        return warns("clock", what, fix)
    return passes("clock", "Patchline's clock agrees with this machine's, to about a second.")


def watched_fleet(client: Client) -> Diagnosis:
    """Whether the fleet file that Patchline watches is in use."""
    state = client.get("/v1/fleet")
    if state["file"] is None:
        return warns("fleet", "Patchline was started without a fleet file.", "Start it with --fleet FILE.")
    if state["error"]:
        first = state["error"].splitlines()[0]
        return fails(
            "fleet", f"The newest {state['file']} is not used: {first}", "Correct it; it is read again."
        )
    there = f"{count(state['targets_total'], 'target')} in {count(state['groups_total'], 'group')}"
    return passes("fleet", f"{state['file']}: {there}.")


def targets(client: Client) -> Diagnosis:
    """Whether it is known what is installed everywhere."""
    unknown, total = [], 0
    for target in client.pages("/v1/targets"):
        total += 1
        if target["inventory_error"]:
            unknown.append(f"{target['id']} ({shorten(target['inventory_error'], 120, placeholder=' …')})")
    if unknown:
        return warns(
            "targets",
            f"{len(unknown)} of {count(total, 'target')} could not be asked: {_some(unknown)}.",
            "Make them reachable; they are asked again by themselves.",
        )
    return passes("targets", f"{count(total, 'target')}, each could be asked.")


def dead_letters(client: Client) -> Diagnosis:
    """Whether a service gave records up."""
    services = [letter["service"] for letter in client.pages("/v1/dead-letters")]
    if services:
        return warns(
            "dead-letters",
            f"{count(len(services), 'record')} given up, by {_some(sorted(set(services)))}.",
            "See `patchline dead-letters list`; replay them when the reason is gone.",
        )
    return passes("dead-letters", "None.")


def notices(client: Client) -> Diagnosis:
    """Whether people can be told."""
    retrying = list(client.pages("/v1/notices", {"state": "retrying"}))
    failed = list(client.pages("/v1/notices", {"state": "failed"}))
    if failed:
        return warns(
            "contacts",
            f"{count(len(failed), 'notice')} could not be delivered: {_contacts(failed)}.",
            "Correct the contacts in the fleet file; see `patchline notices --failed`.",
        )
    if retrying:
        return warns(
            "contacts",
            f"{count(len(retrying), 'notice')} could not be delivered yet: {_contacts(retrying)}.",
            "It is tried again by itself; if the contact is wrong, correct it in the fleet file. "
            "See `patchline notices`.",
        )
    return passes("contacts", "No notice has failed, none is being tried again.")


def _contacts(notices: Iterable[Mapping[str, Any]]) -> str:
    return _some(sorted({f"{notice['contact']} ({notice['error'].rstrip('.')})" for notice in notices}))


def updates(client: Client) -> Diagnosis:
    """Whether an update waits for a person to look."""
    waiting = [item["id"] for item in client.pages("/v1/updates", {"state": "needs-person"})]
    if waiting:
        return warns(
            "updates",
            f"{count(len(waiting), 'update')} waiting for a person: {_some(waiting)}.",
            f"See `patchline explain {waiting[0]}`.",
        )
    return passes("updates", "None needs a person.")


CHECKS: dict[str, Callable[[Client], Diagnosis]] = {
    "services": ready,
    "lag": lag,
    "clock": clock,
    "fleet": watched_fleet,
    "targets": targets,
    "dead-letters": dead_letters,
    "contacts": notices,
    "updates": updates,
}


def _guarded(name: str, check: Callable[[Client], Diagnosis], client: Client) -> Diagnosis:
    try:
        return check(client)
    except Failure as failure:
        return fails(name, failure.explanation, failure.fix)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
