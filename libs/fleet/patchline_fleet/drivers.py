"""Finds the driver of a target among the installed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from patchline_fleet.driver import Driver, DriverError
from patchline_schemas.fleet import Target

GROUP = "patchline.drivers"
"""The entry point group by which a distribution offers drivers: ``name = "module:factory"``."""

Factory = Callable[[], Driver]


class Drivers:
    """The drivers by name, each made once, at its first use."""

    def __init__(self, factories: Mapping[str, Factory]) -> None:
        self._factories = dict(factories)
        self._made: dict[str, Driver] = {}

    @classmethod
    def installed(cls) -> Drivers:
        """All drivers that installed distributions offer through :data:`GROUP`."""
        return cls({point.name: _loader(point.name) for point in entry_points(group=GROUP)})

    @property
    def names(self) -> tuple[str, ...]:
        """Known drivers, sorted."""
        return tuple(sorted(self._factories))

    def for_target(self, target: Target) -> Driver:
        """The target's driver. Raises :class:`DriverError` for one that is not installed."""
        name = target.driver
        if name not in self._factories:
            raise DriverError(
                f"the target {target.id} wants the driver {name!r}, which is not installed; "
                f"there are: {', '.join(self.names) or 'none'}"
            )
        if name not in self._made:
            self._made[name] = self._factories[name]()
        return self._made[name]

    def problem(self, target: Target) -> str | None:
        """Why the target's ``settings`` cannot be used, as far as its driver says; None if they can."""
        try:
            check = getattr(self.for_target(target), "check_settings", None)
            if check is not None:
                check(target)
        except DriverError as error:
            return str(error)
        return None


def _loader(name: str) -> Factory:
    def load() -> Driver:
        (point,) = entry_points(group=GROUP, name=name)
        try:
            driver: Driver = point.load()()
        except Exception as error:
            raise DriverError(f"the driver {name!r} ({point.value}) cannot be loaded: {error}") from error
        return driver

    return load
