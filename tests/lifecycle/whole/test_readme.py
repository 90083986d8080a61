"""What the README tells people to type works when typed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from whole import running

from patchline_schemas.feed_items import parse_items

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


SIMULATED = """\
groups:
  - {name: intranet, criticality: low, policies: {soak: PT1S}}
targets:
  - {id: wiki, group: intranet, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
"""


def fenced(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(after):
    """The indented lines behind a sentence of the README, without their comments."""
    block = README.partition(after)[2].lstrip("\n").split("\n\n")[0]
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


def test_the_commands_of_the_readme_carry_its_update_to_the_end(tmp_path):
    (tmp_path / "item.json").write_text(fenced("json")[0])
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for line in commands("Take one of yours, or make one:"):
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    lines = commands("[from below](#publish-an-update):")
    assert len(lines) >= 9
    with running(tmp_path, fenced("yaml")[0]) as whole:
        update_id = "ID"
        for line in lines:
            typed = line.replace("NAME", "dana").replace("TEXT", "'read the notes'")
            typed = re.sub(r"\bID\b", update_id, typed).replace("--dir .patchline", f"--dir {whole.state}")
            done = whole.shell(typed)
            assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}\n{whole.log.read_text()}"
            if line.startswith("patchline feed publish"):
                [update] = json.loads(whole.shell("patchline updates -o json").stdout)
                update_id = update["id"]
        shown = json.loads(whole.shell(f"patchline update show {update_id} -o json").stdout)
        installed = whole.shell("apps/wiki/.venv/bin/pip freeze").stdout
    assert shown["state"] == "completed"
    assert "Jinja2==3.1.6" in installed
    assert "3.1.6" in (tmp_path / "report.html").read_text()


def test_the_service_of_the_readme_sees_what_a_running_patchline_does(tmp_path):
    (tmp_path / "item.json").write_text(fenced("json")[0])
    [line] = commands("`PATCHLINE_KAFKA=host:9092`:")
    with running(tmp_path, SIMULATED) as whole:
        assert whole.shell("patchline feed publish item.json").returncode == 0
        [update] = json.loads(whole.shell("patchline updates -o json").stdout)
        whole.shell(f"patchline update wait {update['id']} --for closed")
        script = ROOT / re.search(r"docs/examples/\S+", line).group()
        diary = subprocess.Popen(
            [sys.executable, script],
            env={**whole.environment, "PATCHLINE_LOG_FORMAT": "text"},
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        said: list[str] = []
        for text in diary.stdout:
            said.append(text)
            if "works on" in text:
                break
        diary.terminate()
        diary.communicate(timeout=30)
    assert "pkg:pypi/jinja2 3.1.6 works on 1 targets of intranet" in "".join(said)


@pytest.mark.parametrize("text", fenced("json"))
def test_a_feed_item_of_the_readme_is_accepted(text):
    assert len(parse_items(text)) == 1
