"""How an update's targets are cut into waves, and in which order the waves run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from patchline_schemas.fleet import Group
from patchline_schemas.updates import AssessedTarget, Representative
from patchline_schemas.values import CRITICALITY_ORDER
from patchline_schemas.waves import WaveTarget

MOST_REPRESENTATIVES = 500
MOST_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """The targets of one wave: those of ``group`` in the plan, from ``first`` to ``last`` by id."""

    group: str
    targets: tuple[WaveTarget, ...]

    @property
    def first(self) -> str:
        """The lowest target id."""
        return self.targets[0].target_id

    @property
    def last(self) -> str:
        """The highest target id."""
        return self.targets[-1].target_id


def needing(targets: Iterable[AssessedTarget], *, without: Collection[str] = ()) -> list[AssessedTarget]:
    """The targets that are affected by a known version, except those in ``without``."""
    return [
        target
        for target in targets
        if target.status == "affected" and target.installed_version and target.target_id not in without
    ]


def is_unknown(target: AssessedTarget) -> bool:
    """Whether nobody can say if the target needs the update, or from which version."""
    return target.status == "unknown" or (target.status == "affected" and not target.installed_version)


def lay_out(targets: Iterable[AssessedTarget], groups: Mapping[str, Group]) -> list[Chunk]:
    """Waves by criticality, low first; within it the smallest group first; one group a wave.

    A group with more targets than its policies' ``wave_size`` gets several waves.
    """
    by_group: defaultdict[str, list[WaveTarget]] = defaultdict(list)
    for target in targets:
        by_group[target.group].append(wave_target(target))
    names = sorted(by_group, key=lambda name: order_of(groups[name], len(by_group[name])))
    chunks = []
    for name in names:
        members = sorted(by_group[name], key=lambda each: each.target_id)
        size = groups[name].policies.wave_size
        chunks += [
            Chunk(name, tuple(members[begin : begin + size])) for begin in range(0, len(members), size)
        ]
    return chunks


def order_of(group: Group, size: int) -> tuple[int, int, str]:
    """Sorts groups into the order of their waves."""
    return CRITICALITY_ORDER.index(group.criticality), size, group.name


def wave_target(target: AssessedTarget) -> WaveTarget:
    """An affected target as its wave knows it."""
    if target.installed_version is None:
        raise ValueError(f"the version on {target.target_id} is unknown, so it can be in no wave")
    return WaveTarget(
        target_id=target.target_id, from_version=target.installed_version, environment=target.environment
    )


def representatives(targets: Iterable[WaveTarget]) -> tuple[tuple[Representative, ...], int]:
    """One target for each distinct environment, the most common first, and how many there are.

    Of more than 500 environments the rarest are left out. A target whose environment is unknown stands for
    itself.
    """
    by_environment: defaultdict[str, list[WaveTarget]] = defaultdict(list)
    for target in targets:
        by_environment[target.environment or f"target:{target.target_id}"].append(target)
    ranked = sorted(by_environment.items(), key=lambda item: (-len(item[1]), item[0]))
    chosen = []
    for environment, members in ranked[:MOST_REPRESENTATIVES]:
        stands = min(members, key=lambda each: each.target_id)
        chosen.append(
            Representative(
                environment=environment,
                target_id=stands.target_id,
                from_version=stands.from_version,
                targets_total=len(members),
            )
        )
    return tuple(chosen), len(ranked)


def way_back(component: str, version: str, targets: Iterable[WaveTarget]) -> tuple[str, ...]:
    """The rollback plan in sentences, one for each version that targets come from."""
    by_version: defaultdict[str, int] = defaultdict(int)
    for target in targets:
        by_version[target.from_version] += 1
    name = component.rpartition("/")[2]
    sentences = [
        f"{'1 target goes' if count == 1 else f'{count} targets go'} back from {name} {version} to {old}, "
        "with the exact packages and configuration in the backup taken when the wave becomes due."
        for old, count in sorted(by_version.items(), key=lambda item: (-item[1], item[0]))
    ]
    if len(sentences) > MOST_SENTENCES:
        left = len(sentences) - MOST_SENTENCES
        sentences[MOST_SENTENCES:] = [f"Targets with {left} further versions go back in the same way."]
    return tuple(sentences)


def within(
    targets: Iterable[AssessedTarget],
    group: str,
    first: str,
    last: str,
    *,
    without: Collection[str] = (),
) -> tuple[WaveTarget, ...]:
    """The targets of the wave that holds ``group`` from ``first`` to ``last`` by id, except ``without``."""
    chosen = [
        wave_target(target)
        for target in targets
        if target.group == group and first <= target.target_id <= last and target.target_id not in without
    ]
    return tuple(sorted(chosen, key=lambda each: each.target_id))


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new assessment changes about targets that are already in waves that have not started."""

    added: tuple[AssessedTarget, ...]
    dropped: frozenset[str]
    changed: Mapping[str, WaveTarget]
    """Targets that come from another version now, so that the test must be done again.

    Another environment alone does not count: every update of any package makes one.
    """

    def changes_anything(self) -> bool:
        """Whether it changes anything."""
        return bool(self.added or self.dropped or self.changed)


def compare(planned: Mapping[str, Sequence[WaveTarget]], assessed: Iterable[AssessedTarget]) -> Difference:
    """Hold the targets of waves that have not started, by their group, against a new assessment.

    A target that has become unknown keeps its place: unknown is not "no longer affected". One that is in
    another group now does not: it is dropped here, and added there if it needs the update.
    """
    assessed = list(assessed)
    at = {target.target_id: target.group for target in assessed}
    need = needing(assessed)
    now = {target.target_id: wave_target(target) for target in need}
    unknown = {target.target_id for target in assessed if is_unknown(target)}
    keeping = {
        target.target_id: target
        for group, targets in planned.items()
        for target in targets
        if at.get(target.target_id, group) == group
    }
    all_planned = {target.target_id for targets in planned.values() for target in targets}
    return Difference(
        added=tuple(target for target in need if target.target_id not in keeping),
        dropped=frozenset(all_planned - (keeping.keys() & (now.keys() | unknown))),
        changed={
            id: now[id]
            for id, target in keeping.items()
            if id in now and now[id].from_version != target.from_version
        },
    )
