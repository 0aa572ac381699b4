"""Pages for browsers: where one arrives, the API to read and to try, and the guides.

The API is shown by Swagger UI, which is a part of the package (`static/swagger-ui`, with its licence and checksums).
Nothing is loaded from another host, and the policy of each page names its scripts by a nonce.
"""

from __future__ import annotations

import hashlib
import posixpath
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from starlette.responses import Response

from glare import __version__
from glare.errors import NotFound
from glare.http.answers import shared_body
from glare.http.api.service import VERSIONS, versions
from glare.http.call import Call
from glare.http.conditions import parse_tags
from glare.http.description.markdown import title_of, to_html
from glare.http.media_types import HTML, JSON
from glare.http.operation import SERVICE, Answer, Public

_STATIC: Final = resources.files("glare.http") / "static"
_GUIDES: Final = resources.files("glare.http") / "guides"
_FOLDERS: Final[Mapping[str, str]] = {
    "tutorial": "Tutorials",
    "how-to": "How to",
    "explanation": "Explanations",
    "reference": "Reference",
}
_ASSETS: Final[Mapping[str, tuple[str, str]]] = {
    "page.css": ("page.css", "text/css; charset=UTF-8"),
    "start.js": ("start.js", "text/javascript; charset=UTF-8"),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css; charset=UTF-8"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=UTF-8"),
    "LICENSE": ("swagger-ui/LICENSE", "text/plain; charset=UTF-8"),
    "NOTICE": ("swagger-ui/NOTICE", "text/plain; charset=UTF-8"),
    "swagger-ui-bundle.js.LICENSE.txt": ("swagger-ui/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=UTF-8"),
}


@dataclass(frozen=True, slots=True)
class Guide:
    """A guide: its address below ``/docs/guides``, its title, and its Markdown."""

    name: str
    title: str
    text: str


@Public(
    id="versions.root",
    about=SERVICE,
    summary="The versions of the API; every method answers alike",
    answer=VERSIONS,
    more=(Answer(200, "A page, for who takes HTML before JSON.", media_type=HTML),),
)
async def root(call: Call) -> Response:
    if not (call.is_read and wants_page(call.headers.get("accept"))):
        return await versions(call)
    response = await call.run(_start)
    response.headers["vary"] = "Accept"
    return response


@Public(
    id="docs",
    about=SERVICE,
    summary="A page to read this document, and to try it",
    answer=Answer(200, "The page.", media_type=HTML),
)
async def docs(call: Call) -> Response:
    return await call.run(_docs)


@Public(
    id="docs.guide",
    about=SERVICE,
    summary="A guide",
    answer=Answer(200, "The guide as a page.", media_type=HTML),
    errors=(404,),
)
async def guide(call: Call) -> Response:
    return await call.run(_guide, f"{call.parameters['folder']}/{call.parameters['name']}")


@Public(
    id="docs.file",
    about=SERVICE,
    summary="What that page loads",
    answer=Answer(200, "The file.", media_type="*/*"),
    errors=(404,),
)
async def asset(call: Call) -> Response:
    return await call.run(_asset, call)


def wants_page(accept: str | None) -> bool:
    """Whether a client names HTML among what it takes, and JSON not before it: browsers do, and clients of the API do
    not.
    """
    weights: dict[str, float] = {}
    for part in (accept or "").lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights[media_type] = _weight(parameters)
    html = weights.get(HTML, 0.0)
    return html > 0 and html >= weights.get(JSON, 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def guides() -> Mapping[str, Guide]:
    """All guides by their names, folder by folder."""
    return _all_guides()


@cache
def _all_guides() -> Mapping[str, Guide]:
    return {guide.name: guide for folder in _FOLDERS for guide in sorted(_in_folder(folder), key=lambda one: one.title)}


def _in_folder(folder: str) -> Iterator[Guide]:
    place = _GUIDES / folder
    if not place.is_dir():
        return
    for file in place.iterdir():
        if file.name.endswith(".md"):
            text = file.read_text(encoding="utf-8")
            yield Guide(f"{folder}/{file.name}", title_of(text), text)


def _start() -> Response:
    body = (
        f"<h1>Glare {escape(__version__)}</h1>\n"
        "<p>An artifact repository: images, templates and other typed artifacts, whose data is immutable once they are "
        "active.</p>\n"
        '<ul><li><a href="/docs">The API</a>, to read and to try with a token</li>\n'
        '<li><a href="/openapi.json">The API as OpenAPI</a></li>\n'
        '<li><a href="/versions">The versions of the API</a></li>\n'
        '<li><a href="/readyz">Whether the service is ready</a></li></ul>\n'
        f"{_list_of_guides()}"
    )
    return _page("Glare", body, scripts=())


def _docs() -> Response:
    body = (
        '<p class="where"><a href="/">Glare</a></p>\n<h1>API and guides</h1>\n'
        "<p>Below is every request of this service. <em>Authorize</em> takes your token; <em>Try it out</em> then "
        "sends a "
        'request from this page. Begin with <a href="#/images">images</a>: create an artifact, upload its blob or '
        "record "
        "an external location, activate it, download it.</p>\n"
        f"<details><summary>Guides</summary>{_list_of_guides()}</details>\n"
        '<div id="swagger-ui"></div>\n'
        '<p class="where">Shown by Swagger UI (<a href="/docs/LICENSE">licence</a>, <a '
        'href="/docs/NOTICE">notice</a>).</p>'
    )
    return _page(
        "Glare: API", body, scripts=("swagger-ui-bundle.js", "start.js"), styles=("swagger-ui.css", "page.css")
    )


def _guide(name: str) -> Response:
    found = guides().get(name)
    if found is None:
        raise NotFound("There is no such guide; see /docs for those there are.")

    def link(target: str) -> str | None:
        if "://" in target or target.startswith("#"):
            return target
        path, _, fragment = target.partition("#")
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if whole not in guides():
            return None
        return f"/docs/guides/{whole}" + (f"#{fragment}" if fragment else "")

    body = (
        f'<p class="where"><a href="/">Glare</a> / <a href="/docs">API and guides</a></p>\n{to_html(found.text, link)}'
    )
    return _page(found.title, body, scripts=())


def _list_of_guides() -> str:
    made = []
    for folder, heading in _FOLDERS.items():
        listed = "".join(
            f'<li><a href="/docs/guides/{escape(one.name)}">{escape(one.title)}</a></li>'
            for one in guides().values()
            if one.name.startswith(f"{folder}/")
        )
        if listed:
            made.append(f"<h2>{heading}</h2>\n<ul>{listed}</ul>")
    return "\n".join(made)


def _page(title: str, body: str, scripts: tuple[str, ...], styles: tuple[str, ...] = ("page.css",)) -> Response:
    nonce = secrets.token_urlsafe(16)
    links = "".join(f'<link rel="stylesheet" href="/docs/{name}" nonce="{nonce}">' for name in styles)
    loaded = "".join(f'<script src="/docs/{name}" nonce="{nonce}"></script>' for name in scripts)
    text = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>{links}</head>\n<body>\n<main>\n{body}\n</main>\n{loaded}\n</body>\n</html>\n"
    )
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    )
    headers = {
        "content-type": "text/html; charset=UTF-8",
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Response(text, headers=headers)


def _asset(call: Call) -> Response:
    name = call.parameters["file"]
    if name not in _ASSETS:
        raise NotFound("The documentation has no such file; see /docs.")
    path, media_type = _ASSETS[name]
    body, tag = _loaded(path)
    headers = {
        "content-type": media_type,
        "etag": f'"{tag}"',
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    known = parse_tags(call.headers.get("if-none-match"))
    if known is not None and known.match_weakly(tag):
        return Response(status_code=304, headers=headers)
    return shared_body(body, headers)


@cache
def _loaded(path: str) -> tuple[bytes, str]:
    file: Traversable = _STATIC
    for part in path.split("/"):
        file = file / part
    body = file.read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:32]
