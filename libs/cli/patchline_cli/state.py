"""``patchline state``: Patchline's own state, copied into one file and put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from patchline_cli.failures import wrong_use
from patchline_cli.output import count
from patchline_cli.session import Session, command
from patchline_cli.state_folder import Dir, state_folder
from patchline_kit.state_archive import Manifest, StateArchiveError, back_up, restore

File = Annotated[Path, typer.Argument(metavar="FILE", help="The copy.")]


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    command(app, "backup", examples=["patchline state backup patchline.tgz --dir state"])(backup)
    command(app, "restore", examples=["patchline state restore patchline.tgz --dir state"])(put_back)


def backup(session: Session, file: File, directory: Dir = None) -> None:
    """Copy the state folder into FILE, while Patchline runs or not."""
    folder = state_folder(directory)
    try:
        manifest = back_up(folder, file)
    except StateArchiveError as error:
        raise wrong_use(
            f"The state is not copied: {error}.", fix="--dir names the folder that `patchline up` was given."
        ) from error
    _show(session, manifest, file, f"Copied the state of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC to {file}")
    session.output.next(f"patchline state restore {file} --dir NEW_FOLDER   to try it")


def put_back(session: Session, file: File, directory: Dir = None) -> None:
    """Make the state folder from FILE. The folder must be empty or missing, and FILE whole."""
    if not file.is_file():
        raise wrong_use(f"There is no file {file}.")
    folder = state_folder(directory)
    try:
        manifest = restore(file, folder)
    except StateArchiveError as error:
        raise wrong_use(f"Nothing is restored: {error}.") from error
    _show(
        session, manifest, file, f"Restored the state of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC to {folder}"
    )
    if not manifest.with_log:
        session.output.say(
            "Its events lie in Kafka: set the consumer groups back to that time before you start it"
            " (docs/operations.md)."
        )
    session.output.next(f"patchline up --dir {folder} --fleet FILE")


def _show(session: Session, manifest: Manifest, file: Path, done: str) -> None:
    if session.output.is_table:
        total = f"{count(len(manifest.files), 'file')}, {manifest.size / (1 << 20):.1f} MiB"
        session.output.line(f"{done} ({total}).")
        return
    shown: dict[str, Any] = manifest.model_dump(mode="json", exclude={"files", "layout"})
    session.output.data(
        {"file": str(file), **shown, "files_total": len(manifest.files), "size_bytes": manifest.size}
    )
