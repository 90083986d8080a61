"""The demo's applications stand what a fleet that is being patched does to them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path


def answers_the_third_call(server: socket.socket) -> None:
    for _ in range(2):
        server.accept()[0].close()
    connection, _ = server.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    connection.close()


def test_a_peer_that_is_being_restarted_makes_no_application_ill(tmp_path: Path) -> None:
    apps = files("patchline_demo") / "apps"
    for name in ("serve.py", "fetcher.py"):
        (tmp_path / name).write_text((apps / name).read_text())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "app.toml").write_text(f'name = "wiki"\npeer = "http://127.0.0.1:{port}/"\n')
        threading.Thread(target=answers_the_third_call, args=(server,), daemon=True).start()
        work = "from fetcher import Fetcher; app = Fetcher(); app.work(); print(app.page())"
        done = subprocess.run(
            [sys.executable, "-c", work], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert "1 answers of the peer are kept" in done.stdout, done.stderr
