import re

from hypothesis import given, settings
from hypothesis import strategies as st

from patchline_schemas.ids import update_id, wave_id

TEXT = st.text(min_size=1, max_size=60)


def test_an_update_id_is_readable():
    assert re.fullmatch(r"jinja2-3\.1\.6-[0-9a-f]{6}", update_id("pkg:pypi/jinja2", "3.1.6"))


def test_ids_of_two_ecosystems_differ():
    assert update_id("pkg:pypi/foo", "1.0") != update_id("pkg:npm/foo", "1.0")


def test_zeros_at_the_end_make_no_other_version_of_a_python_package():
    assert update_id("pkg:pypi/foo", "2.0") == update_id("pkg:pypi/foo", "2.0.0")
    assert update_id("pkg:pypi/foo", "2.10") != update_id("pkg:pypi/foo", "2.1")
    assert update_id("pkg:npm/foo", "2.0") != update_id("pkg:npm/foo", "2.0.0")


def test_a_scope_and_an_epoch_leave_a_safe_name():
    assert update_id("pkg:npm/%40angular/core", "1.0").startswith("core-1.0-")
    assert update_id("pkg:deb/debian/openssl", "1:3.0~rc1+x").startswith("openssl-1-3.0-rc1-x-")


@settings(deadline=None)
@given(TEXT, TEXT)
def test_an_update_id_is_a_safe_file_name(component, version):
    id_ = update_id(component, version)
    assert re.fullmatch(r"[a-z0-9.-]+", id_)
    assert len(id_) < 100
    assert not id_.startswith((".", "-"))


def test_a_wave_id_names_round_and_number():
    assert wave_id("jinja2-3.1.6-1a2b3c", 2, 3) == "jinja2-3.1.6-1a2b3c.r2.w3"
