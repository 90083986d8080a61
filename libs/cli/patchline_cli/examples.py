"""Examples, as help shows them."""

from __future__ import annotations

from collections.abc import Sequence


def examples_text(examples: Sequence[str]) -> str | None:
    """One a line; None without any."""
    return "\n\n".join(["Examples:", *(f"  {example}" for example in examples)]) if examples else None
