"""How far long work is, on standard error: in place on a terminal, elsewhere a line for each change."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from patchline_cli.output import clean


class Progress:
    """Tells how far the work is. On a terminal it leaves nothing behind when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._live = (
            Live(console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
            if _can_overwrite(console)
            else None
        )
        self._told: str | None = None

    def __enter__(self) -> Self:
        """Nothing is shown before the first call of :meth:`show`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, text: str, *, change: str | None = None) -> None:
        """Show ``text``; where lines stay, only if ``change`` (by default the text) is another than before.

        ``change`` is what counts as news: times that are told relative to now alter a text and are none.
        """
        if self._live:
            self._spinner.update(text=Text(clean(text)))
            self._live.start()
            self._live.update(self._spinner, refresh=True)
        elif self._told != (change or text):
            self._told = change or text
            self._console.print(clean(text), soft_wrap=True)


def _can_overwrite(console: Console) -> bool:
    """Whether lines can be taken back. ``FORCE_COLOR`` makes a log colourful, but no terminal of it."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()
