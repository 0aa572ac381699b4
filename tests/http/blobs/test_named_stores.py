"""Several stores of a kind: where new blobs go, and what happens where one is not configured any more."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.app import open_stores
from glare.db.tables import blobs
from glare.errors import StoreMistaken
from support.service import Glare, Json, running

TWO = "[store:second]\ndriver = file\ndirectory = {directory}/second\n"


def image(glare: Glare, data: bytes, actor: str = "alice") -> Json:
    owner = getattr(glare, actor)
    made = owner.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    uploaded: Json = owner.upload(made, "image", data)
    return uploaded


def stores(glare: Glare) -> Counter[str]:
    with glare.services.db.read() as connection:
        return Counter(connection.execute(select(blobs.c.store)).scalars())


def test_blobs_of_a_project_go_to_its_own_store(tmp_path: Path) -> None:
    """A project's data lies in the directory of its store, also where an administrator uploads it; others' does not."""
    text = f"{TWO.format(directory=tmp_path)}[project:builders]\ndefault_store = second\n"
    with running(tmp_path, text) as glare:
        mine, theirs = image(glare, b"of alice"), image(glare, b"of bob", "bob")
        assert stores(glare) == {"file": 1, "second": 1}
        assert [path.read_bytes() for path in glare.objects()] == [b"of alice"]
        kept = glare.bob.create("images", name="kept", disk_format="raw", container_format="bare")
        glare.admin.upload(kept, "image", b"by the administrator")
        assert stores(glare) == {"file": 1, "second": 2}
        assert glare.alice.download(mine, "image").content == b"of alice"
        assert glare.bob.download(theirs, "image").content == b"of bob"
        assert glare.bob.download(kept, "image").content == b"by the administrator"


def test_several_stores_share_new_blobs_by_weight(tmp_path: Path) -> None:
    """Each new blob goes where its chance falls, and is found there."""
    text = f"{TWO.format(directory=tmp_path)}weight = 3\n[glance_store]\ndefault_store = file, second\n"
    with running(tmp_path, text) as glare:
        chances = iter([0.1, 0.1, 0.3, 0.3, 0.9, 0.9] * 2)
        object.__setattr__(glare.services, "chance", lambda: next(chances, 0.5))
        made = [image(glare, b"%d" % number) for number in range(3)]
        assert stores(glare) == {"file": 1, "second": 2}
        assert [glare.alice.download(one, "image").content for one in made] == [b"0", b"1", b"2"]


def test_a_store_that_takes_nothing_is_read_and_lets_go(tmp_path: Path) -> None:
    """New blobs pass a read-only store over; what is in it is read, and removed when it is deleted."""
    both = f"{TWO.format(directory=tmp_path)}[glance_store]\ndefault_store = second\n"
    with running(tmp_path, both) as glare:
        old = image(glare, b"old")
    closed = both.replace("second\n[glance", "second\nread_only = true\n[glance").replace(
        "default_store = second", "default_store = second, file"
    )
    with running(tmp_path, closed) as glare:
        new = image(glare, b"new")
        assert stores(glare) == {"second": 1, "file": 1}
        assert glare.alice.download(old, "image").content == b"old"
        for one in (old, new):
            assert glare.alice.delete(one).status_code == 204
        assert list(glare.services.stores["second"].entries()) == []


def test_a_store_that_blobs_need_cannot_be_left_out(tmp_path: Path) -> None:
    """The start is refused with the number of blobs and what to do; once nothing needs the store, it may go."""
    both = f"{TWO.format(directory=tmp_path)}[glance_store]\ndefault_store = second\n"
    with running(tmp_path, both) as glare:
        one, other = image(glare, b"one"), image(glare, b"other")
    for count in ("2 blobs have their bytes there", "1 blob has its bytes there"):
        with pytest.raises(StoreMistaken) as refused, running(tmp_path):
            pass
        for part in ("Store 'second'", count, "stores drain second --to STORE", "stores adopt second --without-bytes"):
            assert part in refused.value.message
        with running(tmp_path, both) as glare:
            assert glare.alice.delete(one).status_code == 204
            one = other
    with running(tmp_path) as glare:
        assert stores(glare) == {}


def test_two_stores_at_one_place_are_refused(tmp_path: Path) -> None:
    """A copy of a store with its marker is no other store, whatever its path."""
    both = TWO.format(directory=tmp_path)
    with running(tmp_path) as glare:
        settings = glare.settings
    shutil.copytree(settings.glance_store.filesystem_store_datadir, tmp_path / "second")
    with pytest.raises(StoreMistaken, match="'file' and 'second' are one place"), running(tmp_path, both):
        pass
    open_stores(replace(settings, stores={}))
