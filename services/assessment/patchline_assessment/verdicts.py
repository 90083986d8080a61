"""What an update means for one target, by what is installed there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchline_schemas.components import short_name
from patchline_schemas.feeds import Advisory
from patchline_schemas.values import AssessmentStatus, Kind
from patchline_schemas.versions import UnknownVersion, compare, exposed_to

_WORST_FIRST: tuple[AssessmentStatus, ...] = ("affected", "unknown", "not-affected")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether a target needs an update."""

    component: str
    version: str
    kind: Kind
    advisories: tuple[Advisory, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target needs an update, and why."""

    status: AssessmentStatus
    reason: str
    """A sentence."""
    installed_version: str
    advisories: tuple[str, ...] = ()
    """Ids of those that the installed version is exposed to."""

    def weighs_like(self, other: Verdict) -> bool:
        """Whether nothing differs that anybody acts on, as the version on an unaffected target."""
        if self.status == other.status == "not-affected":
            return True
        return (self.status, self.installed_version, self.advisories) == (
            other.status,
            other.installed_version,
            other.advisories,
        )


def judge(facts: Facts, installed: Iterable[str]) -> Verdict:
    """The verdict on a target with one or more ``installed`` versions of the component: the worst counts."""
    verdicts = [_judge_one(facts, version) for version in sorted(set(installed))]
    return min(verdicts, key=lambda each: _WORST_FIRST.index(each.status))


def _judge_one(facts: Facts, installed: str) -> Verdict:
    name = short_name(facts.component)
    try:
        order = compare(facts.component, installed, facts.version)
    except UnknownVersion as error:
        reason = f"Whether {name} {installed} needs {facts.version} cannot be said: {error}."
        return Verdict("unknown", reason, installed)
    if order < 0:
        return _judge_older(facts, installed)
    exposed, _ = _exposure(facts, installed)
    current = f"{name} {installed} is what the update brings."
    reason = _newer(name, installed, facts.version, exposed) if order else current
    return Verdict("not-affected", reason, installed)


def _judge_older(facts: Facts, installed: str) -> Verdict:
    exposed, unreadable = _exposure(facts, installed)
    older = f"{short_name(facts.component)} {installed} is older than {facts.version}"
    if exposed:
        return Verdict("affected", f"{older} and exposed to {_listed(exposed)}.", installed, exposed)
    if facts.kind != "security" or not facts.advisories:
        return Verdict("affected", f"{older}.", installed)
    if unreadable:
        return Verdict("unknown", f"{older}; whether it is affected cannot be said: {unreadable}.", installed)
    return Verdict("not-affected", f"{older}, but in no affected range of its advisories.", installed)


def _exposure(facts: Facts, installed: str) -> tuple[tuple[str, ...], str | None]:
    exposed: list[str] = []
    unreadable: str | None = None
    for advisory in facts.advisories:
        try:
            if exposed_to(facts.component, installed, facts.version, advisory):
                exposed.append(advisory.id)
        except UnknownVersion as error:
            unreadable = f"{advisory.id}: {error}"
    return tuple(exposed), unreadable


def _newer(name: str, installed: str, version: str, exposed: Sequence[str]) -> str:
    sentence = f"{name} {installed} is newer than {version}"
    if exposed:
        return f"{sentence}, yet exposed to {_listed(exposed)}: it needs another update."
    return f"{sentence}."


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
