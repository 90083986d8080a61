"""A disposable copy of an application: folder, configuration, data and environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from patchline_fleet.files import copy_tree
from patchline_fleet.venv_app.applylog import refuse_half_changed
from patchline_fleet.venv_app.backup import copy_live
from patchline_fleet.venv_app.environment import Environment, look
from patchline_fleet.venv_app.lock import STATE, shared
from patchline_fleet.venv_app.place import Place

SIGN = "PATCHLINE_REHEARSAL"
"""Set to 1 for commands in a copy, so that one which must not run there can tell."""
LARGEST_REWRITTEN = 4 * 1024 * 1024
"""Bytes; no script or path file is longer."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Where an application was copied from and to."""

    original: Place
    place: Place

    @property
    def environment(self) -> Environment:
        """What the copy's environment says now."""
        return look(self.place.environment, folder=self.place.folder)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a command in the copy."""
        return {**os.environ, SIGN: "1"}

    def here(self, text: str) -> str:
        """The text with the original's paths replaced by the copy's."""
        inner = text.replace(str(self.original.environment), str(self.place.environment))
        return inner.replace(str(self.original.folder), str(self.place.folder))

    def there(self, text: str) -> str:
        """The text with the copy's paths replaced by the original's, where a person finds the same files."""
        outer = text.replace(str(self.place.environment), str(self.original.environment))
        return outer.replace(str(self.place.folder), str(self.original.folder))


def make_replica(original: Place, workspace: Path, *, wait: float) -> Replica:
    """Copy the application below ``workspace``.

    All of its folder is copied (databases as one consistent state), and its environment, whose scripts and
    path files are set to the copy. A link that leads out of the folder still leads there.
    """
    folder = workspace / "app"
    if original.environment.is_relative_to(original.folder):
        environment = folder / original.environment.relative_to(original.folder)
    else:
        environment = workspace / "environment"
    copy = Replica(original, Place(folder, environment, original.paths, original.restore))
    with shared(original.folder, wait=wait):
        refuse_half_changed(original.folder, original.state)
        look(original.environment, folder=original.folder).must_be_whole()
        copy_live(original.folder, folder, passed_over=lambda path: _left_out(path, original))
        copy_tree(original.environment, environment)
    for path in _files_that_name_paths(copy.environment):
        _rewrite(path, copy)
    return copy


def _left_out(path: Path, original: Place) -> bool:
    return path == original.environment or path.name in (STATE, "__pycache__")


def _files_that_name_paths(environment: Environment) -> Iterator[Path]:
    """Scripts, and what makes an editable installation work."""
    yield from environment.scripts.iterdir()
    for site in environment.sites:
        yield from site.glob("*.pth")
        yield from site.glob("__editable__*.py")


def _rewrite(path: Path, copy: Replica) -> None:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_REWRITTEN:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    if text != (changed := copy.here(text)):
        path.write_text(changed, encoding="utf-8")
