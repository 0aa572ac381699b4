"""Pages for browsers: where one arrives, the API to try, and the guides. They load nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import httpx2
import pytest

from glare.http.description import pages
from glare.http.description.markdown import title_of, to_html
from support.service import Glare

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

ROOT = Path(__file__).resolve().parents[2]
STATIC = resources.files("glare.http") / "static"
VENDORED = json.loads((STATIC / "swagger-ui" / "vendored.json").read_text(encoding="utf-8"))
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
GUIDE = "/docs/guides/how-to/operate.md"


def get(api: Glare, path: str, **headers: str) -> httpx2.Response:
    answer: httpx2.Response = api.stranger.request("GET", path, headers=headers)
    return answer


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0", "text/*"]
)
def test_clients_of_the_api_find_the_versions_where_they_were(api: Glare, accept: str | None) -> None:
    """Whoever does not name HTML before JSON gets the versions document at / with status 300."""
    answer = get(api, "/", **({"Accept": accept} if accept else {}))
    assert (answer.status_code, answer.headers["content-type"]) == (300, "application/json")
    assert answer.json()["versions"][0]["version"] == "1.0"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_browser_gets_the_versions_too_where_it_does_not_read(api: Glare, method: str) -> None:
    """The page is an answer to GET and HEAD."""
    assert api.stranger.request(method, "/", headers=BROWSER).status_code == 300


def test_a_browser_gets_a_page_that_leads_on(api: Glare) -> None:
    """Each link of the first page, and of those behind it, is answered with 200, or is the versions."""
    seen: set[str] = set()
    waiting = ["/", "/docs"]
    while waiting:
        path = waiting.pop()
        answer = get(api, path, **BROWSER)
        assert answer.status_code == (300 if path == "/versions" else 200), path
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            found = {target.partition("#")[0] for target in re.findall(r'(?:href|src)="(/[^"]*)"', answer.text)}
            waiting += found - seen - set(waiting)
    assert {"/docs", "/openapi.json", "/readyz", GUIDE, "/docs/LICENSE", "/docs/swagger-ui-bundle.js"} <= seen
    assert get(api, "/", **BROWSER).headers["vary"] == "Accept"


@pytest.mark.parametrize("path", ["/", "/docs", GUIDE])
def test_a_page_runs_only_what_it_names(api: Glare, path: str) -> None:
    """The policy admits scripts and styles by a nonce that no other answer has, and nothing of another host."""
    page = get(api, path, **BROWSER)
    policy = page.headers["content-security-policy"]
    [nonce] = set(re.findall(r"'nonce-([^']+)'", policy))
    assert policy == (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    )
    assert nonce not in get(api, path, **BROWSER).text
    loaded = re.findall(r"<(?:script|link)\b[^>]*>", page.text)
    assert loaded
    for element in loaded:
        assert re.search(rf'(?:src|href)="/docs/[\w.-]+" nonce="{re.escape(nonce)}"', element), element
    assert not re.search(r"<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|javascript:", page.text)
    assert page.headers["x-content-type-options"] == "nosniff"


def test_swagger_ui_is_what_was_published() -> None:
    """Each vendored file has the sha256 that it had in its package, none is missing, and the licence is there."""
    folder = STATIC / "swagger-ui"
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    found.pop("vendored.json")
    assert found == VENDORED["sha256"]
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert VENDORED["package"] == "swagger-ui-dist"
    assert VENDORED["integrity"].startswith("sha512-")


def test_the_script_asks_nobody_else() -> None:
    """The page of the API reads its own document, sends nothing to a validator, and keeps no token."""
    script = (STATIC / "start.js").read_text(encoding="utf-8")
    assert 'url: "/openapi.json"' in script
    assert "validatorUrl: null" in script
    assert "persistAuthorization: false" in script
    assert "http" not in script


def test_a_file_of_the_page_is_sent_once(api: Glare) -> None:
    """Whoever has it is told that it is still the same; files that are not the page's are not sent."""
    first = get(api, "/docs/swagger-ui-bundle.js")
    assert hashlib.sha256(first.content).hexdigest() == VENDORED["sha256"]["swagger-ui-bundle.js"]
    assert first.headers["content-type"] == "text/javascript; charset=UTF-8"
    again = get(api, "/docs/swagger-ui-bundle.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in (
        "/docs/vendored.json",
        "/docs/..%2Fpages.py",
        "/docs/guides/how-to/..%2F..%2Farchitecture.md",
        "/docs/guides/decisions/README.md",
    ):
        assert get(api, path).status_code in (401, 404), path


def test_the_document_begins_with_what_people_use(api: Glare) -> None:
    """Images first, then the other types, locations and subscriptions; what operators read comes last."""
    tags = [tag["name"] for tag in get(api, "/openapi.json").json()["tags"]]
    assert tags[0] == "images"
    assert tags.index("locations") < tags.index("subscriptions") < tags.index("service")
    assert tags.index("all") < tags.index("locations")


def test_every_guide_is_a_page(api: Glare) -> None:
    """All guides of the checkout are served, under their titles, and a guide loses none of its words."""
    wanted = {
        f"{folder}/{path.name}"
        for folder in ("tutorial", "how-to", "explanation", "reference")
        for path in (ROOT / "docs" / folder).glob("*.md")
    }
    assert set(pages.guides()) == wanted
    for name, guide in pages.guides().items():
        page = get(api, f"/docs/guides/{name}")
        assert page.status_code == 200
        assert guide.title
        plain = re.sub(r"<[^>]+>", " ", page.text)
        for word in set(
            re.findall(r"[A-Za-z]{5,}", re.sub(r"<!--.*?-->|\]\([^)]*\)|```[^\n]*", "", guide.text, flags=re.DOTALL))
        ):
            assert word in plain, (name, word)


def test_markdown_becomes_html() -> None:
    """Blocks and spans of the guides, with all text escaped."""
    text = (
        "# A `b` & c\n\nOne *two* **three** `a < b` [four](x.md#y) [five](gone.md).\n\n"
        "- first\n  goes on\n- second\n\n      code\n\n1. one\n2. two\n\n> quoted\n\n"
        "| a | b |\n|---|---|\n| `x \\| y` | <script> |\n\n```sh\nif a < b\n```\n<!-- gone -->\n"
    )
    made = to_html(text, lambda target: f"/{target}" if target.startswith("x") else None)
    assert '<h1 id="a-b--c">A <code>b</code> &amp; c</h1>' in made
    assert '<em>two</em> <strong>three</strong> <code>a &lt; b</code> <a href="/x.md#y">four</a> five.' in made
    assert "<ul><li>first\ngoes on</li><li>second" in made
    assert "<ol><li>one</li><li>two</li></ol>" in made
    assert "<blockquote><p>quoted</p></blockquote>" in made
    assert "<td><code>x | y</code></td><td>&lt;script&gt;</td>" in made
    assert "<pre><code>if a &lt; b</code></pre>" in made
    assert "gone -->" not in made
    assert title_of(text) == "A b & c"
