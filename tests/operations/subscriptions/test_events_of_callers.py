"""What subscribers hear of the tokens and publishers of their project."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from glare.app import build_services, close
from glare.cli.main import main
from glare.domain import moment
from glare.domain.moment import SECOND
from glare.identity.token_file import TokenFile
from glare.operations.services import Services
from glare.operations.tokens.upkeep import tell_expiring
from glare.operations.upkeep.sweep import sweep
from support.audit import actions, entries
from support.origins.egress import resolve
from support.origins.receiver import Receiver
from support.runs.clock import Clock
from support.service import ActorClient, Glare, Json
from support.subscribers import now_clock, subscribed, telling, work
from support.token_nodes import SINCE

DAY = timedelta(days=1).total_seconds()
PUBLISHERS = """
[issuers.ci]
issuer = "https://ci.example"
audience = ["glare"]
publishers = true
kind = "github"
"""
BUILDS = {"issuer": "ci", "claims": {"repository_id": "7"}, "names": ["app-*"]}
DYING = """
import os, signal, sys
from pathlib import Path
from glare.app import build_services
from glare.operations.tokens import upkeep
from glare.settings import Sources, load

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

upkeep.tell = die
services = build_services(load(Sources(files=(Path(sys.argv[1]),), environment=False)).settings)
object.__setattr__(services, "clock", lambda: int(sys.argv[2]))
upkeep.tell_expiring(services)
"""
"""A worker that dies when it has marked tokens as told, and has not told anybody."""


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def others() -> Iterator[Receiver]:
    """That of another project."""
    with Receiver() as server:
        yield server


@pytest.fixture
def told(tmp_path: Path, hook: Receiver, others: Receiver) -> Iterator[Glare]:
    """A service whose tokens are told of a week before."""
    with telling(tmp_path, hook, others, text="[tokens]\nexpiry_notice = 7 d\n") as glare:
        yield glare


@pytest.fixture
def publishing(tmp_path: Path, hook: Receiver, others: Receiver) -> Iterator[Glare]:
    """A service with an issuer of publishers; its actors have tokens of the file."""
    file = tmp_path / "issuers.toml"
    file.write_text(PUBLISHERS)
    text = f"[oidc]\nissuers = {file}\n[identity]\npipeline = oidc, token_file\n"
    with telling(tmp_path, hook, others, text=text) as glare:
        tokens = TokenFile(glare.settings.identity.token_file)
        glare.alice = glare.actor(tokens.create("wonderland", "alice", ("member", "manager"))[0])
        glare.bob = glare.actor(tokens.create("builders", "bob", ("member", "manager"))[0])
        glare.admin = glare.actor(tokens.create("cloud", "root", ("admin",))[0])
        yield glare


@pytest.fixture
def clock(told: Glare) -> Clock:
    return now_clock(told)


def make(glare: Glare, clock: Clock, days: float, who: str = "alice:wonderland:member") -> Json:
    """A token that lasts so long."""
    expires = moment.text(clock.micros + int(days * DAY * SECOND))
    answer = glare.actor(who).request("POST", "/tokens", json={"expires_at": expires}, headers=SINCE)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def expiring(glare: Glare) -> int:
    return glare.events().count("token.expiring")


def heard(hook: Receiver) -> list[tuple[str, str]]:
    """Type and token or publisher of each event, in the order in which they came."""
    return [
        (message.type, next(iter(message.document["data"].values()))["id"])
        for message in hook.events()
        if message.type.startswith(("token", "publisher"))
    ]


def test_a_project_hears_once_that_a_token_expires(told: Glare, clock: Clock, hook: Receiver, others: Receiver) -> None:
    """Not before its time, not twice, and nothing of the token; another project hears nothing. The audit log has no
    entry, because nobody has changed anything.
    """
    made = make(told, clock, 30)
    clock.forward(22 * DAY)
    sweep(told.services)
    assert expiring(told) == 0
    subscribed(told, told.alice, hook, events=["token.expiring"])
    subscribed(told, told.bob, others)
    before = actions(told)
    clock.forward(2 * DAY)
    for _ in range(3):
        sweep(told.services)
        work(told)
        clock.forward(3600)
    assert heard(hook) == [("token.expiring", made["id"])]
    [message] = hook.events()
    assert message.document["data"]["token"]["expires"] == made["expires_at"]
    assert made["token"] not in str(message.document)
    assert others.events() == []
    assert actions(told) == before


def test_tokens_that_have_ended_or_are_short_are_not_told_of(told: Glare, clock: Clock) -> None:
    """Revoked ones, those that a worker comes too late for, and those that last no longer than the notice."""
    revoked, _, _ = make(told, clock, 30), make(told, clock, 32), make(told, clock, 7)
    assert told.alice.request("DELETE", f"/tokens/{revoked['id']}", headers=SINCE).status_code == 204
    clock.forward(24 * DAY)
    assert tell_expiring(told.services) == 0
    clock.forward(9 * DAY)
    assert tell_expiring(told.services) == 0
    assert expiring(told) == 0


def test_a_clock_that_goes_back_tells_nothing_again(told: Glare, clock: Clock) -> None:
    """What was told is told, whatever time it is afterwards."""
    make(told, clock, 30)
    clock.forward(24 * DAY)
    assert tell_expiring(told.services) == 1
    clock.forward(-10 * DAY)
    assert tell_expiring(told.services) == 0
    clock.forward(10 * DAY)
    assert tell_expiring(told.services) == 0
    assert expiring(told) == 1


@pytest.mark.timeout(180)
def test_several_workers_at_once_tell_each_token_once(told: Glare, clock: Clock, monkeypatch: Any) -> None:
    """However their rounds fall together; in several transactions each."""
    for number in range(8):
        make(told, clock, 30, f"ann:p{number}:member")
    monkeypatch.setattr("glare.operations.tokens.upkeep._BATCH", 3)
    clock.forward(24 * DAY)
    with ExitStack() as stack, ThreadPoolExecutor(3) as threads:
        nodes: list[Services] = [told.services]
        for _ in range(2):
            node = build_services(told.settings, resolve=resolve)
            stack.callback(close, node)
            object.__setattr__(node, "clock", lambda: clock.micros)
            nodes.append(node)
        barrier = Barrier(len(nodes))

        def round_of(node: Services) -> int:
            barrier.wait(30)
            return tell_expiring(node)

        assert sum(threads.map(round_of, nodes)) == 8
    assert expiring(told) == 8
    assert tell_expiring(told.services) == 0


@pytest.mark.timeout(180)
def test_a_worker_that_dies_on_its_way_leaves_it_to_the_next(told: Glare, clock: Clock, tmp_path: Path) -> None:
    """It has marked the token, and had told nobody: neither is there, and the next one tells it."""
    make(told, clock, 30)
    clock.forward(24 * DAY)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    worker = [sys.executable, "-c", DYING, str(tmp_path / "glare.conf"), str(clock.micros)]
    died = subprocess.run(worker, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert expiring(told) == 0
    assert tell_expiring(told.services) == 1
    assert expiring(told) == 1


def registered(manager: ActorClient, **members: Any) -> Json:
    answer = manager.request("POST", "/publishers", json={**BUILDS, **members}, headers=SINCE)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def test_a_project_hears_who_may_publish_into_it(publishing: Glare, hook: Receiver, others: Receiver) -> None:
    """All of a publisher, as the API shows it to whoever is in the project. Another project hears nothing of it."""
    subscribed(publishing, publishing.alice, hook, events=["publisher.created", "publisher.removed"])
    subscribed(publishing, publishing.bob, others)
    made = registered(publishing.alice)
    gone = f"/publishers/{made['id']}"
    assert publishing.bob.request("DELETE", gone, headers=SINCE).status_code == 404
    assert [publishing.alice.request("DELETE", gone, headers=SINCE).status_code for _ in range(2)] == [204, 404]
    work(publishing)
    assert heard(hook) == [("publisher.created", made["id"]), ("publisher.removed", made["id"])]
    for message in hook.events():
        assert message.document["data"] == {"publisher": made}
        assert "subject" not in message.document
    assert others.events() == []


def test_a_project_hears_what_an_operator_does_at_the_command_line(
    publishing: Glare, hook: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The events are the same; the audit log says that it was a command."""

    def run(*words: str) -> str:
        assert main(["publishers", *words, "--config-file", str(tmp_path / "glare.conf")]) == 0
        return capsys.readouterr().out.strip()

    subscribed(publishing, publishing.alice, hook)
    publisher = run("add", "--project=wonderland", "--issuer=ci", "--claim=repository_id=7")
    run("remove", publisher)
    work(publishing)
    assert heard(hook) == [("publisher.created", publisher), ("publisher.removed", publisher)]
    assert [one["action"] for one in entries(publishing, "source=command")] == ["publisher_delete", "publisher_create"]


def test_what_no_subscriber_could_be_told_does_not_happen(publishing: Glare) -> None:
    """Publisher, event and entry of the audit log are one transaction."""
    with publishing.services.db.write() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    answer = publishing.alice.request("POST", "/publishers", json=BUILDS, headers=SINCE)
    with publishing.services.db.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
    assert answer.status_code == 500
    assert publishing.alice.request("GET", "/publishers", headers=SINCE).json()["publishers"] == []
    assert entries(publishing) == []
