"""Proposals are listed, and shown such that `patch` takes them."""

from __future__ import annotations

from patchline_cli import exit_codes

PATCH = "--- fleet.yaml\n+++ fleet.yaml\n@@ -1,1 +1,1 @@\n-soak: PT5S\n+soak: PT1M\n"
PROPOSAL = {
    "id": "p1",
    "time": "2026-03-03T09:30:00Z",
    "update_id": "jinja2-3.1.6-381efe",
    "group": "shop",
    "reason": "2 of the last 3 updates failed.",
    "evidence": ["e1"],
    "patch": PATCH,
}


def test_the_list_says_why_and_the_hint_how_to_go_on(api, patchline):
    api.answer("/v1/proposals", {"items": [PROPOSAL], "next": None})
    ended = patchline("proposals", "list")
    assert (ended.code, PROPOSAL["reason"] in ended.out) == (exit_codes.DONE, True)
    assert "patchline proposals show p1" in ended.err
    assert patchline("proposals", "list", "-o", "json").json == [PROPOSAL]


def test_the_patch_stands_alone_on_standard_output(api, patchline):
    api.answer("/v1/proposals/p1", PROPOSAL)
    ended = patchline("proposals", "show", "p1")
    assert (ended.out, PROPOSAL["reason"] in ended.err) == (PATCH, True)


def test_a_proposal_without_a_patch_says_so(api, patchline):
    api.answer("/v1/proposals/p1", {**PROPOSAL, "patch": ""})
    ended = patchline("proposals", "show", "p1")
    assert (ended.out, "There is no patch" in ended.err) == ("", True)
