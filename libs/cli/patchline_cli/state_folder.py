"""The state folder, read without a running Patchline."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchline_cli.failures import wrong_use

if TYPE_CHECKING:
    from patchline_kit.store.port import Store

Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The state folder. (env: PATCHLINE_DIR; default: .patchline)"),
]


def state_folder(given: Path | None) -> Path:
    """The folder that the option, the environment or the default names."""
    return given or Path(os.environ.get("PATCHLINE_DIR") or ".patchline")


@asynccontextmanager
async def store_of(service: str, folder: Path) -> AsyncIterator[Store]:
    """A service's documents in the folder, to look at. Raises :class:`Failure` if there are none."""
    from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore  # noqa: PLC0415 - slow to import

    path = folder / "store.db"
    if not path.is_file():
        raise wrong_use(
            f"There is no Patchline in {folder}: {path} is missing.",
            fix="Name its state folder with --dir or PATCHLINE_DIR.",
        )
    database = SqliteDatabase(path)
    try:
        yield SqliteStore(database, service)
    finally:
        await database.close()
