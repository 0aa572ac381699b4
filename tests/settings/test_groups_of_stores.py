"""Groups of stores and projects: what they come to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.db.counters import ALL_TYPES
from glare.operations.rules import Placing
from glare.settings import Settings, SettingsError, Sources, load
from glare.settings.explain import HIDDEN, explain
from glare.settings.options.objects import S3Settings
from glare.settings.rules import rules_of
from glare.stores.objects.options import S3Options

pytestmark = pytest.mark.sqlite

ARCHIVE = "[store:archive]\ndriver = file\ndirectory = /srv/archive\n"
COLD = "[store:cold]\ndriver = s3\nbucket = glare-cold\n"


def loaded(directory: Path, text: str) -> Settings:
    return load(Sources(files=(written(directory, text),), environment=False)).settings


def written(directory: Path, text: str) -> Path:
    path = directory / "glare.conf"
    path.write_text(text)
    return path


def test_each_store_has_the_options_of_its_own_group(tmp_path: Path) -> None:
    """Two buckets have their own options, and the defaults of `[s3]` where nothing is said; `[s3]` itself says nothing
    of them.
    """
    settings = loaded(
        tmp_path,
        f"{ARCHIVE}{COLD}endpoint = https://cold.example\ntrusted = true\nmax_transfers = 7\n"
        "[s3]\nbucket = glare-hot\nregion = eu-central-1\n",
    )
    assert settings.stores["archive"].directory == Path("/srv/archive")
    assert {name: place.name for name, place in settings.places.items()} == {
        "s3": "glare-hot",
        "cold": "glare-cold",
    }
    assert settings.places["cold"].endpoint == "https://cold.example"
    cold = settings.places["cold"]
    assert isinstance(cold, S3Options)
    assert cold.region is None
    assert settings.places_at_stores == {"s3": 128, "cold": 7}
    assert rules_of(settings).trusted_stores == {"cold"}
    assert isinstance(settings.stores["cold"].own, S3Settings)


def test_the_first_default_that_is_said_counts(tmp_path: Path) -> None:
    """A project goes before a type, and a type before all; older names mean the stores of today."""
    placing = rules_of(
        loaded(
            tmp_path,
            f"{ARCHIVE}{COLD}[glance_store]\ndefault_store = filesystem\n"
            "[artifact_type:images]\ndefault_store = archive, file\n[project:acme]\ndefault_store = cold\n",
        )
    ).placing
    asked = [("secrets", "other"), ("images", "other"), ("images", "acme"), ("secrets", "acme"), ("images", None)]
    assert [list(placing.open(*each)) for each in asked] == [
        ["file"],
        ["archive", "file"],
        ["cold"],
        ["cold"],
        ["archive", "file"],
    ]


def test_weights_say_how_often_each_is_chosen() -> None:
    """Of a hundred even chances each store has its share; what is read-only or weighs nothing has none."""
    placing = Placing({ALL_TYPES: ("a", "b", "c", "d")}, weights={"a": 3, "c": 0}, read_only=frozenset({"d"}))
    chosen = [placing.choose("images", None, number / 100) for number in range(100)]
    assert {name: chosen.count(name) for name in "abcd"} == {"a": 75, "b": 25, "c": 0, "d": 0}
    assert placing.choose("images", None, 0.999999999999999999) == "b"
    assert placing.choose("images", None, 0.0, wish="b") == "b"
    assert placing.choose("images", None, 0.0, wish="d") == "a"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[store:x]\nweight = 2\n", ("[store:x] has no driver", "driver = file or s3")),
        ("[store:x]\ndriver = database\n", ("[store:x] driver is 'database'", "file or s3")),
        ("[store:x]\ndriver = rbd\n", ("[store:x] driver is 'rbd'", "not part of this version")),
        ("[store:x]\ndriver = file\n", ("[store:x]", "set directory")),
        ("[store:x]\ndriver = s3\n", ("[store:x]", "set bucket")),
        (f"{COLD}directory = /srv\n", ("[store:cold] directory is '/srv'", "'s3'", "remove directory")),
        ("[store:file]\ndirectory = /srv\n", ("[store:file] directory is set", "remove it")),
        ("[store:s3]\ndriver = s3\nbucket = b-1\n", ("[store:s3] driver is set", "another name")),
        ("[store:a b]\ndriver = file\ndirectory = /srv\n", ("[store:a b] names no store", "choose another")),
        ("[store:filesystem]\nread_only = true\n", ("[store:filesystem] names no store", "older name")),
        (f"{ARCHIVE}[store:b]\ndriver = file\ndirectory = /srv/archive\n", ("[store:b]", "the same place")),
        (f"{ARCHIVE}[store:b]\ndriver = file\ndirectory = /srv\n", ("[store:b]", "'/srv'", "within or around")),
        (f"{ARCHIVE}[store:Archive]\ndriver = file\ndirectory = /x\n", ("differ in capitals only", "rename one")),
        (f"{COLD}[s3]\nbucket = glare-cold\n", ("[store:cold] bucket is 'glare-cold'", "[s3] is the same place")),
        (f"{COLD}access_key_id = A\n", ("[store:cold] access_key_id is set", "secret_access_key is not")),
        (f"{COLD}max_transfers = 256\n", ("[store:cold] max_transfers is 256", "max_concurrent")),
        ("[project:acme]\ndefault_store = nowhere\n", ("[project:acme] default_store is 'nowhere'", "[store:nowhere]")),
        (f"{ARCHIVE}[glance_store]\ndefault_store = archiv\n", ("'archiv'", "did you mean archive?")),
        ("[glance_store]\ndefault_store = file, file\n", ("'file, file'", "each once")),
        ("[glance_store]\ndefault_store =\n", ("[glance_store] default_store is ''", "one or more")),
        ("[store:file]\nread_only = true\n", ("[glance_store] default_store is 'file'", "read_only")),
        ("[store:file]\nweight = 0\n", ("[glance_store] default_store is 'file'", "weight of 0")),
        ("[store]\nunchecked_files = nowhere\n", ("[store] unchecked_files is 'nowhere'", "no such store")),
        ("[store]\nunchecked_files = database\n", ("'database'", "no files")),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    """Each contradiction is a sentence that names group, option, value and remedy."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, text)
    for part in parts:
        assert part in str(refused.value)


def test_names_that_are_no_options_are_reported(tmp_path: Path) -> None:
    """A misspelt option of a store or a project is said, with the one that was meant; those of the driver are known."""
    path = written(tmp_path, f"{ARCHIVE}bucket = b-1\n{COLD}buckett = b-2\n[project:acme]\ndefault_stor = file\n")
    found = load(Sources(files=(path,), environment=False)).unknown
    assert found == (
        f"[store:archive] bucket in {path} is no option.",
        f"[store:cold] buckett in {path} is no option; did you mean bucket?",
        f"[project:acme] default_stor in {path} is no option; did you mean default_store?",
    )


def test_what_is_configured_can_be_read_and_secrets_cannot(tmp_path: Path) -> None:
    """`config show` has the options of a store with those of its driver, and hides its secrets."""
    path = written(tmp_path, f"{COLD}access_key_id = AKIA\nsecret_access_key = hunter2\n")
    found = {one.name: one.value for one in explain(Sources(files=(path,), environment=False)) if "cold" in one.group}
    assert found["driver"] == "s3"
    assert found["bucket"] == "glare-cold"
    assert (found["access_key_id"], found["secret_access_key"]) == (HIDDEN, HIDDEN)


def test_a_link_to_another_stores_directory_is_that_directory(tmp_path: Path) -> None:
    """Two stores there would take each other's objects for orphans."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to(tmp_path / "one")
    text = "".join(f"[store:{name}]\ndriver = file\ndirectory = {tmp_path / name}\n" for name in ("one", "two"))
    (tmp_path / "glare.conf").write_text(text)
    with pytest.raises(SettingsError, match="the same place"):
        load(Sources(files=(tmp_path / "glare.conf",), environment=False))
