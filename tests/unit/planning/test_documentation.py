"""The diagrams and tables in docs/planning.md are those of the machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchline_planning.machine import documentation

PAGE = Path(__file__).parents[3] / "docs" / "planning.md"


@pytest.mark.parametrize("part", documentation())
def test_the_page_shows_what_the_machine_does(part: str) -> None:
    found = re.search(rf"<!-- {part} -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == documentation()[part]


def test_the_page_names_every_rule_that_holds() -> None:
    from patchline_planning.holding import RULES

    page = PAGE.read_text()
    for rule in RULES:
        assert f"`{rule.__name__.replace('_', '-')}`" in page
