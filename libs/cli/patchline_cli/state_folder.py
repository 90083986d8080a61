"""The state folder, and the store that belongs to it, read without a running Patchline."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use

if TYPE_CHECKING:
    from patchline_cli.session import Session
    from patchline_kit.store.port import Store

Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The state folder. (env: PATCHLINE_DIR; default: .patchline)"),
]

SET_MONGO = "Set PATCHLINE_MONGO as it is set there; for `up --native` that is mongodb://127.0.0.1:27017."


def state_folder(given: Path | None) -> Path:
    """The folder that the option, the environment or the default names."""
    return given or Path(os.environ.get("PATCHLINE_DIR") or ".patchline")


def state_folder_of(session: Session, given: Path | None) -> Path:
    """The folder that is named, or else that of the Patchline which the session's address leads to.

    A folder `.patchline` in the working directory comes before an address that nobody named. Raises
    :class:`Failure` if the address is named and no Patchline answers, or if its documents are not to be found
    from here.
    """
    folder = state_folder(given)
    if given or os.environ.get("PATCHLINE_DIR") or (folder.is_dir() and not session.url_given):
        return folder
    try:
        installation = session.client.get("/v1/installation")
    except Failure as failure:
        if failure.exit_code == exit_codes.UNREACHABLE and not session.url_given:
            return folder
        raise
    if installation["documents"] == "mongodb" and not os.environ.get("PATCHLINE_MONGO"):
        raise wrong_use(
            f"The Patchline at {session.url} keeps its documents in MongoDB.",
            fix=SET_MONGO,
        )
    folder = Path(installation["state_folder"])
    if installation["documents"] == "sqlite" and not folder.is_dir():
        raise wrong_use(
            f"The Patchline at {session.url} keeps its state in {folder}, which is not on this machine.",
            fix="`patchline ledger export` there; `patchline ledger verify FILE` checks that anywhere.",
        )
    return folder


@asynccontextmanager
async def store_of(service: str, folder: Path) -> AsyncIterator[Store]:
    """A service's documents, to look at: in the MongoDB that PATCHLINE_MONGO names, or else in the folder.

    Raises :class:`Failure` if there are none or they cannot be reached.
    """
    from patchline_kit.folder import NAME_FILE  # noqa: PLC0415 - slow to import
    from patchline_kit.installation import database_named_in  # noqa: PLC0415
    from patchline_kit.settings import (  # noqa: PLC0415
        ServiceSettings,
        SettingsError,
        load_settings,
    )
    from patchline_kit.store.opening import SQLITE_FILE, stores  # noqa: PLC0415
    from patchline_kit.store.port import StoreError  # noqa: PLC0415

    try:
        settings = load_settings(ServiceSettings, dir=folder)
    except SettingsError as error:
        raise wrong_use("A setting is wrong.", details=str(error).splitlines()) from error
    mongo = settings.mongo.get_secret_value() if settings.mongo else ""
    path = folder / (NAME_FILE if mongo else SQLITE_FILE)
    if not (mongo and database_named_in(mongo)) and not path.is_file():
        if (folder / NAME_FILE).is_file():
            raise wrong_use(
                f"The Patchline of {folder} keeps its documents in MongoDB, or was never started.",
                fix=SET_MONGO,
            )
        raise wrong_use(
            f"There is no Patchline in {folder}: {path} is missing.",
            fix="Name its state folder with --dir or PATCHLINE_DIR, or its database in PATCHLINE_MONGO.",
        )
    try:
        async with stores(settings, only_look=True) as open_store:
            yield await open_store(service)
    except StoreError as error:
        text = str(error)
        raise Failure(f"{text[:1].upper()}{text[1:]}.", exit_code=exit_codes.UNREACHABLE) from error
