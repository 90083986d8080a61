"""The fleet and the updates of a run: each update touches ten simulated targets in two groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.evidence import Expected, Outcome, PulsedWindow

BEFORE, AFTER = "1.0.0", "1.1.0"
TARGETS_EACH = 10
SHARING = 5
"""So many updates meet on a target."""
WINDOW = PulsedWindow(40)
LATENCY = "PT0.03S"
"""Of each call to a target: long enough that kills hit some of them."""
POLICIES = "{approval: automatic, soak: PT1S, target_timeout: PT2M}"
FLEET = f"""\
groups:
  - {{name: early, criticality: low, window: always, contacts: ["file:notices.log"]}}
  - name: late
    criticality: high
    window: {{rrule: "FREQ=MINUTELY;BYSECOND=0", duration: PT{WINDOW.seconds:g}S}}
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
        """A scenario of ``updates``: most go through, every 12th breaks in testing, every 17th live."""
        expected: list[Expected] = []
        packages: dict[str, list[str]] = {}
        shared = max(1, -(-updates // SHARING))
        for number in range(updates):
            outcome = _outcome(number)
            component = f"pkg:generic/app-{number}"
            pool = f"s{number % shared}" if outcome == "completed" else f"u{number}"
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
        faults = {
            target: f", {'broken' if each.outcome == 'failed-in-test' else 'bad'}: '{each.component}@{AFTER}'"
            for each in self.expected
            if each.outcome != "completed"
            for target in each.targets
            if each.outcome == "failed-in-test" or group_of(target) == "late"
        }
        lines = [
            f"  - {{id: {target}, group: {group_of(target)}, driver: sim, path: sim, "
            f"checks: [{{command: ['check']}}], settings: {{latency: {LATENCY}, "
            f"packages: '{' '.join(f'{each}@{BEFORE}' for each in components)}'{faults.get(target, '')}}}}}\n"
            for target, components in self.packages.items()
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
