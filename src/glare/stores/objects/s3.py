"""Buckets of S3, and of what speaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from glare.errors import GlareError, Unavailable
from glare.stores.objects import credentials, failures
from glare.stores.objects.connection import Connection, retries_of
from glare.stores.objects.driver import ObjectStoreDriver
from glare.stores.objects.options import S3Options
from glare.stores.objects.remote import Upload
from glare.stores.objects.survey import Survey


def survey(options: S3Options, name: str) -> Survey:
    """What `Connection.survey` says, and what the bucket does with what is deleted or never finished. Raises
    `Unavailable` for credentials or certificates that are named and not there.
    """
    connection = S3Connection(options, name)
    found = connection.survey()
    if found.problems:
        return found
    warnings = list(found.warnings)
    uploads = connection.uploads()
    try:
        if uploads.versioned():
            warnings.append(
                f"The {connection.words} keeps versions, so that what Glare removes still takes room; give it a rule "
                "that removes noncurrent versions."
            )
        if not uploads.forgets_uploads():
            warnings.append(
                f"The {connection.words} has no rule that aborts incomplete multipart uploads; give it one, of some "
                "days, for what the sweep cannot reach."
            )
    except GlareError:
        warnings.append(
            f"The {connection.words} does not tell whether it keeps versions and incomplete uploads; look yourself."
        )
    return Survey([], warnings)


def make_driver(options: S3Options, name: str, recorded: Callable[[], str | None]) -> ObjectStoreDriver:
    """The driver for these. Raises `Unavailable` for credentials or certificates that are named and not there."""
    return S3Connection(options, name).driver(recorded)


class S3Connection(Connection):
    """How clients of a bucket are made."""

    def __init__(self, options: S3Options, store: str) -> None:
        super().__init__(options, store, f"bucket {options.bucket!r}")
        self._options = options
        self._who = credentials.find(options)

    def make(self, http: Mapping[str, Any], retries: Mapping[str, Any]) -> S3Store:
        options = self._options
        words: dict[str, Any] = {"virtual_hosted_style_request": not options.path_style}
        if options.endpoint is not None:
            words["endpoint"] = options.endpoint if options.path_style else self._host()
        return self._make(words, http, retries)

    def uploads(self) -> S3Uploads:
        return S3Uploads(self, self.store)

    def behind(self, path: str) -> S3Store:
        """A client whose keys are put behind this path and query of the bucket."""
        words = {
            "endpoint": f"{self._base()}{path}",
            "virtual_hosted_style_request": True,
            "disable_bulk_delete": True,
        }
        retries = retries_of(self._options.times, hurried=False)
        client = self.made(lambda: self._make(words, self.quick, retries))
        assert isinstance(client, S3Store)  # noqa: S101 - `_make` makes no other
        return client

    def _make(self, words: dict[str, Any], http: Mapping[str, Any], retries: Mapping[str, Any]) -> S3Store:
        options = self._options
        if options.region is not None or options.endpoint is not None:
            words["region"] = options.region or "us-east-1"
        words |= {"client_options": http, "retry_config": retries, "checksum_algorithm": "SHA256", **self._who}
        return S3Store(options.bucket, **words)

    def _base(self) -> str:
        """The URL of the bucket, without a slash at its end."""
        options = self._options
        if options.path_style:
            endpoint = options.endpoint or f"https://s3.{options.region or 'us-east-1'}.amazonaws.com"
            return f"{endpoint}/{options.bucket}"
        return self._host()

    def _host(self) -> str:
        """The URL of a bucket that is named by its host."""
        options = self._options
        if options.endpoint is None:
            return f"https://{options.bucket}.s3.{options.region or 'us-east-1'}.amazonaws.com"
        url = urlsplit(options.endpoint)
        return f"{url.scheme}://{options.bucket}.{url.netloc}{url.path}"


class S3Uploads:
    """Multipart uploads of a bucket, and what else obstore has no call for.

    Such a request is that for a key behind the path and query that it needs: `x-id` is what S3 takes no notice of.
    """

    aborted = True

    def __init__(self, connection: S3Connection, store: str) -> None:
        self._connection = connection
        self._store = store

    def under(self, folder: str) -> Iterator[Upload]:
        key, upload = "", ""
        while True:
            query = f"uploads&prefix={_quoted(f'{folder}/')}"
            if key:
                query += f"&key-marker={_quoted(key)}&upload-id-marker={_quoted(upload)}"
            root = self._xml(query)
            for found in root.iter("Upload"):
                yield Upload(found.findtext("Key", ""), found.findtext("UploadId", ""), _time(found))
            if root.findtext("IsTruncated") != "true":
                return
            before = (key, upload)
            key, upload = root.findtext("NextKeyMarker", ""), root.findtext("NextUploadIdMarker", "")
            if not key or before == (key, upload):
                return

    def abort(self, upload: Upload) -> None:
        with self._named("abort"):
            obstore.delete(self._client(f"/{_quoted(upload.key, '/')}?uploadId={_quoted(upload.id)}"), "-")

    def versioned(self) -> bool:
        """Whether the bucket keeps what is deleted. Raises a `GlareError` where it does not tell."""
        return self._xml("versioning").findtext("Status") == "Enabled"

    def forgets_uploads(self) -> bool:
        """Whether a rule of the bucket removes unfinished uploads. Raises a `GlareError` where it does not tell."""
        try:
            root = self._xml("lifecycle")
        except _NothingThere:
            return False
        return any(
            rule.findtext("Status") == "Enabled" and rule.find("AbortIncompleteMultipartUpload") is not None
            for rule in root.iter("Rule")
        )

    def _xml(self, query: str) -> ET.Element:
        with self._named("ask"):
            data = bytes(obstore.get(self._client(f"?{query}"), "-").bytes())
        # Nothing of it is needed by its namespace, and stores differ in whether they send one.
        text = re.sub(rb'\sxmlns="[^"]*"', b"", data)
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise Unavailable(f"Store {self._store!r} answers with what is no list of S3.")
        try:
            return ET.fromstring(text)  # noqa: S314 - it has no entities
        except ET.ParseError:
            raise Unavailable(f"Store {self._store!r} answers with what is no list of S3.") from None

    def _client(self, path: str) -> S3Store:
        separator = "&" if "?" in path else "?"
        return self._connection.behind(f"{path}{separator}x-id=")

    @contextmanager
    def _named(self, action: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if failures.names_no_bucket(error):
                raise failures.named(error, self._store, action) from None
            if action != "abort":
                raise _NothingThere from None
        except (BaseError, OSError) as error:
            raise failures.named(error, self._store, action) from None


class _NothingThere(GlareError):
    """The bucket has nothing of what was asked for."""


def _quoted(text: str, safe: str = "") -> str:
    return quote(text, safe)


def _time(found: ET.Element) -> float:
    try:
        return datetime.fromisoformat(found.findtext("Initiated", "")).timestamp()
    except ValueError:
        return 0.0
