"""Answers whose size depends on data: the same document as ever, sent in parts, and little of it in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from glare.http.answers import PIECE
from glare.http.call import PART
from glare.shares import Party
from support.conversation import Answer, Conversation, eventually
from support.service import Glare, Json, path_of, running

LARGE = 120
PROJECT = "u:large:member"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service with some artifacts of 30 KB, and one of 380."""
    with running(tmp_path_factory.mktemp("large")) as glare:
        owner = glare.actor(PROJECT)
        for number in range(LARGE):
            owner.create("sample_artifact", name=f"{number:03}", string_required="x", dict_of_str=values(30_000))
        owner.create("sample_artifact", name="huge", string_required="x", dict_of_str=values(380_000))
        yield glare


def values(size: int) -> dict[str, str]:
    """A dictionary of about so many bytes, 380 000 at most."""
    characters = size // 250 // 3
    value, rest = min(characters, 255), max(0, characters - 255)
    return {f"{number:03}" + "€" * min(rest, 252): "€" * value for number in range(250)}


def asked(glare: Glare, query: dict[str, Any], *, hold_after: int | None = None) -> Conversation:
    conversation = Conversation(
        glare,
        "GET",
        f"/artifacts/sample_artifact?{urlencode(query)}",
        {"X-Auth-Token": PROJECT},
        hold_after=hold_after,
    )
    conversation.end()
    return conversation


def document(glare: Glare, path: str) -> tuple[Json, bytes]:
    answer = glare.actor(PROJECT).request("GET", path)
    assert answer.status_code == 200
    found: Json = answer.json()
    return found, answer.content


def test_a_list_in_parts_is_the_document_that_it_always_was(large: Glare) -> None:
    """Key by key and byte by byte: what short pages hold is what a long one holds, in order, with the same totals and
    links.
    """
    base = "/artifacts/sample_artifact?sort=name:asc"
    whole, content = document(large, f"{base}&limit=1000")
    assert list(whole) == ["artifacts", "type_name", "schema", "total_count", "first"]
    assert content == json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
    assert whole["total_count"] == len(whole["artifacts"]) == LARGE + 1
    artifacts, path = [], f"{base}&limit=3"
    while path:
        page, _ = document(large, path)
        artifacts += page["artifacts"]
        path = page.get("next", "")
    assert artifacts == whole["artifacts"]
    full, _ = document(large, f"{base}&limit={LARGE}")
    assert list(full)[-1] == "next"
    assert full["next"].endswith(f"marker={full['artifacts'][-1]['id']}")


@pytest.mark.parametrize("limit", [25, 1000])
def test_an_unread_list_holds_one_piece(large: Glare, limit: int) -> None:
    """While its client takes nothing, of a list of megabytes a piece is in memory, and no thread and no place is
    held.
    """
    with asked(large, {"limit": limit, "sort": "name:asc"}, hold_after=1) as request:
        eventually(lambda: request.received > 0)
        assert large.lanes.answers.in_use == PIECE // PART
        assert large.lanes.lists.shares.in_use == 0
        assert request.received <= PART
        assert not request.done
        request.go_on()
        answer = request.answer()
    assert answer.complete
    assert "content-length" not in answer.headers
    assert len(json.loads(answer.body)["artifacts"]) == min(limit, LARGE + 1)
    assert large.lanes.answers.in_use == 0


def test_a_list_whose_client_left_is_not_read_on(large: Glare) -> None:
    """Nothing more is read for it than the piece that was there."""
    with asked(large, {"limit": 1000}, hold_after=1) as request:
        eventually(lambda: request.received > 0)
        request.leave()
        request.go_on()
        request.wait()
        assert request.received < 2 * PIECE


def test_what_is_hidden_or_gone_meanwhile_is_left_out(tmp_path: Path) -> None:
    """Parts are as they are when they are read: a later part does not show what became private, or was deleted, after
    the first.
    """
    with running(tmp_path) as glare:
        fields = {"string_required": "x", "dict_of_str": values(50_000)}
        made = []
        for number in range(12):
            artifact = glare.bob.create("sample_artifact", name=f"{number:02}", **fields)
            glare.bob.activate(artifact)
            made.append(glare.admin.publish(artifact))
        with Conversation(glare, "GET", "/artifacts/sample_artifact?sort=name:asc&limit=12", hold_after=1) as request:
            request.end()
            eventually(lambda: request.received > 0)
            assert glare.admin.delete(made[-1]).status_code == 204
            request.go_on()
            listed = json.loads(request.answer().body)
        assert [artifact["name"] for artifact in listed["artifacts"]] == [f"{number:02}" for number in range(11)]
        assert listed["total_count"] == 12
        assert listed["next"].endswith(f"marker={made[-2]['id']}")


def test_a_large_artifact_is_sent_in_parts_and_counted(large: Glare) -> None:
    """Its length is announced; while its client takes nothing it counts among the answers in memory."""
    huge = large.actor(PROJECT).page("sample_artifact", "name=huge")["artifacts"][0]
    path = f"/artifacts/sample_artifact/{huge['id']}"
    with Conversation(large, "GET", path, {"X-Auth-Token": PROJECT}, hold_after=1) as request:
        request.end()
        eventually(lambda: request.received > 0)
        assert request.received == PART
        assert large.lanes.answers.in_use >= 300_000 // PART
        request.go_on()
        answer = request.answer()
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["id"] == huge["id"]


def test_answers_in_memory_are_bounded_for_each_project(tmp_path: Path) -> None:
    """Whose unread answers have all of a project's share waits with the next; another project's is sent."""
    text = "[api]\nmax_answer_memory = 2 MiB\nmax_answer_memory_per_project = 1 MiB\nmax_wait = 60 s\n"
    with running(tmp_path, text) as glare, ExitStack() as stack:
        mine, theirs = (
            actor.create("sample_artifact", name="a", string_required="x", dict_of_str=values(380_000))
            for actor in (glare.alice, glare.bob)
        )
        held = [stack.enter_context(Conversation(glare, "GET", path_of(mine), hold_after=1)) for _ in range(2)]
        for request in held:
            request.end()
        eventually(lambda: all(request.received > 0 for request in held))
        with Conversation(glare, "GET", path_of(mine)) as next_one:
            next_one.end()
            eventually(lambda: glare.lanes.answers.waiting == 1)
            assert glare.bob.show(theirs)["name"] == "a"
            assert not next_one.done
            held[0].go_on()
            assert next_one.answer().complete


def test_what_was_changed_is_told_in_any_case(tmp_path: Path) -> None:
    """An answer to a change is not refused for want of memory: its client would believe that nothing had happened."""
    text = "[api]\nmax_answer_memory = 1 MiB\nmax_wait = 0.1 s\n"
    with running(tmp_path, text) as glare:
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x", dict_of_str=values(380_000))
        with glare.lanes.answers.hold(Party.project("builders"), 16):
            assert glare.alice.set(artifact, description="new").json()["description"] == "new"
            refused = glare.alice.get(artifact)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_unread_answers_to_changes_are_counted_and_bound_the_next(tmp_path: Path) -> None:
    """Clients that change and never read hold no more than their project's share: its next change is 429 before it is
    made. Others change as before, and so does the project when its answers have been taken.
    """
    text = "[api]\nmax_answer_memory = 4 MiB\nmax_answer_memory_per_project = 1 MiB\n"
    with running(tmp_path, text) as glare, ExitStack() as stack:
        mine, theirs = (
            actor.create("sample_artifact", name="a", string_required="x", dict_of_str=values(380_000))
            for actor in (glare.alice, glare.bob)
        )
        headers = {"Content-Type": "application/json-patch+json"}
        held: list[Conversation] = []
        while glare.lanes.answers.in_use < 16:
            request = stack.enter_context(Conversation(glare, "PATCH", path_of(mine), headers, hold_after=1))
            request.end(json.dumps([{"op": "replace", "path": "/description", "value": f"{len(held)}"}]).encode())
            held.append(request)
            eventually(lambda: held[-1].received > 0)
            assert len(held) <= 3
        refused = glare.alice.set(mine, description="refused")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "large answers" in refused.json()["error"]["message"]
        assert glare.bob.set(theirs, description="beside").json()["description"] == "beside"
        for request in held:
            request.go_on()
            assert request.answer().complete
        assert glare.alice.show(mine)["description"] == f"{len(held) - 1}"
        assert glare.alice.set(mine, description="again").json()["description"] == "again"
        assert glare.lanes.answers.in_use == 0


def test_a_list_under_way_waits_for_its_next_piece(tmp_path: Path) -> None:
    """A piece that finds no room is asked for again, and the answer is whole in the end; one that finds none for long
    breaks it off.
    """
    text = (
        "[api]\nlist_threads = 1\nlist_threads_per_project = 1\nmax_waiting = 1\nmax_waiting_per_project = 1\n"
        "max_wait = 1 s\n"
    )
    with running(tmp_path, text) as glare:
        for number in range(12):
            glare.alice.create("sample_artifact", name=f"{number}", string_required="x", dict_of_str=values(50_000))
        for release in (True, False):
            answer = _held_up(glare, release)
            assert answer.complete == release
            if release:
                assert len(answer.json()["artifacts"]) == 12


def _held_up(glare: Glare, release: bool) -> Answer:
    """The answer to a list that finds no room for its second piece: for a moment, or for long."""
    with Conversation(glare, "GET", "/artifacts/sample_artifact?limit=12", hold_after=1) as request:
        request.end()
        eventually(lambda: request.received > 0)
        with glare.lanes.lists.shares.hold(Party.project("builders")):
            before = refusals(glare, "lists")
            request.go_on()
            eventually(lambda: refusals(glare, "lists") > before)
            assert not request.done
            if not release:
                request.wait()
        return request.answer()


def refusals(glare: Glare, what: str) -> float:
    """How many were refused of `what`."""
    lines = glare.client.get("/metrics").text.splitlines()
    mine = [line for line in lines if line.startswith("glare_refused_total{") and f'what="{what}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine)


def test_plain_lists_are_read_in_parts_too(tmp_path: Path) -> None:
    """A long page of the audit log is the same document as the short ones behind one another, with the same links."""
    with running(tmp_path) as glare:
        for number in range(130):
            glare.alice.create("images", name=str(number))

        def page(path: str) -> tuple[Json, bytes, Any]:
            answer = glare.admin.request("GET", path)
            assert answer.status_code == 200, answer.text
            return answer.json(), answer.content, answer.headers

        long, content, headers = page("/audit?limit=120")
        assert content == json.dumps(long, separators=(",", ":"), ensure_ascii=False).encode()
        assert "content-length" not in headers
        short, _, headers = page("/audit?limit=60")
        assert "content-length" in headers
        second, _, _ = page(short["next"])
        assert long["audit"] == short["audit"] + second["audit"]
        assert list(long) == ["audit", "first", "next"]
        assert long["first"] == "/audit?limit=120"
        assert long["next"].partition("marker=")[2] == second["next"].partition("marker=")[2]
        whole, _, _ = page("/audit?limit=1000")
        assert list(whole) == ["audit", "first"]
        assert len(whole["audit"]) == 130
        rest, _, _ = page(long["next"])
        assert long["audit"] + rest["audit"] == whole["audit"]
        assert glare.admin.request("GET", "/audit?limit=200&limit=300").status_code == 400


def test_the_description_is_the_same_bytes_for_everybody(large: Glare) -> None:
    """It is sent in parts and counted nowhere."""
    with Conversation(large, "GET", "/openapi.json", hold_after=1) as request:
        request.end()
        eventually(lambda: request.received > 0)
        assert request.received == PART
        assert large.lanes.answers.in_use == 0
        request.go_on()
        assert json.loads(request.answer().body)["openapi"]
