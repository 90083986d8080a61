"""How a command ends badly: what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from patchline_cli import exit_codes


class Failure(Exception):
    """Ends the command with ``exit_code``; the texts are for a person."""

    def __init__(
        self,
        explanation: str,
        *,
        fix: str = "",
        details: Sequence[str] = (),
        exit_code: int = exit_codes.FAILED,
    ) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.fix = fix
        self.details = tuple(details)
        self.exit_code = exit_code


def wrong_use(explanation: str, *, fix: str = "", details: Sequence[str] = ()) -> Failure:
    """Wrong use, or input that is refused."""
    return Failure(explanation, fix=fix, details=details, exit_code=exit_codes.WRONG_USE)
