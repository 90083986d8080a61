import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from patchline_communication.courier import AppriseCourier, Letter, NotDelivered
from patchline_communication.files import append_once

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)


def test_a_file_shows_a_notice_once(tmp_path):
    path = tmp_path / "notices" / "a.log"
    assert append_once(path, "n1", AT, "Subject", "Body\nmore") is True
    assert append_once(path, "n1", AT, "Subject", "Body\nmore") is False
    assert path.read_text() == "Notice: n1\nTime: 2026-03-03T09:00:00Z\nSubject: Subject\n Body\n more\n.\n"


@pytest.mark.parametrize("cut", range(1, 70))
def test_a_notice_that_was_cut_off_is_written_again_whole(tmp_path, cut):
    path = tmp_path / "a.log"
    append_once(path, "n1", AT, "First", "one")
    first = path.read_bytes()
    append_once(path, "n2", AT, "Second", "two")
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(first), len(whole) - cut)])
    append_once(path, "n2", AT, "Second", "two")
    assert path.read_bytes() == whole


def test_other_peoples_lines_stay(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("kept by hand\n")
    append_once(path, "n1", AT, "Subject", "Body")
    assert path.read_text().startswith("kept by hand\nNotice: n1\n")


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from patchline_communication.files import append_once
for number in range(20):
    append_once(Path(sys.argv[1]), f"{sys.argv[2]}-{number}", datetime.now(UTC), "Subject", "Body")
"""


def test_two_writers_do_not_mix_their_notices(tmp_path):
    path = tmp_path / "a.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in ("a", "b")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert path.read_text().count("Notice: ") == path.read_text().count("\n.\n") == 40


async def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").write_text("")
    courier = AppriseCourier(tmp_path, timeout=timedelta(seconds=1))
    with pytest.raises(NotDelivered, match="folder"):
        await courier.deliver("file:folder/a.log", Letter("n1", AT, "Subject", "Body"))


async def test_an_address_that_apprise_does_not_know_is_refused_without_its_secrets(tmp_path):
    courier = AppriseCourier(tmp_path, timeout=timedelta(seconds=1))
    with pytest.raises(NotDelivered, match=r"^nonsense://… is no address"):
        await courier.deliver("nonsense://user:s3cret@host/token", Letter("n1", AT, "Subject", "Body"))
