"""Promotion: an external blob becomes a stored one in its place, and readers notice nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from glare.db.engine import OutcomeUnknown
from glare.db.jobs import Job
from glare.db.tables import outbox
from glare.domain.artifact import Artifact
from glare.domain.blob import Managed
from glare.egress.cancellation import Cancellation
from glare.operations.locations import promote
from glare.operations.locations.jobs import do_next
from glare.operations.locations.promote_by_policy import PromotionRounds
from glare.operations.services import Services
from glare.operations.upkeep.sweep import sweep
from support.policies import ruled
from support.runs.jobs import Working, working
from support.runs.verifying import V2
from support.service import Json, path_of

DATA = bytes(range(256)) * 5000
HOUR = 3600


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path) as service:
        yield service


def asked(service: Working, image: Json, path: str = "image") -> str:
    """Ask for the promotion of a blob, and return its address."""
    address = f"/locations/{service.location_of(image, path)['id']}/promotion"
    answer = service.glare.alice.request("POST", address)
    assert answer.status_code == 202, answer.text
    assert answer.json()["promotion"]["status"] == "waiting"
    return address


def replicas(service: Working, *targets: str) -> Json:
    """An active image with the same content at these places."""
    image = service.image("replicated")
    for number, target in enumerate(targets):
        service.origin.put(target, DATA)
        body = {"url": service.origin.url(target, f"mirror.site{number}.example")}
        answer = service.glare.alice.request(
            "PUT",
            f"{path_of(image)}/locations/{number}",
            json=body,
            headers={**V2, "Content-Type": "application/vnd+openstack.glare-custom-location+json"},
        )
        assert answer.status_code == 200, answer.text
    service.glare.alice.upload(image, "image", b"another content")
    return service.glare.alice.activate(image)


def read_image(service: Working, image: Json) -> Json:
    document: Json = service.glare.alice.get(image, headers=V2).json()
    return document


def test_an_active_blob_is_promoted_in_place(stored: Working) -> None:
    """Before and after, the same bytes; then they are in the store, within the owner's quota, and the URL is where they
    came from.
    """
    image = stored.record("/raw", DATA)
    before = stored.glare.alice.show(image)["image"]
    address = asked(stored, image)
    assert stored.glare.usage("wonderland") == (1, len(DATA))  # Reserved.
    assert stored.glare.alice.download(image, "image").content == DATA
    assert stored.do() == ["wonderland"]
    after = stored.glare.alice.show(image)["image"]
    assert after == before | {"external": False, "url": f"{path_of(image)}/image"}
    stored.origin.remove("/raw")
    assert stored.glare.alice.download(image, "image").content == DATA
    reported = stored.record_at(address)
    assert (reported["promotion"]["status"], reported["url"]) == ("done", stored.origin.url("/raw"))
    assert stored.column(image, "source_url") == stored.origin.url("/raw")
    assert stored.events(image) == ["location.promoted"]
    asked_before = stored.origin.count("/raw")
    stored.later(365 * 24 * HOUR)
    assert stored.origin.count("/raw") == asked_before


def test_who_asks_again_joins(stored: Working) -> None:
    """One promotion at a time: a second wish finds the first, and reserves nothing."""
    image = stored.record("/raw", DATA)
    address = asked(stored, image)
    assert stored.glare.alice.request("POST", address).status_code == 202
    assert stored.do() == ["wonderland"]
    assert stored.rows() == [("promote", "done", 1)]


@pytest.mark.sqlite
def test_who_may_promote(stored: Working) -> None:
    """The owner and admins; others who see the artifact read how far it is."""
    image = stored.glare.admin.show(stored.record("/raw", DATA))
    stored.glare.admin.publish(image)
    address = f"/locations/{stored.location_of(image)['id']}/promotion"
    assert stored.glare.bob.request("GET", address).status_code == 404
    assert stored.glare.bob.request("POST", address).status_code == 403
    assert stored.glare.admin.request("POST", address).status_code == 202
    assert stored.glare.bob.request("GET", address).json()["promotion"]["status"] == "waiting"
    stored.do()


@pytest.mark.sqlite
def test_the_policy_may_forbid_it(stored: Working, tmp_path: Path) -> None:
    """An operator may take promotion away, also from owners."""
    image = stored.record("/raw", DATA)
    address = f"/locations/{stored.location_of(image)['id']}/promotion"
    with ruled(stored.glare, tmp_path, {"artifact:promote_location": "role:admin"}):
        assert stored.glare.alice.request("POST", address).status_code == 403
    assert stored.rows() == []


@pytest.mark.sqlite
def test_what_is_taken_down_is_not_promoted(stored: Working) -> None:
    """Neither asked for, nor copied where the takedown came while the promotion waited."""
    first, second = stored.record("/a", DATA, name="a"), stored.record("/b", DATA + b"!", name="b")
    address = asked(stored, second)
    for sha256 in (first["image"]["sha256"], second["image"]["sha256"]):
        body = {"kind": "digest", "value": sha256, "reason": "a court said so"}
        assert stored.glare.admin.request("POST", "/takedowns", json=body).status_code == 201
    refused = stored.glare.alice.request("POST", f"/locations/{stored.location_of(first)['id']}/promotion")
    assert refused.status_code == 451
    stored.do()
    assert stored.record_at(address)["promotion"]["status"] == "failed"
    assert stored.glare.usage("wonderland")[1] == 0


@pytest.mark.sqlite
def test_a_draining_worker_gives_a_promotion_back(stored: Working) -> None:
    """What was cancelled with its worker leaves nothing in the store, and is begun again by the next one."""
    image = stored.record("/raw", DATA)
    address = asked(stored, image)
    ending = Cancellation()
    ending.cancel()
    assert do_next(stored.glare.services, ending) == "wonderland"
    assert stored.rows() == [("promote", "waiting", 0)]
    assert stored.glare.objects() == []
    stored.do()
    assert stored.record_at(address)["promotion"]["status"] == "done"


def test_quota_is_reserved_first(tmp_path: Path) -> None:
    """Of two promotions that fit one by one and not together, the second is refused at once."""
    with working(tmp_path, f"[DEFAULT]\nmax_uploaded_data = {len(DATA) + 1000}\n") as stored:
        first, second = (stored.record(f"/{name}", DATA, name=name) for name in ("a", "b"))
        asked(stored, first)
        address = f"/locations/{stored.location_of(second)['id']}/promotion"
        assert stored.glare.alice.request("POST", address).status_code == 413
        stored.do()
        assert stored.glare.usage("wonderland")[1] == len(DATA)


def test_a_changed_origin_fails_it_cleanly(stored: Working) -> None:
    """Not one wrong byte is kept: quota and store are as before, the reason can be read, and the location is
    checked.
    """
    image = stored.record("/raw", DATA)
    stored.origin.put("/raw", DATA[:-1] + b"!")
    address = asked(stored, image)
    stored.do()
    reported = stored.record_at(address)["promotion"]
    assert (reported["status"], reported["error"]["type"]) == ("failed", "OriginFailed")
    assert stored.glare.usage("wonderland") == (1, 0)
    assert stored.glare.alice.show(image)["image"]["external"]
    assert stored.work() == 1
    assert stored.state(image) == "changed"
    assert stored.glare.alice.request("POST", address).status_code == 409
    assert stored.events(image) == ["location.promotion_failed", "location.changed", "artifact.last_good_location_lost"]


def test_an_origin_that_is_away_is_asked_again(stored: Working) -> None:
    """What may pass is tried again; quota stays reserved meanwhile."""
    image = stored.record("/raw", DATA)
    address = asked(stored, image)
    stored.origin.refuse("/raw", 503, {})
    stored.do()
    assert stored.record_at(address)["promotion"]["status"] == "waiting"
    stored.origin.put("/raw", DATA)
    stored.clock.forward(30)
    stored.do()
    assert stored.record_at(address)["promotion"]["status"] == "done"


def test_a_replica_is_the_source_where_the_origin_is_gone(stored: Working) -> None:
    """Any good copy of the content will do."""
    image = replicas(stored, "/a", "/b")
    stored.origin.remove("/a")
    address = asked(stored, image, "locations/0")
    stored.do()
    assert stored.record_at(address)["promotion"]["status"] == "done"
    assert not read_image(stored, image)["locations"]["0"]["external"]
    assert stored.glare.alice.request("GET", f"{path_of(image)}/locations/0", headers=V2).content == DATA
    members = stored.glare.alice.request("GET", f"{path_of(image)}/locations", headers=V2).json()["members"]
    assert members["0"]["copied_from"].endswith("/a")
    assert members["1"]["copied_from"] is None


def test_a_promotion_is_taken_over_and_done_once(stored: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was paused in it shows nothing, and removes what it has written."""
    image = stored.record("/raw", DATA)
    address = asked(stored, image)
    copy = promote._copy
    with stored.another_worker() as other:

        def paused(*args: object) -> None:
            monkeypatch.setattr(promote, "_copy", copy)
            stored.clock.forward(61)
            assert stored.do(other) == ["wonderland"]
            copy(*args)  # type: ignore[arg-type]  # passes on what it was given

        monkeypatch.setattr(promote, "_copy", paused)
        stored.do(stored.without_heartbeats())
    assert stored.record_at(address)["promotion"]["status"] == "done"
    assert stored.events(image) == ["location.promoted"]
    sweep(stored.glare.services)
    assert len(stored.glare.objects()) == 1
    assert hashlib.sha256(stored.glare.objects()[0].read_bytes()).digest() == hashlib.sha256(DATA).digest()


@pytest.mark.server
@pytest.mark.parametrize("told", [True, False], ids=["somebody can tell", "nobody can tell in time"])
def test_a_commit_that_is_still_under_way_keeps_its_bytes(
    stored: Working, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """A commit whose answer is lost may come to be after it was looked for: what it publishes is not removed."""
    image = stored.record("/raw", DATA)
    asked(stored, image)
    services, publish = stored.glare.services, promote._publish
    held, late = threading.Event(), threading.Event()

    def commit_late(services: Services, job: Job, staged: Managed) -> None:
        with services.db.write() as connection:
            publish(services, job, staged, connection)
            held.set()
            assert late.wait(60)

    def unanswered(services: Services, job: Job, staged: Managed, connection: Connection) -> Artifact:
        if not held.is_set():
            threads.append(pool.submit(commit_late, services, job, staged))
            assert held.wait(60)
            threading.Timer(0.5, late.set).start()
        elif told:
            return publish(services, job, staged, connection)
        raise OutcomeUnknown

    def asked_in_vain(*_: object) -> None:
        raise OutcomeUnknown

    monkeypatch.setattr(promote, "_publish", unanswered)
    if not told:
        monkeypatch.setattr(services.db, "_outcome", asked_in_vain)
    threads: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:
        stored.do()
    threads[0].result()
    sweep(services)
    [kept] = stored.glare.objects()
    assert kept.read_bytes() == DATA
    assert stored.glare.alice.request("GET", f"{path_of(image)}/image").content == DATA


def test_deleting_the_artifact_cancels_it(stored: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while bytes are being copied: nothing is left of them."""
    image = stored.record("/raw", DATA)
    asked(stored, image)
    copy = promote._copy

    def overtaken(*args: object) -> None:
        assert stored.glare.admin.delete(image).status_code == 204
        copy(*args)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(promote, "_copy", overtaken)
    stored.do()
    assert stored.glare.objects() == []
    assert stored.glare.usage("wonderland") == (0, 0)


@pytest.mark.sqlite
def test_deleting_the_blob_cancels_it(stored: Working) -> None:
    """The owner of a draft may take the location away while its promotion waits."""
    image = stored.image()
    stored.origin.put("/raw", DATA)
    stored.glare.alice.locate(image, "image", stored.origin.url("/raw"))
    asked(stored, image)
    assert stored.glare.alice.request("DELETE", f"{path_of(image)}/image").status_code == 200
    assert stored.do() == []
    assert stored.glare.usage("wonderland") == (1, 0)


@pytest.mark.sqlite
def test_an_artifact_may_change_its_status_meanwhile(stored: Working) -> None:
    """A promotion changes no content, so it stands in nobody's way."""
    image = stored.record("/raw", DATA)
    asked(stored, image)
    assert stored.glare.admin.set(image, status="deactivated").status_code == 200
    stored.do()
    assert not stored.glare.admin.show(image)["image"]["external"]


@pytest.mark.sqlite
@pytest.mark.parametrize(("when", "others"), [("never", 0), ("unreachable", 0), ("last_good", 1)])
def test_a_lonely_location_is_promoted_where_that_is_the_policy(tmp_path: Path, when: str, others: int) -> None:
    """The only good location of a content is copied by itself only where it was asked to be, and only once."""
    with working(tmp_path, f"[promotion]\nwhen = {when}\n") as stored:
        image = stored.record("/raw", DATA)
        rounds = PromotionRounds()
        assert rounds.look(stored.glare.services) == others
        assert rounds.look(stored.glare.services) == 0
        assert len(stored.do()) == others
        assert stored.glare.alice.show(image)["image"]["external"] is not bool(others)


def test_the_last_good_replica_is_promoted_before_it_is_lost(tmp_path: Path) -> None:
    """Once all others have gone, what is left is copied; not while there are two, and not for another type's sake."""
    with working(tmp_path, "[promotion]\nwhen = never\n[artifact_type:images]\npromote_when = unreachable\n") as stored:
        image = replicas(stored, "/a", "/b", "/c")
        rounds = PromotionRounds()
        for lost, begun in (("/a", 0), ("/b", 1)):
            stored.origin.put(lost, b"something else entirely")
            stored.later(31 * 24 * HOUR)
            assert rounds.look(stored.glare.services) == begun
        stored.do()
        members = read_image(stored, image)["locations"]
        assert [members[key]["external"] for key in sorted(members)] == [True, True, False]


@pytest.mark.sqlite
def test_a_promotion_that_failed_by_itself_waits(tmp_path: Path) -> None:
    """It is not tried again round after round, but after a while."""
    with working(
        tmp_path, "[promotion]\nwhen = last_good\nretry = 2 h\n[verification]\ncheck_interval = 30 d\n"
    ) as stored:
        stored.record("/raw", DATA)
        stored.origin.remove("/raw")
        rounds = PromotionRounds()
        assert rounds.look(stored.glare.services) == 1
        stored.do()
        assert rounds.look(stored.glare.services) == 0
        stored.clock.forward(2 * HOUR + 1)
        assert rounds.look(stored.glare.services) == 1
        stored.do()
        assert [state for _, state, _ in stored.rows()] == ["failed", "failed"]


def test_one_url_in_three_spellings_is_one_replica(tmp_path: Path) -> None:
    """The folder counts one good replica, and promotion looks after it as after the last one, once."""
    with working(tmp_path, "[promotion]\nwhen = last_good\n") as service:
        service.origin.put("/raw", DATA)
        service.origin.put("/x/../raw", DATA)
        service.origin.put("/%72aw", DATA)
        image = service.image("alone")
        for key, target in (("a", "/raw"), ("b", "/x/../raw"), ("c", "/%72aw")):
            answer = service.glare.alice.request(
                "PUT",
                f"{path_of(image)}/locations/{key}",
                json={"url": service.origin.url(target)},
                headers={**V2, "Content-Type": "application/vnd+openstack.glare-custom-location+json"},
            )
            assert answer.status_code == 200, answer.text
        service.glare.alice.upload(image, "image", b"another content")
        image = service.glare.alice.activate(image)
        folder = f"{path_of(image)}/locations"
        assert service.glare.alice.request("GET", folder, headers=V2).json()["good"] == 1
        rounds = PromotionRounds()
        assert rounds.look(service.glare.services) == 1
        service.do()
        assert service.glare.alice.request("GET", folder, headers=V2).json()["good"] == 2
        assert rounds.look(service.glare.services) == 0


def test_a_promotion_of_an_earlier_release_tells_no_secret(stored: Working) -> None:
    """It has noted the query as open, and the location is closed since: strangers and events get scheme and host
    only.
    """
    target = "/raw?hm=s3cr3tvalue"
    image = stored.record(target, DATA)
    address = asked(stored, image)
    stored.as_before(confidential=False)
    stored.glare.admin.publish(stored.glare.admin.show(image))
    assert stored.glare.bob.request("GET", address).json()["url"] == "http://127.0.0.1"
    stored.do()
    assert stored.glare.bob.request("GET", address).json()["url"] == "http://127.0.0.1"
    assert stored.events(image) == ["location.promoted"]
    with stored.glare.services.db.read() as connection:
        reported = connection.execute(select(outbox.c.payload)).scalars()
        assert not any("s3cr3tvalue" in str(payload) for payload in reported)
