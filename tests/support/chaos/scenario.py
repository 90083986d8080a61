"""The fleet and the updates of a run: each update touches ten simulated targets in two groups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.evidence import Expected, Outcome, PulsedWindow

BEFORE, AFTER = "1.0.0", "1.1.0"
TARGETS_EACH = 10
SHARING = 5
"""At least so many updates meet on a target; more in a long run, whose fleet does not grow on."""
MOST_POOLS = 60
WINDOW = PulsedWindow(135, minutes=3)
"""Long enough for the waves of sixty updates at once on a machine with nothing to spare: a wave that cannot
be backed up and deployed in one window begins anew in the next, and if none can, nothing is ever deployed."""
LATENCY = "PT0.03S"
"""Of each call to a target: long enough that kills hit some of them."""
POLICIES = "{approval: automatic, soak: PT1S, target_timeout: PT2M}"
FLEET = f"""\
groups:
  - {{name: early, criticality: low, window: always, contacts: ["file:notices.log"]}}
  - name: late
    criticality: high
    window: {{rrule: "FREQ=MINUTELY;INTERVAL={WINDOW.minutes};BYSECOND=0", duration: PT{WINDOW.seconds:g}S}}
policies: {POLICIES}
targets:
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is published over which fleet, and how each update must end."""

    expected: tuple[Expected, ...]
    packages: Mapping[str, tuple[str, ...]]
    """The components that each target has."""

    @classmethod
    def of(cls, updates: int) -> Scenario:
        """A scenario of ``updates``: most go through, every 12th breaks in testing, every 17th live.

        Those that break live have targets of their own: the checks of another update that is watched there
        would fail with them.
        """
        expected: list[Expected] = []
        packages: dict[str, list[str]] = {}
        shared = min(MOST_POOLS, max(1, -(-updates // SHARING)))
        for number in range(updates):
            outcome = _outcome(number)
            component = f"pkg:generic/app-{number}"
            pool = f"u{number}" if outcome == "rolled-back" else f"s{number % shared}"
            targets = tuple(_target(pool, place) for place in range(TARGETS_EACH))
            for target in targets:
                packages.setdefault(target, []).append(component)
            early = frozenset(target for target in targets if group_of(target) == "early")
            kept = early if outcome == "rolled-back" else frozenset()
            expected.append(Expected(component, AFTER, BEFORE, targets, outcome, kept))
        return cls(tuple(expected), {target: tuple(found) for target, found in packages.items()})

    @property
    def windows(self) -> Mapping[str, PulsedWindow]:
        """The targets that have a window."""
        return {target: WINDOW for target in self.packages if group_of(target) == "late"}

    def fleet(self) -> str:
        """The fleet file."""
        settings = {
            target: {"latency": LATENCY, "packages": " ".join(f"{each}@{BEFORE}" for each in components)}
            for target, components in self.packages.items()
        }
        for each in self.expected:
            for target in each.targets:
                fault = _fault(each.outcome, group_of(target))
                if fault:
                    others = settings[target].get(fault, "")
                    settings[target][fault] = f"{others} {each.component}@{AFTER}".strip()
        lines = [
            f"  - {{id: {target}, group: {group_of(target)}, driver: sim, path: sim, "
            f"checks: [{{command: ['check']}}], settings: {json.dumps(found)}}}\n"
            for target, found in settings.items()
        ]
        return FLEET + "".join(lines)

    def items(self) -> Iterator[list[dict[str, object]]]:
        """What is published, call by call; every seventh item comes again with another advisory."""
        for number, each in enumerate(self.expected):
            yield [_item(each.component, f"CHAOS-{number}")]
            if number % 7 == 3:
                yield [_item(each.component, f"CHAOS-{number}-MORE")]


def group_of(target: str) -> str:
    """A target's group: the first half of each ten is early."""
    return "early" if int(target.rpartition("-")[2]) < TARGETS_EACH // 2 else "late"


def _fault(outcome: Outcome, group: str) -> str | None:
    """The setting of a target on which an update ends like that, if it needs one."""
    if outcome == "failed-in-test":
        return "broken"
    return "bad" if outcome == "rolled-back" and group == "late" else None


def _outcome(number: int) -> Outcome:
    if number % 12 == 5:
        return "failed-in-test"
    return "rolled-back" if number % 17 == 7 else "completed"


def _target(pool: str, place: int) -> str:
    return f"{pool}-{place}"


def _item(component: str, advisory: str) -> dict[str, object]:
    return {
        "vendor": "chaos",
        "component": component,
        "version": AFTER,
        "kind": "security",
        "released_at": "2026-01-01T00:00:00Z",
        "advisories": [{"id": advisory, "severity": "high", "affected": [{"fixed": AFTER}]}],
    }
