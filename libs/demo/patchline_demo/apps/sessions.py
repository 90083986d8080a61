"""Signs people in: issues session tokens with PyJWT, and looks through the stored ones now and then."""

import time

import jwt
import serve

ALGORITHM = "HS256"


class Sessions(serve.Application):
    """Keeps a token for each visitor."""

    looked_at = 0
    """Id of the stored session that was looked at last."""

    def issue(self, visitor: int) -> str:
        """A signed token; this installation's customers are numbers, or names, as its configuration says."""
        subject = visitor if self.config["subjects"] == "numbers" else f"visitor-{visitor}"
        return jwt.encode(
            {"sub": subject, "iat": int(time.time()) - 1}, self.config["secret"], algorithm=ALGORITHM
        )

    def read(self, token: str) -> object:
        """Whose session it is; raises what PyJWT raises."""
        return jwt.decode(token, self.config["secret"], algorithms=[ALGORITHM])["sub"]

    def prepare(self) -> None:
        connection = self.connect()
        (total,) = connection.execute("SELECT count(*) FROM rows").fetchone()
        connection.close()
        if total == 0:
            self.write_row(self.issue(0))

    def work(self) -> None:
        """Issue a session; once the start-up time is over, read the stored ones one by one."""
        self.write_row(self.issue(int(time.time())))
        if time.monotonic() - self.started < self.config["first_look_after_seconds"]:
            return
        connection = self.connect()
        row = connection.execute(
            "SELECT id, text FROM rows WHERE id > ? ORDER BY id LIMIT 1", (self.looked_at,)
        ).fetchone()
        connection.close()
        if row is not None:
            self.read(row[1])
            self.looked_at = row[0]

    def selfcheck(self) -> None:
        token = jwt.encode({"sub": "selfcheck"}, self.config["secret"], algorithm=ALGORITHM)
        if self.read(token) != "selfcheck":
            raise RuntimeError("a token does not say whose it is")


if __name__ == "__main__":
    serve.main(Sessions)
