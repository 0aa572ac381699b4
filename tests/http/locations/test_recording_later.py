"""Recording a location in a job: the answer does not wait, and the work survives whoever does it."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.app import Worker
from glare.db.tables import outbox
from glare.egress.cancellation import Cancellation
from glare.operations.locations.add import fill
from glare.operations.locations.jobs import do_next
from glare.operations.upkeep.sweep import end_dead_attempts, sweep
from support.runs.jobs import Working, working
from support.service import path_of

DATA = bytes(range(256)) * 5000
HOUR = 3600
FILL = "glare.operations.locations.record_later.fill"


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path, "project_concurrency = 1\n[jobs]\ntries = 3\n") as service:
        yield service


def test_the_answer_comes_before_the_measuring(later: Working) -> None:
    """202 with the blob saving; once a worker has been at it, the location has the promised address and is verified."""
    later.origin.put("/raw", DATA)
    image = later.image()
    answer = later.ask(image, later.origin.url("/raw"), md5=hashlib.md5(DATA).hexdigest())
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert answer.json()["image"]["status"] == "saving"
    assert later.origin.count("/raw") == 0
    address = answer.headers["location"]
    assert later.record_at(address)["status"] == "saving"
    assert later.glare.bob.request("GET", address).status_code == 404
    assert later.do() == ["wonderland"]
    record = later.record_at(address)
    assert (record["status"], record["state"], record["size"]) == ("active", "verified", len(DATA))
    document = later.glare.alice.show(image)["image"]
    assert (document["status"], document["external"], document["sha256"]) == (
        "active",
        True,
        hashlib.sha256(DATA).hexdigest(),
    )
    assert later.glare.events()[-1] == "set_location"
    assert later.glare.alice.download(image, "image").content == DATA


@pytest.mark.sqlite
@pytest.mark.parametrize("prefer", ["wait=10, Respond-Async", "respond-async; foo=bar"])
def test_the_preference_is_one_of_several(later: Working, prefer: str) -> None:
    """The header is a list of preferences with parameters, whose names have no case."""
    later.origin.put("/raw", DATA)
    image = later.image()
    body = b'{"url": "%s"}' % later.origin.url("/raw").encode()
    headers = {"Content-Type": "application/vnd+openstack.glare-custom-location+json", "Prefer": prefer}
    put = later.glare.alice.request("PUT", f"{path_of(image)}/image", content=body, headers=headers)
    assert put.status_code == 202
    assert later.do() == ["wonderland"]


def test_a_claim_that_is_wrong_leaves_nothing_but_the_reason(later: Working) -> None:
    """The slot is free again, the owner and nobody else reads why, and an event tells it."""
    later.origin.put("/raw", DATA)
    image = later.image()
    address = later.ask(image, later.origin.url("/raw"), md5="0" * 32).headers["location"]
    later.do()
    record = later.record_at(address)
    assert (record["status"], record["error"]["type"]) == ("failed", "BadRequest")
    assert "md5" in record["error"]["message"]
    assert later.glare.bob.request("GET", address).status_code == 404
    assert later.glare.admin.request("GET", address).json()["status"] == "failed"
    assert later.glare.events()[-1] == "location.failed"
    assert later.glare.alice.show(image)["image"] is None
    later.glare.alice.locate(image, "image", later.origin.url("/raw"))


def test_what_may_pass_is_tried_again(later: Working) -> None:
    """An origin that is away is asked again later, each time after a longer wait, and given up at last."""
    later.origin.refuse("/raw", 503, {})
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    assert (later.do(), later.do()) == (["wonderland"], [])
    assert later.record_at(address)["status"] == "saving"
    later.clock.forward(30)
    assert len(later.do()) == 1
    later.clock.forward(30)
    assert later.do() == []
    later.clock.forward(30)
    later.do()
    assert later.record_at(address)["status"] == "failed"
    assert later.origin.count("/raw") == 3


def test_a_job_waits_as_long_as_the_origin_asks(later: Working) -> None:
    """What an origin says with `Retry-After` is longer than our own wait: until then it is left alone."""
    later.origin.refuse("/raw", 429, {"Retry-After": "300"})
    later.ask(later.image(), later.origin.url("/raw"))
    assert later.do() == ["wonderland"]
    later.clock.forward(299)
    assert later.do() == []
    later.clock.forward(1)
    assert later.do() == ["wonderland"]
    later.origin.refuse("/raw", 429, {"Retry-After": "99999999"})
    later.clock.forward(300)
    assert later.do() == ["wonderland"]


def test_an_origin_that_is_back_is_recorded(later: Working) -> None:
    """A failure that has passed leaves no trace in what is recorded."""
    later.origin.refuse("/raw", 503, {})
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    later.do()
    later.origin.put("/raw", DATA)
    later.clock.forward(30)
    later.do()
    assert later.record_at(address)["state"] == "verified"


@pytest.mark.sqlite
@pytest.mark.parametrize("host", ["unknown.test.example", "private.test.example"])
def test_tries_tell_nothing_about_networks(later: Working, host: str) -> None:
    """An unknown name and a forbidden address are tried as often, and reported in the same words."""
    image = later.image()
    address = later.ask(image, later.origin.url("/raw", host)).headers["location"]
    for _ in range(3):
        later.do()
        later.clock.forward(HOUR)
    record = later.record_at(address)
    assert (record["status"], record["tries"]) == ("failed", 3)
    assert host.partition(".")[0] not in record["error"]["message"].replace(later.origin.url("/raw", host), "")


def test_a_job_that_waits_is_not_swept(later: Working) -> None:
    """However long the queue is, the slot stays taken: others are refused, and the sweep leaves it."""
    later.origin.put("/raw", DATA)
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    later.clock.forward(24 * HOUR)
    end_dead_attempts(later.glare.services)
    sweep(later.glare.services)
    assert later.glare.alice.try_upload(image, "image", b"mine").status_code == 409
    later.do()
    assert later.record_at(address)["status"] == "active"


def test_a_job_is_taken_over_and_done_once(later: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was paused until its claim ran out publishes nothing: another one has done the job meanwhile."""
    later.origin.put("/raw", DATA)
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    with later.another_worker() as other:

        def paused(*args: object, **more: object) -> object:
            monkeypatch.setattr(FILL, fill)
            assert later.do(other) == []  # Not while the claim is alive.
            later.clock.forward(61)
            assert later.do(other) == ["wonderland"]
            return fill(*args, **more)  # type: ignore[arg-type]  # passes on what it was given

        monkeypatch.setattr(FILL, paused)
        later.do(later.without_heartbeats())
    assert later.record_at(address)["status"] == "active"
    assert later.glare.events().count("set_location") == 1
    assert later.rows() == [("record", "done", 2)]


def test_a_worker_that_ends_gives_its_job_back(later: Working) -> None:
    """What was cancelled with its worker is due at once, and the try is not counted."""
    later.origin.put("/raw", DATA)
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    ending = Cancellation()
    ending.cancel()
    assert do_next(later.glare.services, ending) == "wonderland"
    assert later.rows() == [("record", "waiting", 0)]
    later.do()
    assert later.record_at(address)["status"] == "active"


def test_a_crashing_worker_is_not_fed_for_ever(later: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose worker dies each time fails after so many tries."""

    class Died(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Died

    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    with monkeypatch.context() as broken:
        broken.setattr(FILL, die)
        for _ in range(3):
            with pytest.raises(Died):
                later.do()
            later.clock.forward(61)
    later.do()
    assert later.record_at(address)["status"] == "failed"


@pytest.mark.sqlite
def test_an_unexpected_error_ends_no_worker(later: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in one job is reported as the service's own failure, and the next job is done."""
    later.origin.put("/raw", DATA)
    first, second = later.image("first"), later.image("second")
    addresses = [later.ask(image, later.origin.url("/raw")).headers["location"] for image in (first, second)]
    failed: list[bool] = []

    def broken(*args: object, **more: object) -> object:
        if not failed:
            failed.append(True)
            raise ZeroDivisionError
        return fill(*args, **more)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(FILL, broken)
    later.do()
    assert sorted(later.record_at(address)["status"] for address in addresses) == ["active", "saving"]
    later.clock.forward(30)
    later.do()
    assert {later.record_at(address)["status"] for address in addresses} == {"active"}


def test_deleting_the_blob_cancels(later: Working) -> None:
    """A recording that is not wanted any more frees its slot at once, and asks nothing of the origin."""
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    deleted = later.glare.alice.request("DELETE", f"{path_of(image)}/image")
    assert (deleted.status_code, deleted.json()["image"]) == (200, None)
    record = later.record_at(address)
    assert (record["status"], record["error"]["type"]) == ("failed", "Cancelled")
    assert later.do() == []
    assert later.origin.count("/raw") == 0


def test_deleting_the_artifact_cancels_a_job_under_way(later: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker finds nothing to publish into, and nothing is left."""
    later.origin.put("/raw", DATA)
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]

    def overtaken(*args: object, **more: object) -> object:
        assert later.glare.alice.delete(image).status_code == 204
        return fill(*args, **more)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(FILL, overtaken)
    later.do()
    assert later.glare.alice.get(image).status_code == 404
    assert later.record_at(address)["error"]["type"] == "Cancelled"


@pytest.mark.sqlite
def test_what_is_taken_down_is_not_recorded(later: Working) -> None:
    """A host that is taken down is refused at once, and while the job waits."""
    image = later.image()
    address = later.ask(image, later.origin.url("/raw", "mirror.test.example")).headers["location"]
    body = {"kind": "host", "value": "mirror.test.example", "reason": "malware"}
    assert later.glare.admin.request("POST", "/takedowns", json=body).status_code == 201
    later.do()
    assert later.record_at(address)["status"] == "failed"
    assert later.origin.count("/raw") == 0
    assert later.ask(image, later.origin.url("/raw", "mirror.test.example")).status_code == 451


def test_a_saving_blob_keeps_its_artifact_drafted(later: Working) -> None:
    """What is not recorded yet is not activated."""
    image = later.image()
    later.ask(image, later.origin.url("/raw"))
    assert later.glare.alice.set(image, status="active").status_code == 409
    assert later.glare.alice.request("DELETE", f"{path_of(image)}/image").status_code == 200


def test_limits_let_a_job_wait(later: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the project has as much under way as it may, its job waits its turn, and is not tried in vain."""
    later.origin.put("/raw", DATA)
    first, second = later.image("first"), later.image("second")
    addresses = [later.ask(image, later.origin.url("/raw")).headers["location"] for image in (first, second)]

    def meanwhile(*args: object, **more: object) -> object:
        monkeypatch.setattr(FILL, fill)
        assert later.do() == ["wonderland"]
        assert [later.record_at(address)["status"] for address in addresses] == ["saving", "saving"]
        return fill(*args, **more)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(FILL, meanwhile)
    later.do()
    later.clock.forward(5)
    later.do()
    assert [later.record_at(address).get("tries", 1) for address in addresses] == [1, 1]
    assert {later.record_at(address)["status"] for address in addresses} == {"active"}
    assert later.rows() == [("record", "done", 1), ("record", "done", 1)]


def test_projects_take_turns(later: Working) -> None:
    """A project with one job does not wait for all of another's."""
    later.origin.put("/raw", DATA)
    for name in ("a", "b", "c"):
        later.ask(later.image(name), later.origin.url("/raw"))
    theirs = later.glare.bob.create("images", name="theirs", container_format="bare", disk_format="raw")
    body = b'{"url": "%s"}' % later.origin.url("/raw").encode()
    headers = {"Content-Type": "application/vnd+openstack.glare-custom-location+json", "Prefer": "respond-async"}
    assert later.glare.bob.request("PUT", f"{path_of(theirs)}/image", content=body, headers=headers).status_code == 202
    assert later.do() == ["builders", "wonderland", "wonderland", "wonderland"]
    assert later.do() == []


@pytest.mark.sqlite
def test_jobs_of_a_project_are_bounded(tmp_path: Path) -> None:
    """Beyond its number a project is told to wait, and nothing is reserved."""
    with working(tmp_path, "[jobs]\nproject_jobs = 1\n") as later:
        first, second = later.image("first"), later.image("second")
        assert later.ask(first, later.origin.url("/raw")).status_code == 202
        assert later.ask(second, later.origin.url("/raw")).status_code == 429
        assert later.glare.alice.show(second)["image"] is None
        later.glare.alice.delete(first)
        assert later.ask(second, later.origin.url("/raw")).status_code == 202
        later.glare.alice.delete(second)


@pytest.mark.sqlite
def test_ended_jobs_are_kept_for_a_while(later: Working) -> None:
    """The reason of a failure can be read for the retention, and is gone after it."""
    image = later.image()
    address = later.ask(image, later.origin.url("/raw")).headers["location"]
    later.do()
    assert later.record_at(address)["status"] == "failed"
    later.clock.forward(31 * 24 * HOUR)
    sweep(later.glare.services)
    assert later.glare.alice.request("GET", address).status_code == 404


def test_a_worker_that_is_stopped_gives_back_what_it_is_at(tmp_path: Path) -> None:
    """The job whose origin never answers is free again when the worker has ended, and another process is at it at
    once.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent, working(tmp_path, port=silent.getsockname()[1]) as later:
        image = later.image()
        host = f"mirror.test.example:{silent.getsockname()[1]}"
        later.ask(image, f"http://{host}/raw")
        worker = Worker(later.glare.settings, later.glare.services)
        worker.start()
        connection, _ = silent.accept()
        worker.stop()
        connection.close()
        assert later.rows() == [("record", "waiting", 0)]
        silent.close()
        with later.another_worker() as other:
            assert later.do(other) == ["wonderland"]
        assert later.rows() == [("record", "waiting", 1)]
        assert later.glare.alice.delete(image).status_code == 204


@pytest.mark.parametrize("confidential", [False, True])
def test_what_an_earlier_release_took_for_open_is_decided_anew(later: Working, confidential: bool) -> None:
    """Its False is of a query that it did not know as a secret, and nobody's wish: strangers see scheme and host
    only.
    """
    target = "/raw?hm=s3cr3tvalue"
    later.origin.put(target, DATA)
    image = later.image()
    address = later.ask(image, later.origin.url(target)).headers["location"]
    later.as_before(confidential=confidential)
    assert later.record_at(address)["confidential"] is True
    later.do()
    assert later.record_at(address)["confidential"] is True
    image = later.glare.admin.publish(later.glare.alice.activate(image))
    assert later.glare.bob.show(image)["image"]["url"] == "http://127.0.0.1"
    assert later.glare.alice.show(image)["image"]["url"] == later.origin.url(target)


def test_a_failed_recording_of_an_earlier_release_tells_no_secret(later: Working) -> None:
    """The event that tells of it has scheme and host only."""
    target = "/raw?hm=s3cr3tvalue"
    later.origin.put(target, DATA)
    later.ask(later.image(), later.origin.url(target), md5="0" * 32)
    later.as_before(confidential=False)
    later.do()
    assert later.glare.events()[-1] == "location.failed"
    with later.glare.services.db.read() as connection:
        assert not any(
            "s3cr3tvalue" in str(payload) for payload in connection.execute(select(outbox.c.payload)).scalars()
        )


def test_an_owner_may_open_a_query_in_a_job(later: Working) -> None:
    """What they say is kept with the job, and stands where the location is published."""
    target = "/raw?hm=nosecret"
    later.origin.put(target, DATA)
    image = later.image()
    address = later.ask(image, later.origin.url(target), confidential=False).headers["location"]
    later.do()
    assert later.record_at(address)["confidential"] is False
    image = later.glare.admin.publish(later.glare.alice.activate(image))
    assert later.glare.bob.show(image)["image"]["url"] == later.origin.url(target)
