"""The promise: once an artifact is active, everybody who downloads it gets the same bytes, wherever they live.

Origins change, lie, die and return; replicas come and go; checks run, and workers are killed in them at any step.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.operations.locations.verify import verify_next
from support.conversation import Conversation
from support.origins.origin import Origin
from support.runs.clock import Clock
from support.runs.faults import instrument
from support.runs.truth import disagreements
from support.service import LOCATION, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite

RIGHT = random.Random(41).randbytes(BLOCK + 3)
WRONG = RIGHT[:5] + b"\0" + RIGHT[6:]
LATE = RIGHT[:-1] + bytes([RIGHT[-1] ^ 1])
V2 = {"OpenStack-API-Version": "artifact 1.2"}
KEYS = ("a", "b", "c")
SETTINGS = "project_requests = -1\n[verification]\nspot_blocks = 1\nhost_interval = 0\noutage_hosts = 1000\n"
HOSTS = {key: f"mirror.site{number}.example" for number, key in enumerate(KEYS)}
SERVED = {"right": RIGHT, "wrong": WRONG, "late": LATE}


class Killed(BaseException):
    """The process is gone: nothing that it would still have done happens."""


class Power:
    """What the worker runs on. It may be cut at the step of a number."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, _: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Glare, Origin, Power]]:
    with (
        Origin() as origin,
        running(tmp_path_factory.mktemp("promise"), SETTINGS, ports=(80, 443, origin.port)) as glare,
    ):
        power = Power()
        instrument(glare.services, power)
        yield glare, origin, power


class Promise(RuleBasedStateMachine):
    """One active image with replicas, and everything that can happen to them."""

    world: tuple[Glare, Origin, Power]
    number = 0

    @initialize(first=st.sampled_from(["a", "stored"]))
    def recorded(self, first: str) -> None:
        """An active image with one replica."""
        self.glare, self.origin, self.power = self.world
        self.clock = Clock(self.glare)
        self.power.left = None
        Promise.number += 1
        self.serves = dict.fromkeys(KEYS, "right")
        for key in KEYS:
            self._serve(key, "right")
        self.image = self.glare.alice.create(
            "images", name=f"promised-{self.number}", container_format="bare", disk_format="raw"
        )
        assert self._add(first) == 200
        self.glare.alice.activate(self.image)

    @rule(
        key=st.sampled_from(KEYS), what=st.sampled_from(["right", "right", "wrong", "late", "lying", "gone", "failing"])
    )
    def origin_does(self, key: str, what: str) -> None:
        """An origin changes, lies with its validator, loses the file, fails, or returns."""
        self.serves[key] = what
        self._serve(key, what)

    @rule(key=st.sampled_from(KEYS))
    def replica_comes(self, key: str) -> None:
        """A location joins where it is free and its origin serves the content."""
        free = key not in self._members()
        status = self._add(key)
        if not free:
            assert status == 409
        elif self.serves[key] == "right":
            assert status == 200
        else:
            assert status in (400, 409)

    @rule(data=st.sampled_from([RIGHT, WRONG]))
    def upload_comes(self, data: bytes) -> None:
        """An upload joins where it is equal."""
        free = "stored" not in self._members()
        answer = self.glare.alice.try_upload(self.image, "locations/stored", data, headers=V2)
        assert answer.status_code == (200 if free and data == RIGHT else 409)

    @rule(key=st.sampled_from([*KEYS, "stored"]))
    def replica_goes(self, key: str) -> None:
        """A member leaves, unless it is the last good one."""
        members = self._members()
        answer = self.glare.alice.request("DELETE", f"{path_of(self.image)}/locations/{key}", headers=V2)
        if key not in members:
            assert answer.status_code == 404
            return
        others = [member for name, member in members.items() if name != key]
        stays = not others or (members[key]["good"] and not any(member["good"] for member in others))
        assert answer.status_code == (409 if stays else 200)

    @rule(key=st.sampled_from(KEYS))
    def owner_asks(self, key: str) -> None:
        """The owner wants a check now."""
        member = self._members().get(key)
        if member is not None:
            answer = self.glare.alice.request("POST", f"/locations/{member['location']}/checks")
            assert answer.status_code == 202

    @rule(hours=st.sampled_from([0.02, 1.1, 7, 800]))
    def time_goes_by(self, hours: float) -> None:
        """Whatever is due is checked."""
        self.clock.forward(hours * 3600)
        while verify_next(self.glare.services, Cancellation()):
            self.clock.forward(0.001)

    @rule(steps=st.integers(0, 14))
    def worker_is_killed(self, steps: int) -> None:
        """A worker goes away at some step of a check; its lease ends by itself."""
        self.clock.forward(7 * 3600)
        self.power.left = steps
        with suppress(Killed):
            verify_next(self.glare.services, Cancellation())
        self.power.left = None
        self.clock.forward(120)

    @rule(key=st.sampled_from([*KEYS, "stored"]), part=st.booleans())
    def somebody_reads(self, key: str, part: bool) -> None:
        """Whatever is asked for, whole or in part."""
        self._read(key, f"bytes={BLOCK - 2}-{BLOCK + 1}" if part else None)

    @precondition(lambda self: hasattr(self, "image"))
    @invariant()
    def keeps_the_promise(self) -> None:
        """Every member is the one content, and one of them, at least, is there; whoever reads gets right bytes, or sees
        a failure.
        """
        members = self._members()
        assert members
        key = sorted(members)[0]
        self._read(key, None)

    def teardown(self) -> None:
        """Nothing was left, and all counters are right."""
        if hasattr(self, "image"):
            assert disagreements(self.glare.services, self.glare.settings.glance_store.filesystem_store_datadir) == []
            assert self.glare.admin.delete(self.image).status_code == 204

    def _read(self, key: str, part: str | None) -> None:
        members = self._members()
        headers = {**V2, **({"Range": part} if part else {})}
        with Conversation(self.glare, "GET", f"{path_of(self.image)}/locations/{key}", headers) as download:
            download.end()
            answer = download.answer()
        wanted = RIGHT[BLOCK - 2 : BLOCK + 2] if part else RIGHT
        if key not in members:
            assert answer.status == 404
            return
        if answer.status in (200, 206):
            assert wanted.startswith(answer.body)
            assert answer.complete == (answer.body == wanted)
        else:
            assert answer.status in (409, 502)
        if any(self._delivers(name, member) for name, member in members.items()):
            assert (answer.status, answer.complete) == (206 if part else 200, True)

    def _delivers(self, name: str, member: Json) -> bool:
        """Whether Glare takes a member for good, rightly."""
        return bool(member["good"]) and (name == "stored" or self.serves[name] == "right")

    def _members(self) -> dict[str, Any]:
        answer = self.glare.alice.request("GET", f"{path_of(self.image)}/locations", headers=V2)
        assert answer.status_code == 200
        folder = answer.json()
        for member in folder["members"].values():
            assert (member["size"], member["sha256"]) == (folder["size"], folder["sha256"])
        members: dict[str, Any] = folder["members"]
        return members

    def _add(self, key: str) -> int:
        if key == "stored":
            return self.glare.alice.try_upload(self.image, "locations/stored", RIGHT, headers=V2).status_code
        body = json.dumps({"url": self.origin.url(f"/{key}", HOSTS[key])}).encode()
        path = f"{path_of(self.image)}/locations/{key}"
        return int(
            self.glare.alice.request("PUT", path, content=body, headers={"Content-Type": LOCATION, **V2}).status_code
        )

    def _serve(self, key: str, what: str) -> None:
        target = f"/{key}"
        if what in SERVED:
            self.origin.put(target, SERVED[what])
        elif what == "lying":
            self.origin.put(target, RIGHT)
            served = self.origin.get(target)
            assert served is not None
            self.origin.put(target, WRONG, etag=served.etag)
        elif what == "failing":
            self.origin.refuse(target, 500, {})
        elif self.origin.get(target) is not None:
            self.origin.remove(target)


def test_the_promise_holds_whatever_happens(world: tuple[Glare, Origin, Power]) -> None:
    """No sequence of changes, checks, crashes and readers lets a wrong byte through, or the last good replica go."""

    class Held(Promise):
        pass

    Held.world = world
    run_state_machine_as_test(Held, settings=settings(max_examples=15, stateful_step_count=25, deadline=None))
