"""What the pages name is there: files, functions, routes, tests."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from starlette.routing import Route

from glare.http.api.folders import SINCE
from glare.http.call import Endpoint
from glare.http.microversion import MAXIMUM, MINIMUM
from glare.http.routes import API, PUBLIC

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "glare"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md", *sorted((ROOT / "docs/explanation").glob("*.md"))]
THREATS = ROOT / "docs" / "explanation" / "threat-model.md"
API_PAGE = ROOT / "docs" / "reference" / "api.md"

CODE = re.compile(r"`([\w./-]+\.py)(?::([\w.]+))?`")
FOLDER = re.compile(r"`((?:[a-z_]+/)+)`")
ROW = re.compile(r"^\| (?P<paths>`/[^|]*) \| (?P<methods>[A-Z, any]+) \|", re.MULTILINE)


def file_of(name: str) -> Path | None:
    """The file that a page names: from the root of the checkout, or from `src/glare`."""
    return next((path for path in (ROOT / name, SOURCE / name) if path.is_file()), None)


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions, classes and constants of a module, and the methods of its classes as `Class.method` and `method`."""
    names: set[str] = set()
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names.add(node.name)
            case ast.ClassDef():
                methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
                names |= {node.name, *methods, *(f"{node.name}.{method}" for method in methods)}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return frozenset(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_functions_exist(page: Path) -> None:
    """Each `path/file.py` is a file of the checkout, and each `path/file.py:name` is defined there."""
    text = page.read_text("utf-8")
    missing = []
    for name, function in CODE.findall(text):
        path = file_of(name)
        if path is None or (function and function not in defined(path)):
            missing.append(f"{name}:{function}" if function else name)
    missing += [name for name in FOLDER.findall(text) if not ((ROOT / name).is_dir() or (SOURCE / name).is_dir())]
    assert missing == []


def test_the_pieces_are_the_layers_of_the_import_contract() -> None:
    """The table of packages has each package of the code, in the order in which imports point, layer by layer."""
    pieces = (ROOT / "docs/architecture.md").read_text("utf-8").split("## The pieces\n")[1].split("\n## ")[0]
    groups = re.split(r"^\| \| \|$", pieces, flags=re.MULTILINE)
    said = [set(re.findall(r"^\| `glare\.(\w+)` \|", group, re.MULTILINE)) for group in groups]
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in configured if contract["id"] == "layers"]
    assert said == [set(re.findall(r"\w+", layer)) - {"__main__"} for layer in layers]


def test_what_is_missing_is_found() -> None:
    """A name that is not in the code is noticed, and one that is there is not."""
    path = file_of("operations/blobs/upload.py")
    assert path is not None
    assert "upload_blob" in defined(path)
    assert "upload_blobs" not in defined(path)
    assert file_of("operations/upload_blob.py") is None


def test_tests_of_the_threat_model_exist() -> None:
    """Each test file or folder that proves a defence is there, and the words in brackets begin a name of a test."""
    text = THREATS.read_text("utf-8")
    named = re.findall(r"`(tests/[\w/.]+)`(?:\s*\(([^)]*)\))?", text)
    assert len(named) > 80
    missing = []
    for name, words in named:
        path = ROOT / name
        if not path.exists():
            missing.append(name)
            continue
        files = [path] if path.is_file() else [*path.rglob("test_*.py")]
        tests = {test for file in files for test in defined(file) if test.startswith("test_")}
        for piece in filter(None, (piece.strip() for piece in words.split(","))):
            wanted = re.sub(r"\W+", "_", piece.lower())
            if not any(wanted in test for test in tests):
                missing.append(f"{name} ({piece})")
    assert missing == []


def test_rows_of_the_api_are_the_routes() -> None:
    """Each row of paths has exactly the methods that the routes answer, and there are no rows but those."""
    text = API_PAGE.read_text("utf-8").split("## Paths\n")[1].split("\n## ")[0]
    rows = {
        path: frozenset(row["methods"].split(", "))
        for row in ROW.finditer(text)
        for path in re.findall(r"`([^`]+)`", row["paths"])
    }
    routes = {}
    for route in (*PUBLIC, *API):
        assert isinstance(route, Route)
        assert isinstance(route.endpoint, Endpoint)
        routes[route.path] = frozenset(route.endpoint.allow.split(", ")) if route.endpoint.allow else frozenset({"any"})
    assert rows == routes


def test_the_microversions_are_those_of_the_code() -> None:
    """The page names the lowest and the highest version, each in between with what it adds, and folders at theirs."""
    text = API_PAGE.read_text("utf-8")
    assert f"The API has the microversions {MINIMUM} to {MAXIMUM}." in text
    rows = dict(re.findall(r"^- (\d\.\d): (.*)$", text, re.MULTILINE))
    assert list(rows) == [f"{MINIMUM.major}.{minor}" for minor in range(MINIMUM.minor + 1, MAXIMUM.minor + 1)]
    assert "folders" in rows[str(SINCE)]
    said = re.findall(r"\(since (\d\.\d)\)|since API version (\d\.\d)", text)
    assert {version for pair in said for version in pair if version} <= set(rows)
