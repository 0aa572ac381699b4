"""The tests keep the form that their readers, and pytest, rely on."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def test_files(python_files: list[Path], checkout: Path) -> list[Path]:
    """Every Python file below tests/."""
    return [path for path in python_files if path.is_relative_to(checkout / "tests")]


def test_each_test_states_a_behaviour(test_files: list[Path], checkout: Path) -> None:
    """Each test has a docstring of at least a few words."""
    silent = []
    for path in test_files:
        if not path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            # A fixture may be called after the tests that it serves.
            if any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list):
                continue
            if len((ast.get_docstring(node) or "").split()) < 4:
                silent.append(f"{path.relative_to(checkout)}:{node.lineno}: {node.name}")
    assert not silent, "\n".join(silent)


def test_test_modules_have_names_of_their_own(test_files: list[Path]) -> None:
    """No two test modules share a file name, so that a name in a report leads to one file."""
    names = Counter(path.name for path in test_files if path.name.startswith("test_"))
    assert not [name for name, count in names.items() if count > 1]


def test_test_folders_are_no_packages(test_files: list[Path], checkout: Path) -> None:
    """No folder of tests has an `__init__.py`: tests/http and tests/types must not become packages of these names."""
    packages = [path.parent for path in test_files if path.name == "__init__.py"]
    assert not [str(folder.relative_to(checkout)) for folder in packages if folder != checkout / "tests" / "support"]
