"""`glare-server links`: who has made which links, and their end, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from glare.cli.main import main
from support.service import Glare, Json, running

pytestmark = pytest.mark.sqlite


class Command:
    """The command beside a running service."""

    def __init__(self, capsys: pytest.CaptureFixture[str], directory: Path) -> None:
        self._capsys = capsys
        self._options = ["--config-file", str(directory / "glare.conf")]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and what it printed to both."""
        self._capsys.readouterr()
        code = main(["links", *arguments, *self._options])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def ids(self, *arguments: str) -> list[str]:
        code, out, _ = self.run("list", *arguments, "-o", "json")
        assert code == 0
        return [link["id"] for link in json.loads(out)]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    return Command(capsys, tmp_path)


def make(glare: Glare, who: str, name: str, **members: object) -> Json:
    """A link of somebody's to an artifact of theirs."""
    actor = glare.actor(who)
    artifact = actor.upload(actor.create("images", name=name), "image", b"bytes")
    body = {"artifact": artifact["id"], "blob": "image", **members}
    answer = actor.request("POST", "/links", json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def leads(glare: Glare, link: Json) -> bool:
    return glare.client.get(urlsplit(link["url"]).path).status_code == 200


def test_links_are_listed_without_their_addresses(tmp_path: Path, command: Command) -> None:
    """By project, artifact and maker, in pages; a description keeps its line."""
    with running(tmp_path) as glare:
        one = make(glare, "ann:p:member", "a", description="two\nlines " + "long " * 20, network="192.0.2.0/24", uses=3)
        two, three = make(glare, "bob:p:member", "b"), make(glare, "ann:q:member", "c")
        assert command.ids() == sorted(link["id"] for link in (one, two, three))
        assert command.ids("--project", "p", "--user", "ann") == [one["id"]]
        assert command.ids("--artifact", two["artifact"]) == [two["id"]]
        assert command.ids("--user", "nobody") == []
        code, out, err = command.run("list", "--user", "ann", "--project", "p")
        assert code == 0
        [row] = out.splitlines()[1:]
        for word in (one["id"], "p", "ann", one["artifact"], "image", "192.0.2.0/24", "3", "two lines"):
            assert word in row
        secret = urlsplit(one["url"]).path.split("/")[2].partition(".")[2]
        assert len(secret) > 20
        assert secret not in out + err + command.run("list", "-o", "json")[1]
        code, out, err = command.run("list", "--limit", "1")
        assert (code, len(out.splitlines())) == (0, 2)
        marker = err.split("--marker ")[1].split()[0]
        assert command.ids("--marker", marker) == sorted(link["id"] for link in (one, two, three))[1:]
        code, out, err = command.run("list", "--project", "nothing")
        assert (code, out, "there are no links" in err) == (0, "", True)


def test_a_link_is_ended_by_its_id(tmp_path: Path, command: Command) -> None:
    """The running service does not follow it any more, and the audit log says who did it; there is none to end then."""
    with running(tmp_path) as glare:
        one, two = make(glare, "ann:p:member", "a"), make(glare, "ann:p:member", "b")
        assert leads(glare, one)
        code, _, err = command.run("remove", one["id"])
        assert (code, one["artifact"] in err) == (0, True)
        assert (leads(glare, one), leads(glare, two)) == (False, True)
        newest = glare.admin.request("GET", "/audit?limit=1").json()["audit"][0]
        assert (newest["action"], newest["target"], newest["project"]) == ("link.delete", one["id"], None)
        for missing in (one["id"], "é", "x" * 100):
            code, _, err = command.run("remove", missing)
            assert (code, "glare-server links list" in err) == (1, True)


@pytest.mark.parametrize(
    ("given", "ended"),
    [
        (("--project", "p"), {0, 1}),
        (("--user", "ann"), {0, 2}),
        (("--user", "ann", "--project", "p"), {0}),
        (("--user", "eve"), set()),
    ],
)
def test_many_are_ended_at_once(tmp_path: Path, command: Command, given: tuple[str, ...], ended: set[int]) -> None:
    """All that fit, and no others: what is done when somebody leaves. Nothing named is a mistake, not everything."""
    with running(tmp_path) as glare:
        makers = ("ann:p:member", "bob:p:member", "ann:q:member")
        links = [make(glare, who, f"a{number}") for number, who in enumerate(makers)]
        assert command.run("remove-all")[0] == 1
        assert all(leads(glare, link) for link in links)
        code, _, err = command.run("remove-all", *given)
        said = "1 link leads nowhere" if len(ended) == 1 else f"{len(ended)} links lead nowhere"
        assert (code, said in err) == (0, True)
        assert {number for number, link in enumerate(links) if not leads(glare, link)} == ended
        newest = glare.admin.request("GET", "/audit?limit=1").json()["audit"][0]
        if ended:
            assert (newest["action"], newest["detail"]["links"]) == ("link.delete", len(ended))
            assert newest["detail"].get("user") == ("ann" if "ann" in given else None)


def test_all_links_to_an_artifact_are_ended(tmp_path: Path, command: Command) -> None:
    """Those to others stay."""
    with running(tmp_path) as glare:
        one, two = make(glare, "ann:p:member", "a"), make(glare, "ann:p:member", "b")
        assert command.run("remove-all", "--artifact", one["artifact"])[0] == 0
        assert (leads(glare, one), leads(glare, two)) == (False, True)
