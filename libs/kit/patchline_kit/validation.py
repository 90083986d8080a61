"""What pydantic says of a value, for a person who has to write another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NO_DURATION = "is no ISO 8601 duration: write it like PT30S, PT5M, PT2H or P1D"


def reason(problem: Mapping[str, Any]) -> str:
    """The words of one of :meth:`pydantic.ValidationError.errors`, without a capital or a full stop."""
    if str(problem["type"]).startswith("time_delta"):
        return _NO_DURATION
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"
