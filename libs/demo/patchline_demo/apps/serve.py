"""What the demo's applications share: a config file, rows in SQLite, a job each second, an HTTP server.

Standard library only, so that an application's packages are its own affair.
"""

from __future__ import annotations

import argparse
import sqlite3
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Application:
    """One application. A subclass says what it does each second, shows, and checks."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = tomllib.loads((HERE / "config" / "app.toml").read_text())
        self.started = time.monotonic()
        self.error: str | None = None
        self.prepare()

    def connect(self) -> sqlite3.Connection:
        """The application's data, opened for one use; a copy without data gets a fresh one."""
        (HERE / "data").mkdir(exist_ok=True)
        connection = sqlite3.connect(HERE / "data" / "app.db", timeout=10)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS rows "
            "(id INTEGER PRIMARY KEY, text TEXT NOT NULL, written_at REAL NOT NULL)"
        )
        return connection

    def write_row(self, text: str) -> None:
        """Add a row, with the time."""
        connection = self.connect()
        with connection:
            connection.execute("INSERT INTO rows (text, written_at) VALUES (?, ?)", (text, time.time()))
        connection.close()

    def prepare(self) -> None:
        """Whatever must be there before the first request."""

    def work(self) -> None:
        """The job that runs once a second; what it raises makes the application ill."""

    def page(self) -> str:
        """The start page."""
        return f"<h1>{self.config['name']}</h1>"

    def selfcheck(self) -> None:
        """Use the packages as the application does; raise if one of them misbehaves."""

    def job(self) -> None:
        """Run ``work`` for ever, keeping its last error for ``/health``."""
        while True:
            try:
                self.work()
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"
            else:
                self.error = None
            time.sleep(1)


def handler_for(app: Application) -> type[BaseHTTPRequestHandler]:
    """The request handler of one application."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                status, text = (503, app.error) if app.error else (200, "ok")
            else:
                status, text = 200, app.page()
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def main(application: type[Application]) -> None:
    """Serve the application, or check it once with ``--selfcheck``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--selfcheck", action="store_true")
    arguments = parser.parse_args()
    app = application()
    if arguments.selfcheck:
        app.selfcheck()
        print("selfcheck: ok")
        return
    server = ThreadingHTTPServer(("127.0.0.1", int(app.config["port"])), handler_for(app))
    threading.Thread(target=app.job, daemon=True).start()
    server.serve_forever()
