"""DELETE of an artifact, at once and delayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from glare.db.tables import artifact_values, artifacts, blobs
from glare.operations.upkeep.sweep import sweep
from support.origins.origin import Origin
from support.runs.clock import Clock
from support.service import Glare, Json, running

Unique = Callable[[], str]

DELAYED = "[DEFAULT]\ndelayed_delete = true\n"


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service that deletes with delay."""
    with running(tmp_path_factory.mktemp("later"), DELAYED) as service:
        yield service
        assert service.leftovers() == {}


def with_data(glare: Glare, name: str) -> Json:
    """A drafted artifact of alice's with a blob and a folder."""
    artifact = glare.alice.create("sample_artifact", name=name, string_required="x", tags=["t"])
    glare.alice.upload(artifact, "dict_of_blobs/a/b", b"12345")
    return glare.alice.upload(artifact, "blob", b"1234567890")


def rows(glare: Glare) -> int:
    """Rows that tell of any artifact."""
    with glare.services.db.read() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (artifacts, blobs, artifact_values)
        )


def test_delete_removes_everything(glare: Glare) -> None:
    """204 without a body but with a content type; rows, data and quota are gone, and so is the address."""
    artifact = with_data(glare, "a")
    assert glare.usage("wonderland") == (1, 15)
    assert len(glare.objects()) == 2
    answer = glare.alice.delete(artifact)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["content-type"]
    assert glare.alice.get(artifact).status_code == 404
    assert glare.alice.delete(artifact).status_code == 404
    assert rows(glare) == 0
    assert glare.objects() == []
    assert glare.usage("wonderland") == (0, 0)
    assert glare.alice.page("sample_artifact")["total_count"] == 0


def test_name_is_free_again(api: Glare, unique: Unique) -> None:
    """A deleted artifact's name and version may be taken by another."""
    name = unique()
    first = api.alice.create("images", name=name)
    api.alice.delete(first)
    assert api.alice.create("images", name=name)["id"] != first["id"]


@pytest.mark.parametrize(
    ("state", "actor", "status"),
    [
        ("drafted", "alice", 204),
        ("drafted", "admin", 204),
        ("active", "alice", 204),
        ("active", "admin", 204),
        ("deactivated", "alice", 403),
        ("deactivated", "admin", 204),
        ("public", "alice", 403),
        ("public", "bob", 403),
        ("public", "anonymous", 403),
        ("public", "admin", 204),
        ("drafted", "bob", 404),
        ("active", "anonymous", 404),
    ],
)
def test_who_may_delete_what(api: Glare, unique: Unique, state: str, actor: str, status: int) -> None:
    """Owners delete what is theirs and private and not deactivated; admins delete anything."""
    artifact = api.alice.create("sample_artifact", name=unique(), string_required="x")
    if state != "drafted":
        api.alice.activate(artifact)
    if state == "deactivated":
        api.admin.set(artifact, status="deactivated")
    if state == "public":
        api.admin.publish(artifact)
    assert getattr(api, actor).delete(artifact).status_code == status
    assert api.admin.get(artifact).status_code == (404 if status == 204 else 200)


def test_nothing_is_deleted_under_all(api: Glare, unique: Unique) -> None:
    """The type `all` is for reading, for admins too; what does not exist is 404 there as everywhere."""
    artifact = api.alice.create("images", name=unique())
    for actor in (api.alice, api.admin):
        assert actor.request("DELETE", f"/artifacts/all/{artifact['id']}").status_code == 403
    assert api.bob.request("DELETE", f"/artifacts/all/{artifact['id']}").status_code == 404
    assert api.alice.get(artifact).status_code == 200


def test_external_data_is_not_touched(glare: Glare, origin: Origin) -> None:
    """Deleting an artifact forgets an external location and leaves its origin alone."""
    origin.put("/file", b"data")
    artifact = glare.alice.create("sample_artifact", name="a")
    glare.alice.locate(artifact, "blob", origin.url("/file"), md5=None)
    asked = len(origin.seen)
    assert glare.alice.delete(artifact).status_code == 204
    assert len(origin.seen) == asked


def test_missing_data_does_not_keep_an_artifact(glare: Glare) -> None:
    """An artifact whose data is lost can be deleted."""
    artifact = with_data(glare, "a")
    for path in glare.objects():
        path.unlink()
    assert glare.alice.delete(artifact).status_code == 204
    assert glare.alice.get(artifact).status_code == 404


def test_delayed_delete_hides_and_keeps(later: Glare, unique: Unique) -> None:
    """The artifact can be read by id by those who could see it; lists and names have forgotten it; quotas count it."""
    name = unique()
    owner = later.actor(f"u:{name}:member")
    artifact = owner.create("sample_artifact", name=name, string_required="x")
    owner.upload(artifact, "blob", b"data")
    assert owner.delete(artifact).status_code == 204
    document = owner.show(artifact)
    assert (document["status"], document["blob"]["status"]) == ("deleted", "active")
    assert later.admin.show(artifact) == document
    assert later.bob.get(artifact).status_code == 404
    for kind in ("sample_artifact", "all"):
        for actor in (owner, later.admin):
            assert actor.names(kind, f"name={name}") == []
            assert actor.page(kind, f"name={name}")["total_count"] == 0
            assert actor.names(kind, f"name={name}&status=deleted") == []
    assert later.usage(name) == (1, 4)
    second = owner.create("sample_artifact", name=name)
    assert later.usage(name) == (2, 4)
    assert owner.delete(second).status_code == 204


def test_totals_do_not_count_what_is_deleted(later: Glare, unique: Unique) -> None:
    """The total of a plain list goes down when an artifact is deleted with delay, and once."""
    owner = later.actor(f"u:{unique()}:member")
    artifact = owner.create("images", name="a")
    owner.create("images", name="b")
    assert owner.delete(artifact).status_code == 204
    assert owner.delete(artifact).status_code == 204
    assert owner.page("images")["total_count"] == 1
    sweep(later.services)
    assert owner.page("images")["total_count"] == 1


@pytest.mark.parametrize("actor", ["alice", "admin"])
def test_deleted_artifact_is_fixed(later: Glare, unique: Unique, actor: str) -> None:
    """Changing it, uploading to it and downloading from it are 403, for admins too; deleting it again is 204."""
    artifact = with_data(later, unique())
    later.alice.delete(artifact)
    before = later.alice.show(artifact)
    who = getattr(later, actor)
    assert who.set(artifact, description="x").status_code == 403
    assert who.set(artifact, status="active").status_code == 403
    assert who.set(artifact, visibility="public").status_code == 403
    assert who.try_upload(artifact, "blob", b"new").status_code == 403
    assert who.try_upload(artifact, "small_blob", b"new").status_code == 403
    assert who.try_locate(artifact, "small_blob", "http://127.0.0.1/", md5=None).status_code == 403
    assert who.download(artifact, "blob").status_code == 403
    events = later.events()
    assert who.delete(artifact).status_code == 204
    assert later.events() == events
    assert later.alice.show(artifact) == before


def test_sweep_really_removes(tmp_path: Path) -> None:
    """The sweep removes data, rows and quota of deleted artifacts, and no others; it tells nobody a second time."""
    with running(tmp_path, DELAYED) as glare:
        kept, deleted = with_data(glare, "kept"), with_data(glare, "deleted")
        glare.alice.delete(deleted)
        before = glare.events()
        sweep(glare.services)
        assert glare.alice.get(deleted).status_code == 404
        assert glare.alice.download(kept, "blob").content == b"1234567890"
        assert glare.usage("wonderland") == (1, 15)
        assert len(glare.objects()) == 2
        assert glare.events() == before
        assert before.count("delete") == 1
        assert glare.leftovers() == {}


def test_scrub_time_is_waited_for(tmp_path: Path) -> None:
    """Data of a deleted artifact stays for the configured time (quirk 49)."""
    with running(tmp_path, DELAYED + "[scrubber]\nscrub_time = 1 h\n") as glare:
        clock = Clock(glare)
        artifact = with_data(glare, "a")
        glare.alice.delete(artifact)
        clock.forward(3599)
        sweep(glare.services)
        assert glare.alice.show(artifact)["status"] == "deleted"
        clock.forward(2)
        sweep(glare.services)
        assert glare.alice.get(artifact).status_code == 404


def test_many_deleted_artifacts_are_swept_in_one_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sweep removes all that is due, however many batches that is."""
    monkeypatch.setattr("glare.operations.upkeep.sweep._BATCH", 2)
    with running(tmp_path, DELAYED) as glare:
        for number in range(5):
            artifact = glare.alice.create("images", name=str(number))
            glare.alice.delete(artifact)
        sweep(glare.services)
        assert rows(glare) == 0


def test_type_decides_before_the_service(tmp_path: Path) -> None:
    """A type's own setting wins over the global one, in both directions."""
    text = (
        f"{DELAYED}[artifact_type:images]\ndelayed_delete = false\n[artifact_type:sample_artifact]\ndelayed_delete = "
        f"true\n"
    )
    with running(tmp_path, text) as glare:
        for kind, status in (("images", 404), ("sample_artifact", 200), ("murano_packages", 200)):
            artifact = glare.alice.create(kind, name="a")
            assert glare.alice.delete(artifact).status_code == 204
            assert glare.alice.get(artifact).status_code == status
        sweep(glare.services)
    directory = tmp_path / "other"
    directory.mkdir()
    with running(directory, "[artifact_type:images]\ndelayed_delete = true\n") as glare:
        for kind, status in (("images", 200), ("murano_packages", 404)):
            artifact = glare.alice.create(kind, name="a")
            assert glare.alice.delete(artifact).status_code == 204
            assert glare.alice.get(artifact).status_code == status


def test_deleted_artifact_goes_when_the_delay_is_off(tmp_path: Path) -> None:
    """A second DELETE really deletes once the operator has turned the delay off."""
    with running(tmp_path, DELAYED) as glare:
        artifact = with_data(glare, "a")
        glare.alice.delete(artifact)
    with running(tmp_path) as glare:
        assert glare.alice.show(artifact)["status"] == "deleted"
        assert glare.alice.delete(artifact).status_code == 204
        assert glare.alice.get(artifact).status_code == 404
        assert rows(glare) == 0
        assert glare.events().count("delete") == 1
        assert glare.leftovers() == {}


def test_public_deleted_artifact_stays_visible(later: Glare, unique: Unique) -> None:
    """Who could see a public artifact still sees it by its id; its public name is free."""
    name = unique()
    artifacts_made = []
    for _ in range(2):
        artifact = later.alice.create("sample_artifact", name=name, string_required="x")
        later.alice.activate(artifact)
        later.admin.publish(artifact)
        artifacts_made.append(artifact)
        if len(artifacts_made) == 1:
            assert later.admin.delete(artifact).status_code == 204
    assert later.bob.show(artifacts_made[0])["status"] == "deleted"
    assert later.bob.names("sample_artifact", f"name={name}") == [name]
