"""Runs a command so that it, and all that it started, ends with this process or at its time limit.

For the small single-threaded processes that work on a target (see :mod:`patchline_fleet.jobs`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a process gets when its parent ends."""
KEPT_BYTES = 64 * 1024
"""How much of a command's output is kept: its end."""

_libc = ctypes.CDLL(None, use_errno=True)
_running: set[int] = set()


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    returncode: int | None
    """None when it was stopped at its time limit; negative for a signal."""
    output: str
    """What it wrote to both streams, the end of it."""
    stdout: str
    duration: float
    """Seconds."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.returncode == 0


def die_with(parent: int) -> None:
    """Make this process, and the commands it runs, end when ``parent`` does."""
    signal.signal(signal.SIGTERM, _end)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def killed_with(parent: int) -> Callable[[], None]:
    """For ``preexec_fn``: the child, whatever it becomes, is killed when the process ``parent`` ends."""

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
    output_file: Path | None = None,
    keep: int = KEPT_BYTES,
) -> Finished:
    """Run ``command`` in ``cwd`` without a shell, in a session of its own.

    With ``output_file`` what it writes goes there, and what it leaves running (a server that it started)
    stays; otherwise leftovers are stopped. ``timeout`` is in seconds. Raises :class:`OSError` if the
    command cannot be started.
    """
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(output_file.open("wb")) if output_file else None
        started = time.monotonic()
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=sink or subprocess.PIPE,
            stderr=subprocess.STDOUT if sink else subprocess.PIPE,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            preexec_fn=killed_with(os.getpid()),  # noqa: PLW1509 - the processes that use this have one thread
        )
        _running.add(process.pid)
        try:
            both, stdout, in_time = _watch(process, timeout, keep)
        finally:
            if process.poll() is None or output_file is None:
                _kill_group(process.pid)
            process.wait()
            _running.discard(process.pid)
        if output_file:
            both = output_file.read_bytes()[-keep:]
    return Finished(
        returncode=process.returncode if in_time else None,
        output=both.decode(errors="replace"),
        stdout=stdout.decode(errors="replace"),
        duration=time.monotonic() - started,
    )


def _watch(process: subprocess.Popen[bytes], timeout: float | None, keep: int) -> tuple[bytes, bytes, bool]:
    """Both streams' end, standard output's end, and whether the process ended in time.

    The process is watched and not its pipes' end: a child that it leaves behind may hold them open.
    """
    both, stdout = bytearray(), bytearray()
    deadline = None if timeout is None else time.monotonic() + timeout
    pidfd = os.pidfd_open(process.pid)
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        try:
            selector.register(pidfd, selectors.EVENT_READ)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, selectors.EVENT_READ)
            ended = False
            while not ended:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return bytes(both), bytes(stdout), False
                for key, _ in selector.select(left):
                    if key.fileobj == pidfd:
                        ended = True
                        continue
                    chunk = _read(key.fd)
                    if chunk == b"":
                        selector.unregister(key.fileobj)
                    _collect(chunk or b"", key.fileobj is process.stdout, both, stdout, keep)
            for stream in (process.stdout, process.stderr):
                while stream is not None and (chunk := _read(stream.fileno())):
                    _collect(chunk, stream is process.stdout, both, stdout, keep)
        finally:
            os.close(pidfd)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
    return bytes(both), bytes(stdout), True


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def _collect(chunk: bytes, is_stdout: bool, both: bytearray, stdout: bytearray, keep: int) -> None:
    for buffer in (both, stdout) if is_stdout else (both,):
        buffer.extend(chunk)
        if len(buffer) > 2 * keep:
            del buffer[:-keep]


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _end(_signal: int, _frame: FrameType | None) -> None:
    for group in list(_running):
        _kill_group(group)
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)
