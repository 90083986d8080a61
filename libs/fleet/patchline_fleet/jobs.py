"""Hands a piece of work on a target to a small process of its own.

The work can so be stopped at any moment, holds its target's lock by itself, does not block the event loop,
and ends with this process. A job is a JSON object on standard input; its answer is one on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import BY_NAME, DriverError, NotEnoughSpace, TimedOut

GRACE = 3.0
"""Seconds that a stopped job has to stop its own commands."""
HIDDEN = ("PATCHLINE_", "PYTHON", "OTEL_")
"""Variables that a target's commands must not see: our secrets, and what would lead their Python astray."""

Job = Callable[[dict[str, Any]], dict[str, Any]]


async def call(module: str, job: Mapping[str, Any], *, timeout: timedelta, what: str) -> dict[str, Any]:
    """Run ``job`` with ``python -m module`` and return its answer.

    ``what`` names the work in messages. Raises the :class:`DriverError` that the job ended with, or
    :class:`TimedOut`. A cancelled call stops the work before it returns.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
        start_new_session=True,
        limit=64 * 1024 * 1024,
    )
    request = json.dumps({**job, "parent": os.getpid()}).encode()
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            out, err = await process.communicate(request)
    except TimeoutError:
        raise TimedOut(f"{what} did not end within {timeout.total_seconds():g} s; it was stopped") from None
    finally:
        await asyncio.shield(_stop(process))
    return _answer(out, err, process.returncode, what)


def serve(jobs: Mapping[str, Job]) -> None:
    """The other side of :func:`call`: read one job, do it, answer."""
    job = json.load(sys.stdin)
    supervised.die_with(job.pop("parent"))
    try:
        answer: dict[str, Any] = {"answer": jobs[job.pop("job")](job)}
    except DriverError as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    except OSError as error:
        answer = {"error": _kind_of(error).__name__, "text": _words_of(error)}
    json.dump(answer, sys.stdout)


def _kind_of(error: OSError) -> type[DriverError]:
    return NotEnoughSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else DriverError


def _words_of(error: OSError) -> str:
    places = [str(name) for name in (error.filename, error.filename2) if name]
    where = f" ({' -> '.join(places)})" if places else ""
    fix = "; make room and try again" if _kind_of(error) is NotEnoughSpace else ""
    return f"{error.strerror or error}{where}{fix}"


def clean_environment() -> dict[str, str]:
    """The environment of a target's commands: ours without secrets and without what belongs to our Python."""
    hidden = {"VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and not name.startswith(HIDDEN)
    }


def _answer(out: bytes, err: bytes, returncode: int | None, what: str) -> dict[str, Any]:
    try:
        reply = json.loads(out)
    except ValueError:
        said = err.decode(errors="replace").strip()[-2000:]
        raise DriverError(f"{what} ended unexpectedly ({returncode}): {said or 'nothing was said'}") from None
    if "error" in reply:
        raise BY_NAME[reply["error"]](reply["text"])
    answer: dict[str, Any] = reply["answer"]
    return answer


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
