"""The command against an API that answers what a test says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from patchline_cli import client
from patchline_cli.main import main


@dataclass
class Api:
    """What is answered by method and path, and what was asked."""

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    def answer(self, path: str, body: Any, *, method: str = "GET", status: int = 200) -> None:
        """Answer calls of ``path`` with ``body``; a list of them is taken one after another."""
        self.answers[method, path] = (status, body)

    def refuse(self, path: str, status: int, explanation: str, *, method: str = "GET", **more: Any) -> None:
        """Answer with an error."""
        body = {"error": "word", "explanation": explanation, "fix": "Do that.", "problems": [], **more}
        self.answer(path, body, method=method, status=status)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """The transport's side."""
        self.asked.append(request)
        found = self.answers.get((request.method, request.url.path))
        if found is None:
            raise httpx.ConnectError("Connection refused", request=request)
        status, body = found
        if callable(body):
            return body(request)  # type: ignore[no-any-return]
        return httpx.Response(status, json=body)


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


Patchline = Callable[..., Ended]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setattr(client, "make_transport", lambda: httpx.MockTransport(fake.handle))
    return fake


@pytest.fixture
def patchline(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: Any
) -> Patchline:
    for name in ("PATCHLINE_URL", "PATCHLINE_TOKEN", "PATCHLINE_DIR", "PATCHLINE_FLEET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["patchline", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run
