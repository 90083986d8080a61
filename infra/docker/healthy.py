"""A container's health check: /live and /ready on PATCHLINE_HEALTH_PORT. If not, it says why and ends with 1."""

import http.client
import os
import sys


def main() -> int:
    """0 if the service is alive and does its work."""
    port = int(os.environ["PATCHLINE_HEALTH_PORT"])
    try:
        for path in ("/live", "/ready"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
            connection.request("GET", path)
            answer = connection.getresponse()
            said = answer.read(2000).decode(errors="replace").strip()
            if answer.status != http.client.OK:
                sys.stdout.write(f"{path} says {answer.status}: {said}\n")
                return 1
    except OSError as error:
        sys.stdout.write(f"nothing answers on port {port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
