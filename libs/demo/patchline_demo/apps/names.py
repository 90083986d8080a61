"""Registers domain names, also those with letters beyond ASCII, with idna."""

import idna
import serve

NAMES = ["straße.example", "bücher.example", "ドメイン.example", "plain.example"]


class Names(serve.Application):
    """Keeps names in the form that goes on the wire."""

    turn = 0

    def work(self) -> None:
        self.write_row(idna.encode(NAMES[self.turn % len(NAMES)]).decode())
        self.turn += 1

    def selfcheck(self) -> None:
        for name in NAMES:
            if idna.decode(idna.encode(name)) != name:
                raise RuntimeError(f"{name} is not the same after encoding and decoding")


if __name__ == "__main__":
    serve.main(Names)
