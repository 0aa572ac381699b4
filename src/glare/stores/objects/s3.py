"""Buckets of S3, and of what speaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from glare.errors import GlareError, Unavailable
from glare.stores.objects import credentials, failures
from glare.stores.objects.bucket import Broken, Bucket, Clients, Missing, Upload
from glare.stores.objects.driver import ObjectStoreDriver, Place
from glare.stores.objects.layout import Keys
from glare.stores.objects.options import S3Options
from glare.stores.objects.reader import Patience

_DAY: Final = timedelta(days=1)
_CONNECTIONS: Final = "64"
_PROBE_SECONDS: Final = 3.0
"""Seconds that a probe waits for the store: less than the five after which it is answered without it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found of a store's place before anything is done there, in sentences for its operator."""

    problems: Sequence[str]
    warnings: Sequence[str]


def survey(options: S3Options, name: str) -> Survey:
    """Ask the place, change nothing there: whether it can be reached, with these credentials, and what it does with
    what is deleted or never finished.
    """
    try:
        connection = Connection(options, name)
        probes = connection.client(connection.probes, hurried=True)
        uploads = S3Uploads(connection, name)
        bucket = Bucket(name, Clients(probes, probes, probes), uploads)
        keys = Keys(options.prefix)
        with suppress(Missing):
            bucket.read(keys.marker)
        next(bucket.listed(keys.objects), None)
    except GlareError as error:
        return Survey([error.message], [])
    except Broken as error:
        return Survey([f"Store {name!r} does not deliver what it announces: {error}."], [])
    warnings = []
    place = urlsplit(options.endpoint or "https://")
    if place.scheme == "http" and place.hostname not in ("127.0.0.1", "::1", "localhost"):
        warnings.append(f"[{name}] endpoint is http, so that bytes go over the network for all to read; use https.")
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
    connection = Connection(options, name)
    probes = connection.client(connection.probes, hurried=True)
    clients = Clients(connection.client(connection.quick), connection.client(connection.streams), probes)
    bucket = Bucket(name, clients, S3Uploads(connection, name))
    place = Place(bucket, Keys(options.prefix), connection.words)
    times = options.times
    patience = Patience(times.retries + 1, times.longest_pause)
    return ObjectStoreDriver(place, name=name, patience=patience, recorded=recorded)


class Connection:
    """How clients of a bucket are made."""

    def __init__(self, options: S3Options, store: str) -> None:
        self._options = options
        self._who = credentials.find(options)
        times = options.times
        endpoint = options.endpoint
        common: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=times.connect),
            "pool_max_idle_per_host": _CONNECTIONS,
            "allow_http": endpoint is not None and endpoint.startswith("http:"),
        }
        if options.ca_file is not None:
            try:
                common["root_certificate"] = options.ca_file.read_bytes()
            except OSError as error:
                raise Unavailable(
                    f"[{store}] ca_file {str(options.ca_file)!r} cannot be read ({error.strerror}); name a PEM file of "
                    "certificates."
                ) from None
        self.quick = {**common, "timeout": timedelta(seconds=times.request)}
        # A stream lasts as long as its reader likes; only the silence of the store is bounded.
        self.streams = {**common, "timeout": _DAY, "read_timeout": timedelta(seconds=times.stall)}
        wait = timedelta(seconds=min(_PROBE_SECONDS, times.request))
        self.probes = {**common, "timeout": wait, "connect_timeout": min(wait, common["connect_timeout"])}
        self.words = f"bucket {options.bucket!r}{f' at {endpoint}' if endpoint else ''}"

    def client(self, http: dict[str, Any], *, path: str | None = None, hurried: bool = False) -> S3Store:
        """A client of the bucket, which repeats nothing where it is `hurried`; with `path`, one whose keys are put
        behind that path and query.
        """
        options, times = self._options, self._options.times
        words: dict[str, Any] = {
            "virtual_hosted_style_request": not options.path_style,
            "checksum_algorithm": "SHA256",
            **self._who,
        }
        if options.region is not None or options.endpoint is not None:
            words["region"] = options.region or "us-east-1"
        if options.endpoint is not None:
            words["endpoint"] = options.endpoint if options.path_style else self._host()
        if path is not None:
            words |= {
                "endpoint": f"{self._base()}{path}",
                "virtual_hosted_style_request": True,
                "disable_bulk_delete": True,
            }
        retries: Any = {
            "max_retries": 0 if hurried else times.retries,
            "retry_timeout": timedelta(seconds=times.retry_time),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=times.longest_pause)},
        }
        client: Any = http
        try:
            return S3Store(options.bucket, client_options=client, retry_config=retries, **words)
        except (BaseError, ValueError):
            # Its text may quote what it was given.
            raise Unavailable(
                f"A client for {self.words} cannot be made; check the endpoint, the region and the certificates of its "
                "store."
            ) from None

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

    def __init__(self, connection: Connection, store: str) -> None:
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
        return self._connection.client(self._connection.quick, path=f"{path}{separator}x-id=")

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
