"""A container's health check. With a path: somebody listens at that socket. Without one: the service with
/live and /ready on PATCHLINE_HEALTH_PORT is alive and does its work. If not, it says why and ends with 1.

Plain sockets, because it is started every few seconds in every container.
"""

import os
import socket
import sys

SECONDS = 5


def ask(path: str, port: int) -> tuple[int, str]:
    """The status and the body that a GET on this machine is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = connection.makefile("rb").read(10_000).decode(errors="replace")
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(maxsplit=2)[1]), body.strip()


def wrong() -> str | None:
    """What is wrong; None if nothing is."""
    try:
        if len(sys.argv) > 1:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SECONDS)
                connection.connect(sys.argv[1])
            return None
        for path in ("/live", "/ready"):
            status, body = ask(path, int(os.environ["PATCHLINE_HEALTH_PORT"]))
            if status != 200:
                return f"{path} says {status}: {body}"
    except OSError as error:
        return f"nothing answers: {error}"
    return None


if __name__ == "__main__":
    sys.exit(wrong())
