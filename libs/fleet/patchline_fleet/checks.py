"""HTTP checks, and how a check is called in results."""

from __future__ import annotations

import ssl
import time
from datetime import timedelta
from functools import cache

import httpx

from patchline_schemas.fleet import Check, CommandCheck, HttpCheck
from patchline_schemas.waves import CheckResult

KEPT_OUTPUT = 500


def check_name(check: Check) -> str:
    """How the check is called in results: its command line or its URL."""
    return " ".join(check.command) if isinstance(check, CommandCheck) else check.http


async def http_check(check: HttpCheck, *, timeout: timedelta) -> CheckResult:
    """Get the URL; passed if the answer is a 2xx, after redirects, within the check's limit."""
    limit = min(check.timeout, timeout).total_seconds()
    started = time.monotonic()
    try:
        async with httpx.AsyncClient(
            timeout=limit, trust_env=False, follow_redirects=True, verify=_tls()
        ) as client:
            answer = await client.get(check.http)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        passed, output = False, f"no answer: {type(error).__name__}: {error}".rstrip(": ")
    else:
        passed = answer.is_success
        output = f"HTTP {answer.status_code} {answer.reason_phrase}\n{answer.text[:KEPT_OUTPUT]}".strip()
    return CheckResult(
        name=check_name(check),
        passed=passed,
        output=output,
        duration=timedelta(seconds=time.monotonic() - started),
    )


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
