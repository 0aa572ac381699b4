"""The table of stores: another entry is all that another store takes, as the how-to says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glare.db.engine import Database
from glare.errors import Unavailable
from glare.stores import drivers
from glare.stores.base import Store
from glare.stores.conformance import StoreConformance
from glare.stores.drivers import DRIVERS, DriverSettings, StoreKind, make_stores, name_of, names
from glare.stores.objects.options import GCSOptions
from support.databases import database_of
from support.programs.azurite import in_container
from support.programs.command import environment
from support.programs.pages import ROOT, blocks_of
from support.programs.seaweedfs import TIMES, in_bucket
from support.programs.swift import in_swift

NOWHERE = "http://127.0.0.1:1"
PLACES = {
    "s3": in_bucket("bucket", NOWHERE),
    "azure": in_container(NOWHERE),
    "gcs": GCSOptions(prefix="", endpoint=NOWHERE, ca_file=None, times=TIMES, bucket="bucket"),
    "swift": in_swift(NOWHERE),
}

DRIVER, PROOF, ENTRY = (
    block.text for block in blocks_of(ROOT / "docs" / "how-to" / "add-a-store.md") if block.kind == "python"
)

WITH_ENTRY = f"""
import json, sys
from pathlib import Path

{DRIVER}
from glare.stores import drivers
from glare.stores.base import Store
from glare.stores.drivers import StoreKind

drivers.DRIVERS = {{**drivers.DRIVERS, **{ENTRY.strip()}}}

from glare.settings.options.content import LATER_STORES, STORES
from support.service import running

with running(Path(sys.argv[1]), sys.argv[2]) as glare:
    image = glare.alice.upload(glare.alice.create("images", name="kept"), "image", b"bytes of the image")
    data = glare.alice.download(image, "image").content
    found = {{name: [entry.name for entry in store.entries()] for name, store in glare.services.stores.items()}}
    unchecked = sorted(glare.services.rules.unchecked_stores)
print(json.dumps([data.decode(), found, STORES, unchecked, "cold" in LATER_STORES]))
"""
"""A program in which the table has the how-to's entry."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(database_of(tmp_path))
    yield made
    made.dispose()


def settings_of(database: Database | None, directory: Path) -> DriverSettings:
    blobs = directory / "blobs"
    return DriverSettings(blobs, 0, database, None, lambda _: None)  # type: ignore[arg-type]  # files need no database


def settings_in(directory: Path) -> DriverSettings:
    """For drivers that need no database."""
    return settings_of(None, directory)


SCOPE: dict[str, Any] = {
    "Path": Path,
    "Store": Store,
    "StoreConformance": StoreConformance,
    "settings_in": settings_in,
}
exec(DRIVER + PROOF, SCOPE)  # noqa: S102 - the how-to's own lines
TestColdStore = SCOPE["TestColdStore"]


def run(directory: Path, configuration: str) -> Any:
    database_of(directory)
    program = [sys.executable, "-c", WITH_ENTRY, str(directory), configuration]
    ended = subprocess.run(program, env=environment(), capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_an_entry_is_all_that_a_store_takes(tmp_path: Path) -> None:
    """With the entry of the how-to the configuration knows the store, new blobs go there, and the others are beside
    it.
    """
    chosen = "[glance_store]\ndefault_store = cold\n[store]\nunchecked_files = cold\n"
    data, found, known, unchecked, planned = run(tmp_path, chosen)
    assert data == "bytes of the image"
    assert len(found.pop("cold")) == 1
    assert found == {"file": [], "database": []}
    assert known == [*names(), "cold"]
    assert unchecked == ["cold"]
    assert not planned


def test_the_suite_of_every_store_is_run_by_the_class_of_the_how_to() -> None:
    """The class has nothing but the store that it makes, and the suite comes with it."""
    assert issubclass(TestColdStore, StoreConformance)
    assert [name for name in vars(TestColdStore) if not name.startswith("__")] == ["make_store"]


def test_every_store_of_the_table_has_the_name_of_its_entry(database: Database, tmp_path: Path) -> None:
    """Blobs remember the name, so that a driver must not have another one. A store whose place is not named is not
    there.
    """
    settings = settings_of(database, tmp_path)
    stores = make_stores(replace(settings, places=PLACES))
    assert {name: store.name for name, store in stores.items()} == {name: name for name in DRIVERS}
    assert {name for name, store in stores.items() if store.remote} == {"s3", "azure", "gcs", "swift"}
    assert list(make_stores(settings)) == ["file", "database"]


def test_a_store_whose_library_is_missing_is_named_with_its_extra(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names a bucket without having installed what it takes is told what to install."""
    for library in ("obstore", "keystoneauth1"):
        monkeypatch.setitem(sys.modules, library, None)
    for module in [name for name in sys.modules if name.startswith("glare.stores.objects.")]:
        monkeypatch.delitem(sys.modules, module)
    for name, place in PLACES.items():
        with pytest.raises(Unavailable, match=re.escape(f"glare-server[{name}]")):
            make_stores(replace(settings_of(database, tmp_path), places={name: place}))


def test_an_older_name_means_the_store_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration may use every name, and each means one entry; only stores with files are named for them."""
    assert {name: name_of(name) for name in names()} == {
        "file": "file",
        "filesystem": "file",
        "database": "database",
        "s3": "s3",
        "azure": "azure",
        "gcs": "gcs",
        "swift": "swift",
    }
    assert names(serving_files=True) == ("file", "filesystem")
    other = StoreKind(DRIVERS["file"].make, older_names=("tape",), serves_files=True)
    monkeypatch.setattr(drivers, "DRIVERS", {**DRIVERS, "cold": other})
    assert name_of("tape") == "cold"
    assert names(serving_files=True) == ("file", "filesystem", "cold", "tape")
