"""Stores in buckets, and what is in these."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from glare.stores.base import Store
from glare.stores.objects.driver import ObjectStoreDriver
from glare.stores.objects.layout import MIB
from glare.stores.objects.options import AzureOptions, GCSOptions, PlaceOptions, SwiftOptions
from glare.stores.objects.remote import RemoteKeys
from support.origins.http_relay import HttpRelay
from support.programs.azurite import uncommitted
from support.programs.seaweedfs import in_bucket

Options = TypeVar("Options", bound=PlaceOptions)

_PART = re.compile(r"/\d{5}$")
NAME = "0123456789abcdef0123456789abcdef"


def driver_of(options: PlaceOptions, recorded: str | None = None) -> ObjectStoreDriver:
    """A driver over a bucket, which nobody has initialised."""
    # Its library is an extra.
    module = importlib.import_module(f"glare.stores.objects.{options.driver}")
    driver: ObjectStoreDriver = module.make_driver(options, options.driver, lambda: recorded)
    return driver


def store_in(options: PlaceOptions, recorded: str | None = None) -> Store:
    """A store over a bucket, initialised."""
    store = Store(driver_of(options, recorded), remote=True)
    store.initialise()
    return store


def bucket_of(options: PlaceOptions) -> RemoteKeys:
    """The bucket below such a store."""
    return driver_of(options)._bucket


def behind(options: Options, relay: HttpRelay) -> Options:
    """The same place, by way of a relay."""
    return replace(options, endpoint=f"{relay.endpoint}{urlsplit(options.endpoint or '').path}")


def port_of(options: PlaceOptions) -> int:
    """The port of the server."""
    port = urlsplit(options.endpoint or "").port
    assert port is not None
    return port


def elsewhere(options: PlaceOptions) -> PlaceOptions:
    """A bucket of the same server that is not there."""
    option = "container" if isinstance(options, AzureOptions | SwiftOptions) else "bucket"
    changes: dict[str, Any] = {option: "glare-tests-other"}
    return replace(options, **changes)


def keys_in(options: PlaceOptions) -> list[str]:
    """The keys of the store's part of the bucket, without the prefix and the marker."""
    keys = [found.key.removeprefix(options.prefix) for found in bucket_of(options).listed(options.prefix.rstrip("/"))]
    return [key for key in keys if key != "glare-store"]


def whole_keys_in(options: PlaceOptions) -> list[str]:
    """The same without parts, which Swift keeps as keys below the key that they make."""
    return [key for key in keys_in(options) if not _PART.search(key)]


def uploads_in(options: PlaceOptions) -> list[str]:
    """The keys of multipart uploads that nobody has ended."""
    if isinstance(options, SwiftOptions):
        keys = keys_in(options)
        return sorted({_PART.sub("", key) for key in keys if _PART.search(key)} - set(keys))
    if isinstance(options, AzureOptions):
        return uncommitted(options)
    if isinstance(options, GCSOptions):
        # What its own words do not say.
        assert options.endpoint is not None
        options = in_bucket(options.bucket, options.endpoint, prefix=options.prefix)
    return [upload.key for upload in bucket_of(options).uploads.under(options.prefix.rstrip("/"))]


def put(store: Store, name: str, data: bytes, *, announced: bool = True) -> None:
    with store.create(name, len(data) if announced else None) as writer:
        for start in range(0, len(data), MIB):
            writer.write(data[start : start + MIB])
        writer.commit()


def got(store: Store, name: str, offset: int = 0, length: int | None = None) -> bytes:
    with store.open(name, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(MIB), b""))
