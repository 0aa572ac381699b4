"""Requests to object stores, and a relay's orders about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from support.origins.http_relay import Request, Spoiled

Matches = Callable[[Request], bool]


def makes_object(request: Request) -> bool:
    return request.method == "PUT" and "/objects/" in unquote(request.path)


def sends_part(request: Request) -> bool:
    path = unquote(request.path)
    return request.method == "PUT" and re.search(r"partNumber=|comp=block&|/data/[^?]*/\d{5}$", path) is not None


def completes(request: Request) -> bool:
    ends = re.search("comp=blocklist|multipart-manifest=put", request.path) is not None
    return ends or (request.method == "POST" and "uploadId=" in request.path)


def begins(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.path


def notes(request: Request) -> bool:
    return request.method == "PUT" and "/unfinished/" in unquote(request.path)


def reads(request: Request) -> bool:
    return request.method == "GET" and re.search("/(objects|data)/", unquote(request.path)) is not None


def removes(request: Request) -> bool:
    return request.method == "DELETE" or re.search(r"\?delete$|comp=batch", request.path) is not None


class Times:
    """Spoils the requests that match: the first so many, all where there is no number."""

    def __init__(self, matches: Matches, spoiled: Spoiled, most: int | None = None) -> None:
        self._matches = matches
        self._spoiled = spoiled
        self._left = most
        self.spoiled = 0

    def __call__(self, request: Request) -> Spoiled | None:
        if not self._matches(request) or self._left == 0:
            return None
        self.spoiled += 1
        if self._left is not None:
            self._left -= 1
        return self._spoiled
