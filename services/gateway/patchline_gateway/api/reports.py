"""A report, read from where documentation says it put it."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from patchline_gateway.api.refusals import Refusal
from patchline_gateway.settings import Settings
from patchline_gateway.views import UpdateView
from patchline_kit.context import ServiceHandle

REPORT_TYPES = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
}


async def read_report(handle: ServiceHandle, view: UpdateView, format: str) -> bytes:
    """The report's bytes, as they were when documentation signed them off.

    Raises :class:`Refusal` if there is none yet, or the file is not what it was.
    """
    report = next((report for report in view.reports if report.format == format), None)
    if report is None:
        raise Refusal(
            HTTPStatus.CONFLICT,
            "state",
            f"There is no report of {view.id} yet: it is written when its round has ended.",
            f"`patchline update wait {view.id}` returns when it can be read.",
        )
    parts = urlsplit(report.address)
    path = _inside(handle.setting(Settings).dir, unquote(parts.path))
    if parts.scheme != "file" or path is None:
        raise _gone(
            f"The report lies at {report.address}, which this gateway does not read.", "Open it there."
        )
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise _gone(
            f"The report {path} cannot be read: {error.strerror}.", "Restore it from a backup."
        ) from error
    if hashlib.sha256(content).hexdigest() != report.sha256:
        raise _gone(
            f"The report {path} was changed after it was written.",
            "`patchline ledger export` still has the facts.",
        )
    return content


def _inside(root: Path, name: str) -> Path | None:
    """The path, which starts at the state folder, if it lies there: an event must not open other files."""
    path = (root / name).resolve()
    return path if path.is_relative_to(root.resolve()) else None


def _gone(explanation: str, fix: str) -> Refusal:
    return Refusal(HTTPStatus.GONE, "report-gone", explanation, fix)
