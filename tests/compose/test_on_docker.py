"""docker-compose.yml, run: the demo's updates go through it to their end, and it survives a stop.

Run by ``make test-compose``; elsewhere there is no Docker to do it on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import httpx
import pytest
from compose_stack import HOUSE, Stack, read_env

pytestmark = pytest.mark.skipif(
    not os.environ.get("PATCHLINE_TEST_COMPOSE"), reason="needs Docker: make test-compose"
)
SERVICES = sorted(path.name for path in (HOUSE / "services").iterdir() if path.is_dir())
UPDATES = 5


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, and the demo's updates through it."""
    stack = Stack(tmp_path_factory.mktemp("compose"))
    stack.down()  # what a run that was killed has left
    stack.compose("build", "--quiet")
    try:
        stack.up()
        yield stack
    except BaseException:
        sys.stderr.write(stack.compose("logs", "--no-color", "--tail", "25"))
        raise
    finally:
        stack.down()


@pytest.fixture(scope="module")
def story(stack: Stack) -> str:
    """What the demo told, with the truth asked from the targets; it fails unless all is as it should be."""
    demo = ("python", "-m", "patchline_demo", "--dir", "/srv/fleet", "--url", "http://gateway:8470")
    return stack.in_container("demo-fleet", *demo, "--patience", "900")


def test_the_demos_updates_end_as_they_should(story: str) -> None:
    assert f"{UPDATES} updates ended as they should." in story, story


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_not_root_and_cannot_change_its_programs(stack: Stack, service: str) -> None:
    said = stack.in_container(
        service, "sh", "-c", "id -u; touch /opt/patchline/x 2>&1; touch /tmp/x && echo scratch"
    )
    uid, refused, scratch = said.splitlines()
    assert uid == "10001"
    assert "Read-only file system" in refused
    assert scratch == "scratch"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_no_other_service(stack: Stack, service: str) -> None:
    said = stack.in_container(service, "python", "-c", _OWN_PACKAGES)
    assert set(said.split()) - {f"patchline-{service}"} <= {
        "patchline-kit",
        "patchline-schemas",
        "patchline-fleet",
    }


def test_the_gateway_asks_for_the_token(stack: Stack) -> None:
    url = f"http://{stack.address('gateway', 8470)}/v1/updates"
    token = {"Authorization": f"Bearer {read_env()['PATCHLINE_TOKEN']}"}
    assert httpx.get(url).status_code == httpx.codes.UNAUTHORIZED
    assert httpx.get(url, headers=token).status_code == httpx.codes.OK


def test_every_service_is_seen_in_the_tracing_ui(stack: Stack, story: str) -> None:
    answer = httpx.get(f"http://{stack.address('zipkin', 9411)}/api/v2/services")
    missing = {*SERVICES} - {
        name.removeprefix("patchline-").removeprefix("patchline.") for name in answer.json()
    }
    assert not missing, answer.json()


def test_archives_are_on_the_shared_volume(stack: Stack, story: str) -> None:
    look = ("sh", "-c", "find /var/lib/patchline/archives -type f | sort")
    archives = stack.in_container("backup", *look)
    assert archives
    assert stack.in_container("deployment", *look) == archives


def test_the_gateway_hands_out_reports_that_documentation_wrote(stack: Stack, story: str) -> None:
    listed = stack.in_container("demo-fleet", "patchline", "updates", "-o", "jsonl").splitlines()
    for update in map(json.loads, listed):
        report = stack.in_container("demo-fleet", "patchline", "report", update["id"])
        assert f"{update['id']}, round 1" in report


def test_people_are_told_in_files_that_outlive_the_container(stack: Stack, story: str) -> None:
    folders = ("/srv/fleet/notices", "/var/lib/patchline/notices/calendar")
    for folder in folders:
        assert stack.in_container("communication", "find", folder, "-type", "f"), folder


def test_no_service_met_an_error(stack: Stack, story: str) -> None:
    lines = stack.compose("logs", "--no-color", *SERVICES).splitlines()
    assert [line for line in lines if '"level": "error"' in line] == []


def test_stopped_and_started_again_it_knows_what_it_knew(stack: Stack, story: str) -> None:
    stack.compose("stop", timeout=300)
    ended = {each.name: each.state["ExitCode"] for each in stack.containers() if each.name in SERVICES}
    assert ended == dict.fromkeys(SERVICES, 0)
    stack.up()
    updates = stack.in_container("demo-fleet", "patchline", "updates", "-o", "jsonl").splitlines()
    assert len(updates) == UPDATES


_OWN_PACKAGES = """
import importlib.metadata
print(*(each.name for each in importlib.metadata.distributions() if each.name.startswith("patchline")))
"""
