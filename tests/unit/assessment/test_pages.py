from datetime import UTC, datetime

import pytest

from patchline_assessment.assessing import Assessment, pages
from patchline_assessment.update import KnownUpdate, Published
from patchline_schemas import Envelope, encode
from patchline_schemas.envelope import MAX_MESSAGE_BYTES
from patchline_schemas.updates import AssessedTarget

AT = datetime(2026, 3, 1, tzinfo=UTC)


def update(advisories=()):
    published = Published(
        vendor="v", kind="security", released_at=AT, published_at=AT, published_by="a", advisories=advisories
    )
    return KnownUpdate(id="x-1", component="pkg:pypi/x", to_version="1", published=published, revision=1)


def assessment(count, *, advisories=()):
    targets = tuple(
        AssessedTarget(
            target_id=f"t{number:05}",
            group="g",
            status="affected",
            reason="older",
            installed_version="0",
            advisories=advisories,
        )
        for number in range(count)
    )
    return Assessment(targets, count, 0, ("g",), "scheduled", AT, "rule", ())


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (1, 1), (500, 1), (501, 2), (1200, 3)])
def test_a_page_holds_at_most_500_targets_and_there_is_always_one(count, expected):
    found = pages(update(), assessment(count), 5000)
    assert [(page.page, page.pages) for page in found] == [(n, expected) for n in range(1, expected + 1)]
    assert [each.target_id for page in found for each in page.targets] == [f"t{n:05}" for n in range(count)]


def test_long_targets_make_smaller_pages_that_fit_into_a_message():
    many = tuple(f"GHSA-{number:04}-long-long-id" for number in range(300))
    found = pages(update(), assessment(120, advisories=many), 5000)
    assert len(found) > 2
    for page in found:
        envelope = Envelope(id="e", source="s", type=page.TYPE, subject="x", time=AT)
        assert len(encode(page, envelope).value) <= MAX_MESSAGE_BYTES


def test_every_page_carries_the_whole_head():
    first, second = pages(update(), assessment(600), 5000)
    assert first.model_dump(exclude={"page", "targets"}) == second.model_dump(exclude={"page", "targets"})
    assert (first.affected_total, first.not_affected_total) == (600, 4400)
