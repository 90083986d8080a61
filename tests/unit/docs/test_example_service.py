import sys
from pathlib import Path

from patchline_kit.testing import ServiceHarness
from patchline_schemas.examples import examples
from patchline_schemas.waves import WaveVerified

sys.path.insert(0, str(Path(__file__).parents[3] / "docs" / "examples"))

import patch_diary


async def test_the_diary_has_one_page_for_a_wave_that_is_told_twice(tmp_path):
    usual, _ = examples()[WaveVerified]
    async with ServiceHarness(patch_diary.service, tmp_path=tmp_path) as harness:
        await harness.publish(usual)
        await harness.publish(usual)
        await harness.settle()
        page = await harness.document(patch_diary.DiaryPage, usual.order.wave_id)
    assert page.text == "pkg:pypi/jinja2 3.1.6 works on 1 targets of intranet"
