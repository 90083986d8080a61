"""Who reads what is printed may have enough of it, as ``head`` does."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

from patchline_cli import exit_codes


@contextmanager
def ends_when_nobody_reads() -> Iterator[None]:
    """End the command well and without words when the reader of its output has gone."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        left = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
        if not left:
            raise
        for stream in left:
            _discard(stream)
        raise typer.Exit(exit_codes.DONE) from None


def _has_no_reader(stream: TextIO) -> bool:
    """Asked of the pipe itself: the one that broke may be another than ours."""
    pipe = select.poll()
    pipe.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in pipe.poll(0))


def _discard(stream: TextIO) -> None:
    """Let what is left go nowhere: Python writes it at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
