"""Stores in buckets, and what is in these."""

from __future__ import annotations

from glare.stores.base import Store
from glare.stores.objects.bucket import Bucket
from glare.stores.objects.layout import MIB
from glare.stores.objects.options import S3Options

NAME = "0123456789abcdef0123456789abcdef"


def store_in(options: S3Options, recorded: str | None = None) -> Store:
    """A store over a bucket, initialised."""
    # Its library is an extra.
    from glare.stores.objects.s3 import make_driver

    store = Store(make_driver(options, "s3", lambda: recorded), remote=True)
    store.initialise()
    return store


def bucket_of(options: S3Options) -> Bucket:
    """The bucket below such a store."""
    from glare.stores.objects.s3 import make_driver

    return make_driver(options, "s3", lambda: None)._bucket


def keys_in(options: S3Options) -> list[str]:
    """The keys of the store's part of the bucket, without the prefix and the marker."""
    keys = [found.key.removeprefix(options.prefix) for found in bucket_of(options).listed(options.prefix.rstrip("/"))]
    return [key for key in keys if key != "glare-store"]


def uploads_in(options: S3Options) -> list[str]:
    """The keys of multipart uploads that nobody has ended."""
    return [upload.key for upload in bucket_of(options).uploads.under(options.prefix.rstrip("/"))]


def put(store: Store, name: str, data: bytes, *, announced: bool = True) -> None:
    with store.create(name, len(data) if announced else None) as writer:
        for start in range(0, len(data), MIB):
            writer.write(data[start : start + MIB])
        writer.commit()


def got(store: Store, name: str, offset: int = 0, length: int | None = None) -> bytes:
    with store.open(name, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(MIB), b""))
