"""Origins that drip or say nothing hold up their own project's jobs and checks, and nobody else's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glare.app import Worker
from glare.db import location_hosts
from glare.db.checks import Target
from glare.domain.verification import CheckKind, Finding
from glare.egress.cancellation import Cancellation
from glare.operations.locations import check as check_location
from glare.operations.locations.jobs import claim_job
from glare.operations.locations.verify import claim_check
from glare.operations.services import Services
from support.origins.hostile import Hostile
from support.runs.jobs import AS_ASYNC, Working, working
from support.service import LOCATION, ActorClient, Json, path_of

DATA = bytes(range(256)) * 5000
FEW = "workers = 1\nproject_workers = 2\nslow_after = 0.05\npoll_interval = 0.1\n"
SLOW = f"minimum_throughput = 1\ntotal_time = 1 h\n[jobs]\n{FEW}[verification]\n{FEW}host_interval = 0\n"
DAY = 24 * 3600


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about, for long enough on any machine."""
    pause = threading.Event()
    for _ in range(1200):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come about")


@contextmanager
def background(service: Working) -> Iterator[None]:
    worker = Worker(service.glare.settings, service.glare.services)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def ask(actor: ActorClient, url: str) -> tuple[Json, str]:
    """Ask for a recording that the answer does not wait for; returns the image, and where the location will be."""
    image = actor.create("images", name=url[-40:], container_format="bare", disk_format="raw")
    body = json.dumps({"url": url}).encode()
    headers = {"Content-Type": LOCATION, **AS_ASYNC}
    answer = actor.request("PUT", f"{path_of(image)}/image", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return image, answer.headers["location"]


def test_a_recording_does_not_wait_for_dripping_origins_of_others(tmp_path: Path) -> None:
    """With one place for jobs, and more dripping ones before it, another project's recording is done all the same."""
    with Hostile() as hostile, working(tmp_path, SLOW, port=hostile.port) as service:
        slow = [ask(service.glare.alice, hostile.url("drip_body", number=str(at)))[0] for at in range(4)]
        service.origin.put("/raw", DATA)
        with background(service):
            until(lambda: hostile.visits("drip_body") == 2)
            _, address = ask(service.glare.bob, service.origin.url("/raw"))
            until(lambda: service.glare.bob.request("GET", address).json().get("state") == "verified")
            assert [state for _, state, _ in service.rows()].count("running") == 2
            assert hostile.visits("drip_body") == 2
        for image in slow:
            assert service.glare.alice.delete(image).status_code == 204


def test_a_check_does_not_wait_for_silent_origins_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one place for checks, and more silent hosts due before it, another project's location is checked all the
    same.
    """
    waiting: list[str] = []

    def check(services: Services, target: Target, kind: CheckKind, cancellation: Cancellation, *_: object) -> Finding:
        if target.project != "wonderland":
            return check_location.check(services, target, kind, cancellation)
        waiting.append(target.id)
        while not cancellation.cancelled:
            threading.Event().wait(0.01)
        raise cancellation.reason

    monkeypatch.setattr("glare.operations.locations.verify.check", check)
    with working(tmp_path, SLOW) as service:
        for at in range(4):
            service.record(f"/alice{at}", DATA, host=f"mirror.site{at}.example", name=f"alice{at}")
        service.origin.put("/bob", DATA)
        image = service.glare.bob.create("images", name="bob", container_format="bare", disk_format="raw")
        service.glare.bob.locate(image, "image", service.origin.url("/bob", "mirror.site4.example"))
        service.clock.forward(2 * DAY)
        seen = service.column(image, "seen_at")
        with background(service):
            until(lambda: service.column(image, "seen_at") != seen)
            until(lambda: len(waiting) == 2)
        assert len(set(waiting)) == 2


def test_claims_leave_projects_alone_that_have_enough(tmp_path: Path) -> None:
    """Neither a job nor a check of a project is claimed that is full; one that has nothing under way comes before one
    that has.
    """
    with working(tmp_path) as service:
        services = service.glare.services
        images = []
        for actor, name in ((service.glare.alice, "alice"), (service.glare.bob, "bob")):
            service.origin.put(f"/{name}", DATA)
            images.append((actor, ask(actor, service.origin.url(f"/{name}"))[0]))
            image = actor.create("images", name=name, container_format="bare", disk_format="raw")
            actor.locate(image, "image", service.origin.url(f"/{name}", f"mirror.site{len(images)}.example"))
            service.clock.forward(1)
        service.clock.forward(2 * DAY)
        mine, theirs = frozenset({"wonderland"}), frozenset({"builders"})
        assert claim_job(services, "", mine | theirs) is None
        assert claim_check(services, mine | theirs) is None
        job, check = claim_job(services, "", present=theirs), claim_check(services, present=theirs)
        assert job is not None
        assert check is not None
        assert check.due is not None
        assert (job.project, check.due.project) == ("wonderland", "wonderland")
        job, check = claim_job(services, "", present=theirs), claim_check(services, present=theirs)
        assert job is not None
        assert check is not None
        assert check.due is not None
        assert (job.project, check.due.project) == ("builders", "builders")
        for actor, image in images:
            assert actor.delete(image).status_code == 204


def test_a_host_of_two_projects_is_checked_for_the_one_that_has_room(tmp_path: Path) -> None:
    """The location that is due on it is one of a project that is not full."""
    with working(tmp_path) as service:
        for actor, name in ((service.glare.alice, "alice"), (service.glare.bob, "bob")):
            service.origin.put(f"/{name}", DATA)
            image = actor.create("images", name=name, container_format="bare", disk_format="raw")
            actor.locate(image, "image", service.origin.url(f"/{name}", "mirror.site0.example"))
        service.clock.forward(2 * DAY)
        claimed = claim_check(service.glare.services, frozenset({"wonderland"}))
        assert claimed is not None
        assert claimed.due is not None
        assert claimed.due.project == "builders"
        with service.glare.services.db.read() as connection:
            found = location_hosts.due_location(connection, claimed.host, service.clock.micros)
        assert found is not None
