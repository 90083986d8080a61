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
            f"There is no report of {view.id} yet: it is written when the round has ended (now {view.state}).",
            f"`patchline update wait {view.id}` returns when it can be read.",
        )
    root = handle.setting(Settings).dir.resolve()
    parts = urlsplit(report.address)
    path = Path(unquote(parts.path)).resolve()
    if parts.scheme != "file" or not path.is_relative_to(root):
        raise _gone(f"The report lies at {report.address}, which this gateway does not read.", "Open it there.")
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise _gone(f"The report {path} cannot be read: {error.strerror}.", "Restore it from a backup.") from error
    if hashlib.sha256(content).hexdigest() != report.sha256:
        raise _gone(
            f"The report {path} was changed after it was written.", "`patchline ledger export` still has the facts."
        )
    return content


def _gone(explanation: str, fix: str) -> Refusal:
    return Refusal(HTTPStatus.GONE, "report-gone", explanation, fix)
