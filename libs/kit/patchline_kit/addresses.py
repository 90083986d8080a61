"""Addresses to listen on: which ones other machines can reach."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether ``host`` is reachable from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(host: str, token: str | None) -> str | None:
    """Why the gateway must not listen on ``host``, with the way out; None when it may."""
    if token or is_loopback(host):
        return None
    return (
        f"the gateway would listen on {host}, which other machines can reach, without an API token."
        " Set PATCHLINE_TOKEN (any long random text), or leave out --host to listen on 127.0.0.1 alone."
    )
