"""Asks a peer over HTTP with requests, and keeps what it said."""

import http.server
import threading

import requests
import serve
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

PATIENCE = Retry(total=6, backoff_factor=0.3)
"""A peer may be restarting just now: it has nearly 20 s to come back."""


class Fetcher(serve.Application):
    """Polls its peer's page."""

    def prepare(self) -> None:
        self.session = requests.Session()
        self.session.headers["User-Agent"] = self.config["name"]
        self.session.mount("http://", HTTPAdapter(max_retries=PATIENCE))

    def fetch(self, url: str) -> int:
        """The status and length of the peer's page, kept as a row."""
        answer = self.session.get(url, timeout=5)
        answer.raise_for_status()
        self.write_row(f"{answer.status_code} {len(answer.text)}")
        return answer.status_code

    def page(self) -> str:
        connection = self.connect()
        (total,) = connection.execute("SELECT count(*) FROM rows").fetchone()
        connection.close()
        return f"<h1>{self.config['name']}</h1><p>{total} answers of the peer are kept.</p>"

    def work(self) -> None:
        self.fetch(self.config["peer"])

    def selfcheck(self) -> None:
        own = http.server.HTTPServer(("127.0.0.1", 0), serve.handler_for(self))
        threading.Thread(target=own.serve_forever, daemon=True).start()
        if self.fetch(f"http://127.0.0.1:{own.server_port}/") != 200:
            raise RuntimeError("the peer was not understood")
        own.shutdown()


if __name__ == "__main__":
    serve.main(Fetcher)
