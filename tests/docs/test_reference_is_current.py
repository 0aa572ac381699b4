"""The reference pages say what the code does, and leave nothing out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from glare.cli.commands import COMMANDS
from glare.policy.rules import RULES
from glare.settings.values import all_options

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("settings.md", "policy.md", "errors.md", "commands.md", "request-headers.md")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The program that writes the pages."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_program_writes_these_pages(reference: ModuleType) -> None:
    """No page is written that these tests do not look at."""
    assert tuple(reference.PAGES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_the_code_says(reference: ModuleType, name: str) -> None:
    """A page in docs/reference is what `make docs` writes now."""
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == reference.PAGES[name](), f"docs/reference/{name} is stale; run `make docs`"


def test_every_option_is_explained(reference: ModuleType) -> None:
    """Each option has its place in the page, with a help sentence."""
    page = reference.settings_page()
    for option in all_options():
        section = page.split(f"\n## [{option.group}]\n")[1].split("\n## ")[0]
        text = section.split(f"\n### {option.name}\n")[1].split("\n- Value: ")[0]
        assert text.split() == option.option.help.split(), option.title
        assert len(option.option.help.split()) >= 4, option.title


def test_every_rule_is_explained(reference: ModuleType) -> None:
    """Each policy rule has a description, and says which requests ask for it unless it is a building block."""
    page = reference.policy_page()
    for rule in RULES:
        assert f"\n## {rule.name}\n" in page
        assert rule.description.endswith("."), rule.name
        assert rule.operations or not rule.name.startswith("artifact:"), rule.name


def test_every_error_is_explained(reference: ModuleType) -> None:
    """Each error has a sentence and a code of its own."""
    page = reference.errors_page()
    tree = reference.error_tree()
    assert len({error.code for error in tree}) == len(tree)
    for error in tree:
        assert f"\n- `{error.code}` (" in page
        assert error.sentence.endswith("."), error.code
        assert "sentence" in vars(error), f"{error.code} says the same as its parent"


def test_every_command_is_explained(reference: ModuleType) -> None:
    """Each command's help is in the page."""
    page = reference.commands_page()
    for command in COMMANDS:
        assert f"## glare-server {' '.join(command.path)}\n" in page
