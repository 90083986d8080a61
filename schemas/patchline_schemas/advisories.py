"""Several accounts of one weakness, made into one: what feeds publishes and assessment keeps.

The rules do not depend on the order in which accounts arrive, and saying a thing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TypeVar

from patchline_schemas.feeds import Advisory, AffectedRange
from patchline_schemas.values import Kind, Severity

SEVERITY_ORDER: tuple[Severity, ...] = ("low", "medium", "high", "critical")
KIND_ORDER: tuple[Kind, ...] = ("other", "feature", "bugfix", "security")

T = TypeVar("T", Severity, Kind)


def merged(known: Iterable[Advisory], more: Iterable[Advisory]) -> tuple[Advisory, ...]:
    """``known`` with ``more``, sorted by id; accounts that share an id or alias become one.

    The worse severity counts, exploitation once seen stays, ranges are joined. An account without ranges
    adds none to one that has some.
    """
    result: list[Advisory] = []
    for advisory in (*known, *more):
        same = [other for other in result if _names(other) & _names(advisory)]
        result = [other for other in result if other not in same]
        result.append(reduce(_joined, same, _joined(advisory, advisory)))
    return tuple(sorted(result, key=lambda advisory: advisory.id))


def worse_severity(a: Severity | None, b: Severity | None) -> Severity | None:
    """The worse of two; a known one before an unknown one."""
    return _higher(a, b, SEVERITY_ORDER)


def weightier_kind(a: Kind, b: Kind) -> Kind:
    """The kind of an update of which one account says ``a`` and another ``b``."""
    return _higher(a, b, KIND_ORDER) or a


def _joined(a: Advisory, b: Advisory) -> Advisory:
    names = _names(a) | _names(b)
    id_ = min(names & {a.id, b.id}, key=_id_rank)
    said = [each for each in (a.exploited, b.exploited) if each is not None]
    summaries = [each for each in (a.summary, b.summary) if each]
    return Advisory(
        id=id_,
        aliases=tuple(sorted(names - {id_})),
        severity=worse_severity(a.severity, b.severity),
        affected=tuple(sorted({*a.affected, *b.affected}, key=_range_rank)),
        exploited=any(said) if said else None,
        summary=max(summaries, key=lambda text: (len(text), text), default=None),
    )


def _names(advisory: Advisory) -> set[str]:
    return {advisory.id, *advisory.aliases}


def _id_rank(id_: str) -> tuple[bool, str]:
    return (not id_.startswith("CVE-"), id_)


def _range_rank(affected: AffectedRange) -> tuple[str, str, str]:
    return (affected.introduced, affected.fixed or "", affected.last_affected or "")


def _higher(a: T | None, b: T | None, order: tuple[T, ...]) -> T | None:
    known = [each for each in (a, b) if each is not None]
    return max(known, key=order.index, default=None)
