"""Documentation holds together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Route

from glare.http.routes import API, PUBLIC

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    """A page that nothing leads to is a page that nobody reads."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            waiting += [(page.parent / target).resolve() for target in LINK.findall(page.read_text())]
    decisions = {page for page in PAGES if page.parent.name == "decisions"}
    assert set(PAGES) - reached - decisions == set()


def test_every_route_is_documented() -> None:
    """Each path of the route table stands in the reference of the API."""
    text = (ROOT / "docs/reference/api.md").read_text()
    paths = [route.path for route in (*PUBLIC, *API) if isinstance(route, Route)]
    assert len(paths) == len(PUBLIC) + len(API)
    assert [path for path in paths if f"`{path}`" not in text] == []
