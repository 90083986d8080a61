"""The page for users states the rule that runs."""

from pathlib import Path

from patchline_assessment.urgency import DUE_AFTER, security_urgency
from patchline_schemas.fleet import Group
from patchline_schemas.values import CRITICALITY_ORDER

PAGE = Path(__file__).parents[3] / "docs" / "assessment.md"


def table(first_cell):
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_urgency_is_the_one_in_force():
    severity = ""
    stated = table("severity")
    assert len(stated) == 12
    for first, exposure, *urgencies in stated:
        severity = first or severity
        for criticality, urgency in zip(CRITICALITY_ORDER, urgencies, strict=True):
            group = Group(name="g", criticality=criticality, exposure=exposure)
            assert security_urgency(severity, False, group) == urgency, (severity, exposure, criticality)


def test_the_days_are_the_ones_in_force():
    assert dict(table("urgency")) == {urgency: f"{after.days} days" for urgency, after in DUE_AFTER.items()}
