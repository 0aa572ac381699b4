"""`glare-server stores`, and nodes whose store is another one than the database's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.stores.filesystem import MARKER
from support.programs.command import Cli, Result
from support.service import Glare, Json, running

OTHER = "OS_GLANCE_STORE__FILESYSTEM_STORE_DATADIR"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Glare]:
    """A node that has recorded its store."""
    with running(tmp_path) as glare:
        yield glare


@pytest.fixture
def image(node: Glare) -> Json:
    return node.alice.upload(node.alice.create("images", name="kept"), "image", b"bytes")


def second(cli: Cli, directory: Path, *command: str) -> Result:
    """A command on a node of the same database with a directory of its own."""
    return cli.program(*command, "--config-file", "glare.conf", **{OTHER: str(directory)})


def refusal(result: Result) -> str:
    """What a command that was refused says at last; before it the log may tell what was looked for."""
    assert result.returncode == 1, result
    return result.stderr.splitlines()[-1]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The directory of a node that was installed beside the first, and used: it has a marker of its own."""
    directory = tmp_path / "other"
    directory.mkdir()
    (directory / MARKER).write_text("the-other\n")
    return directory


@pytest.mark.parametrize("command", ["fsck", "scrub", "worker", "serve"])
def test_a_node_with_another_directory_does_not_start(
    node: Glare, image: Json, cli: Cli, other: Path, free_port: int, command: str
) -> None:
    """Each command that works with stores refuses, with both identities and the remedy; nothing is marked, nothing
    removed.
    """
    variables = {OTHER: str(other), "OS_DEFAULT__BIND_PORT": str(free_port)}
    said = refusal(cli.program(command, "--config-file", "glare.conf", **variables))
    mine = (node.settings.glance_store.filesystem_store_datadir / MARKER).read_text().strip()
    for part in ("Store 'file'", mine, "the-other", "glare-server stores adopt file"):
        assert part in said
    assert node.alice.download(image, "image").content == b"bytes"


@pytest.mark.parametrize("used", [False, True], ids=["without a blob", "with a blob"])
def test_an_empty_directory_is_none_that_the_database_knows(node: Glare, cli: Cli, tmp_path: Path, used: bool) -> None:
    """A second node whose volume is not mounted makes no store there, whether or not the first has blobs already."""
    if used:
        node.alice.upload(node.alice.create("images", name="a"), "image", b"bytes")
    directory = tmp_path / "not-mounted"
    directory.mkdir()
    said = refusal(second(cli, directory, "fsck"))
    assert "Mount the volume" in said
    assert list(directory.iterdir()) == []


def test_of_two_nodes_that_start_first_one_wins(tmp_path: Path, cli: Cli) -> None:
    """The first node records its directory; one with another is refused from its first start on."""
    with running(tmp_path):
        pass
    directory = tmp_path / "other"
    assert "was used before" in refusal(second(cli, directory, "fsck"))
    assert not directory.exists()


def test_a_database_from_before_asks_for_its_blobs(node: Glare, image: Json, cli: Cli, other: Path) -> None:
    """After an upgrade no identity is recorded: a directory with a marker and none of the blobs is not taken for the
    store.
    """
    with node.services.db.write() as connection:
        connection.exec_driver_sql("DELETE FROM stores")
    assert "none of the bytes that the database knows" in refusal(second(cli, other, "fsck"))
    assert cli.program("fsck", "--config-file", "glare.conf").returncode == 0
    said = refusal(second(cli, other, "fsck"))
    assert "the identity the-other" in said
    assert node.alice.download(image, "image").content == b"bytes"


def test_a_copy_with_its_marker_is_the_store(node: Glare, image: Json, cli: Cli, tmp_path: Path) -> None:
    """Who moves the whole directory, marker included, needs no command."""
    copy = tmp_path / "moved"
    shutil.copytree(node.settings.glance_store.filesystem_store_datadir, copy)
    assert second(cli, copy, "fsck").returncode == 0
    assert second(cli, copy, "stores", "list").returncode == 0


def test_a_store_that_was_moved_is_adopted(node: Glare, image: Json, cli: Cli, other: Path) -> None:
    """`adopt` records a directory that has the blobs; then the old one is refused, and the audit log says who did
    it.
    """
    place = node.settings.glance_store.filesystem_store_datadir
    mine = (place / MARKER).read_text().strip()
    assert "none of the bytes" in refusal(second(cli, other, "stores", "adopt", "file"))
    shutil.copytree(place / "objects", other / "objects")
    done = second(cli, other, "stores", "adopt", "file")
    assert done.returncode == 0
    assert f"known by the-other from now on, and not by {mine}" in done.stderr
    assert second(cli, other, "fsck").returncode == 0
    assert "known by the-other" in second(cli, other, "stores", "adopt", "file").stderr
    listed = second(cli, place, "stores", "list")
    assert listed.returncode == 1
    [row] = [line.split() for line in listed.stdout.splitlines() if line.startswith("file")]
    assert row[1:3] == ["the-other", mine]
    assert "the-other" in refusal(second(cli, place, "fsck"))
    entries = node.admin.request("GET", "/audit", params={"action": "store_adopt"}).json()["audit"]
    assert [(entry["target"], entry["detail"]) for entry in entries] == [
        ("file", {"identity": "the-other", "before": mine})
    ]


def test_bytes_that_are_lost_are_gone_on_without(node: Glare, image: Json, cli: Cli, tmp_path: Path) -> None:
    """`--without-bytes` makes an empty directory the store: records stay, and `glare-server fsck` marks what is
    missing.
    """
    directory = tmp_path / "new"
    said = refusal(second(cli, directory, "stores", "adopt", "file"))
    assert "--without-bytes" in said
    assert second(cli, directory, "stores", "adopt", "file", "--without-bytes").returncode == 0
    checked = second(cli, directory, "fsck", "--store", "file")
    assert (checked.returncode, checked.stdout.split("\t")[0]) == (1, "missing")


def test_stores_that_have_no_place_or_are_none_are_refused(node: Glare, cli: Cli) -> None:
    """The store in the database cannot be another one, and a name that is none is told what there is."""
    place = node.settings.glance_store.filesystem_store_datadir
    assert "in the database itself" in refusal(second(cli, place, "stores", "adopt", "database"))
    assert "the stores are file, database" in refusal(second(cli, place, "stores", "adopt", "disk"))


def test_a_running_process_does_not_work_with_another_directory(node: Glare, image: Json, other: Path) -> None:
    """A volume of another store that is mounted under a process that has not used its store yet is not written to."""
    place = node.settings.glance_store.filesystem_store_datadir
    place.rename(place.with_name("aside"))
    other.rename(place)
    answer = node.alice.try_upload(node.alice.create("images", name="b"), "image", b"more")
    assert (answer.status_code, answer.headers["X-Glare-Error-Code"]) == (503, "StoreMistaken")
    assert [path.name for path in place.iterdir()] == [MARKER]
    assert node.alice.download(image, "image").status_code == 503
    answer = node.client.get("/readyz")
    assert answer.status_code == 503
    assert "another store's than the database knows" in answer.json()["problems"]["store file"]
