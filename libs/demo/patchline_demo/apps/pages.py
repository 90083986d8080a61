"""The staff handbook: pages rendered with Jinja, from rows in the data."""

import jinja2
import serve

PAGE = "<h1>{{ name }}</h1><ul>{% for row in rows %}<li>{{ row|e }}</li>{% endfor %}</ul>"


class Pages(serve.Application):
    """Renders what people wrote."""

    def render(self, rows: list[str]) -> str:
        """The page with these rows, escaped."""
        return jinja2.Template(PAGE).render(name=self.config["name"], rows=rows)

    def page(self) -> str:
        connection = self.connect()
        rows = [text for (text,) in connection.execute("SELECT text FROM rows ORDER BY id DESC LIMIT 20")]
        connection.close()
        return self.render(rows)

    def work(self) -> None:
        self.write_row("a visit")
        self.page()

    def selfcheck(self) -> None:
        if "&lt;b&gt;" not in self.render(["<b>"]):
            raise RuntimeError("the page does not escape what people write")


if __name__ == "__main__":
    serve.main(Pages)
