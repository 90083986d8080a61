import logging
import queue
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging.handlers import QueueHandler

import pytest

from patchline_communication.courier import AppriseCourier, Letter, NotDelivered
from patchline_communication.files import append_once
from patchline_kit.contacts import redacted

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


def test_a_cut_off_notice_after_other_peoples_lines_is_written_again(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("kept by hand\nNotice: n1\nTime: 2026")
    append_once(path, "n1", AT, "Subject", "Body")
    assert path.read_text().startswith("kept by hand\nNotice: n1\nTime: 2026-03-03T09:00:00Z\n")
    assert path.read_text().count("Notice: n1\n") == 1


def test_a_line_without_an_end_gets_one(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("kept by hand")
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


LETTER = Letter("n1", AT, "Subject", "Body")


class Hook(BaseHTTPRequestHandler):
    """A web hook that keeps what it gets and answers as told."""

    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.release.wait(10)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.bodies, server.answer, server.release = [], 200, threading.Event()
    server.release.set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def address(hook):
    return f"json://carl:s3cret@127.0.0.1:{hook.server_port}/t0ken/path?+X-Key=k3ykey"


@pytest.fixture
async def courier(tmp_path):
    async with AppriseCourier.opened(tmp_path, timeout=timedelta(seconds=5)) as opened:
        yield opened


async def test_a_notice_goes_out_through_apprise_with_its_id(courier, hook):
    await courier.deliver(address(hook), LETTER)
    (body,) = hook.bodies
    assert "Subject" in body and "Body" in body and "Notice n1" in body


async def test_a_refusal_is_told_without_secrets_and_logged_nowhere(courier, hook):
    lines = queue.SimpleQueue()
    handler = QueueHandler(lines)
    logging.getLogger().addHandler(handler)
    hook.answer = 500
    try:
        with pytest.raises(NotDelivered) as refused:
            await courier.deliver(address(hook), LETTER)
    finally:
        logging.getLogger().removeHandler(handler)
    assert str(refused.value).startswith("json://127.0.0.1/… did not take the notice: ")
    for secret in ("s3cret", "t0ken", "k3ykey"):
        assert secret not in str(refused.value)
    while not lines.empty():
        assert lines.get().name != "apprise"


async def test_a_contact_that_hangs_is_given_up_after_its_time(tmp_path, hook):
    hook.release.clear()
    async with AppriseCourier.opened(tmp_path, timeout=timedelta(seconds=1)) as courier:
        with pytest.raises(NotDelivered, match="did not answer within 1 s"):
            await courier.deliver(address(hook), LETTER)


async def test_secrets_may_come_from_the_environment(courier, hook, monkeypatch):
    monkeypatch.setenv("HOOK_PORT", str(hook.server_port))
    await courier.deliver("json://127.0.0.1:${HOOK_PORT}/", LETTER)
    assert len(hook.bodies) == 1


async def test_a_missing_variable_is_named(courier, monkeypatch):
    monkeypatch.delenv("HOOK_PASSWORD", raising=False)
    with pytest.raises(NotDelivered, match="needs the environment variable HOOK_PASSWORD"):
        await courier.deliver("json://carl:${HOOK_PASSWORD}@127.0.0.1/", LETTER)


def test_what_quotes_a_contact_is_shown_without_its_secrets():
    contact = "slack://bot@T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/general?image=no%20ne"
    text = f"Failed: {contact}, then T1JJ3T3L2 and TIiajkdnlazkcOXrIdevi7FQ and no ne"
    shown = redacted(text, contact)
    for secret in ("T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ", "no ne"):
        assert secret not in shown
    assert redacted("file:a.log: full", "file:a.log") == "file:a.log: full"
