import importlib.util
import sys
from pathlib import Path

import pytest

from patchline_kit.testing import ServiceHarness
from patchline_schemas.examples import examples
from patchline_schemas.waves import WaveVerified

FILE = Path(__file__).parents[3] / "docs" / "examples" / "patch_diary.py"


@pytest.fixture
def patch_diary(monkeypatch):
    """The example, imported for one test."""
    spec = importlib.util.spec_from_file_location("example_patch_diary", FILE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def test_the_diary_has_one_page_for_a_wave_that_is_told_twice(patch_diary, tmp_path):
    usual, _ = examples()[WaveVerified]
    async with ServiceHarness(patch_diary.service, tmp_path=tmp_path) as harness:
        await harness.publish(usual)
        await harness.publish(usual)
        await harness.settle()
        page = await harness.document(patch_diary.DiaryPage, usual.order.wave_id)
    assert page.text == "pkg:pypi/jinja2 3.1.6 works on 1 targets of intranet"
