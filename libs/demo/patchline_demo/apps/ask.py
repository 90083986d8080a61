"""Has the application in this folder started again by whoever looks after it: ``ask.py restart``.

Where applications run in a container of their own, a process of another container cannot start them there; it
asks through a socket beside the applications' folders.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOCKET = HERE.parent.parent / "control.sock"

if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(SOCKET))
        except OSError as error:
            sys.exit(f"nobody looks after the applications at {SOCKET}: {error.strerror}")
        connection.sendall(f"{sys.argv[1]} {HERE.name}\n".encode())
        answer = connection.makefile(encoding="utf-8").read()
    if answer != "ok\n":
        sys.exit(answer or "whoever looks after the applications ended without an answer")
