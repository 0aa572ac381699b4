"""Types are found where the configuration says, and only enabled ones exist."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from glare.errors import InvalidDeclaration, TypeNotFound
from glare.types import registry
from glare.types.images import Image
from glare.types.registry import DEFAULT_ENABLED, TypeRegistry, discover, load

ONE_TYPE = """
from __future__ import annotations
from glare.types import ArtifactType, Option, String

class Thing(ArtifactType):
    name = "things"
    config = (Option("level", int, 1),)
    colour = String()
"""


@pytest.fixture
def module_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; what was imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_only_enabled_types_exist() -> None:
    """A type that is not enabled is not found, and `all` is no type of its own."""
    types = load(["images"], [], entry_points=False, options={})
    assert types.names == {"images"}
    assert types.get("images").display_name == "Images"
    assert types.all.name == "all"
    for name in ("secrets", "all", "nothing"):
        with pytest.raises(TypeNotFound):
            types.get(name)


def test_secrets_are_not_enabled_by_default() -> None:
    """The types that a fresh installation enables are the contract's five."""
    assert set(DEFAULT_ENABLED) == {
        "heat_templates",
        "heat_environments",
        "murano_packages",
        "tosca_templates",
        "images",
    }


def test_a_custom_module_is_loaded(module_folder: Path) -> None:
    """A type of a configured module is found, and gets the values of its options."""
    (module_folder / "a_shop.py").write_text(ONE_TYPE, encoding="utf-8")
    types = load(["things"], ["a_shop"], entry_points=False, options={"things": {"level": 7}})
    assert list(types.get("things").custom_fields) == ["colour"]
    assert types.get("things").artifact_type.options == {"level": 7}


def test_an_enabled_type_that_nothing_defines_stops_the_start() -> None:
    """The message names the missing type, the options to correct, and the types that there are."""
    with pytest.raises(InvalidDeclaration) as refused:
        load(["images", "imagse"], [], entry_points=False, options={})
    for part in ("'imagse'", "enabled_artifact_types", "custom_artifact_types_modules", "murano_packages"):
        assert part in refused.value.message


def test_all_need_not_be_enabled() -> None:
    """Enabling `all` is refused with the remedy, since it is always there."""
    with pytest.raises(InvalidDeclaration, match="always there"):
        load(["all"], [], entry_points=False, options={})


def test_a_module_that_fails_stops_the_start(module_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A module that cannot be imported is refused with its reason, the line and the remedy, whatever is enabled;
    nothing is logged.
    """
    broken = module_folder / "a_broken_shop.py"
    broken.write_text("from glare.types import String\n\ncolour = String(max_lenght=5)\n", encoding="utf-8")
    for module, parts in {
        "a_broken_shop": ("(TypeError: ", "'max_lenght'", f", {broken} line 3); correct it"),
        "no_such_shop": ("(ModuleNotFoundError: No module named 'no_such_shop');", "PYTHONPATH"),
    }.items():
        with pytest.raises(InvalidDeclaration) as refused:
            load(["images"], [module], entry_points=False, options={})
        for part in (f"Module '{module}'", "[DEFAULT] custom_artifact_types_modules", *parts):
            assert part in refused.value.message
    assert not caplog.records


def test_built_in_types_win(module_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A custom type with the name of a built-in one is passed over, and the log says so."""
    (module_folder / "a_rival_shop.py").write_text(ONE_TYPE.replace('"things"', '"images"'), encoding="utf-8")
    assert discover(["a_rival_shop"], entry_points=False)["images"] is Image
    assert [vars(record)["type"] for record in caplog.records] == ["images"]


def test_bases_and_imported_types_are_no_clash(module_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A module may import built-in types and declare nameless bases without being reported."""
    (module_folder / "a_family_shop.py").write_text(
        "from __future__ import annotations\n"
        "from glare.types import ArtifactType, String\n"
        "from glare.types.images import Image\n"
        "class Base(ArtifactType):\n    shared = String()\n"
        "class Child(Base):\n    name = 'children'\n"
        "class BigImage(Image):\n    name = 'big_images'\n",
        encoding="utf-8",
    )
    found = discover(["a_family_shop"], entry_points=False)
    assert {"children", "big_images"} < set(found)
    assert not caplog.records


def test_a_wrong_declaration_stops_the_start(module_folder: Path) -> None:
    """An enabled type that is declared wrongly stops the start; one that is not enabled is left alone."""
    (module_folder / "a_wrong_shop.py").write_text(ONE_TYPE.replace("colour =", "owner ="), encoding="utf-8")
    with pytest.raises(InvalidDeclaration, match="field 'owner'"):
        load(["things"], ["a_wrong_shop"], entry_points=False, options={})
    assert load(["images"], ["a_wrong_shop"], entry_points=False, options={}).names == {"images"}


@pytest.mark.parametrize("target", ["an_installed_shop", "an_installed_shop:Thing"])
def test_entry_points_offer_types(
    module_folder: Path, monkeypatch: pytest.MonkeyPatch, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An installed distribution offers a module or a class; those that cannot be loaded are logged."""
    (module_folder / "an_installed_shop.py").write_text(ONE_TYPE, encoding="utf-8")
    offered = [
        EntryPoint("good", target, registry.ENTRY_POINTS),
        EntryPoint("gone", "no_such_shop:Thing", registry.ENTRY_POINTS),
        EntryPoint("empty", "string:digits", registry.ENTRY_POINTS),
    ]
    monkeypatch.setattr(
        registry, "installed_entry_points", lambda *, group: offered if group == "glare.artifact_types" else []
    )
    assert "things" in discover([], entry_points=True)
    assert "things" not in discover([], entry_points=False)
    assert [vars(record)["entry_point"] for record in caplog.records] == ["no_such_shop:Thing", "string:digits"]


def test_the_registry_names_its_types(built_in: TypeRegistry) -> None:
    """Names and specs of a registry are those of the enabled types."""
    assert built_in.names == set(built_in.specs) == {*DEFAULT_ENABLED, "secrets"}
