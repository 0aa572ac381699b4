"""Buckets of Google Cloud Storage, by its XML API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from obstore.store import GCSStore

from glare.errors import Unavailable
from glare.stores.objects.connection import Connection
from glare.stores.objects.driver import ObjectStoreDriver
from glare.stores.objects.options import GCSOptions
from glare.stores.objects.remote import NoUploads
from glare.stores.objects.survey import Survey


def survey(options: GCSOptions, name: str) -> Survey:
    """What `Connection.survey` says. Raises `Unavailable` for a file of credentials that is not there."""
    return GCSConnection(options, name).survey()


def make_driver(options: GCSOptions, name: str, recorded: Callable[[], str | None]) -> ObjectStoreDriver:
    """The driver for these. Raises `Unavailable` for credentials and certificates that are named and not there."""
    return GCSConnection(options, name).driver(recorded)


class GCSConnection(Connection):
    """How clients of a bucket are made."""

    def __init__(self, options: GCSOptions, store: str) -> None:
        super().__init__(options, store, f"bucket {options.bucket!r}")
        self._options = options
        if options.credentials_file is not None:
            try:
                options.credentials_file.read_bytes()
            except OSError as error:
                raise Unavailable(
                    f"The credentials_file {str(options.credentials_file)!r} of store {store!r} cannot be read "
                    f"({error.strerror}); name the JSON file of a service account."
                ) from None

    def make(self, http: Mapping[str, Any], retries: Mapping[str, Any]) -> GCSStore:
        options = self._options
        words: dict[str, Any] = {"client_options": http, "retry_config": retries}
        if options.endpoint is not None:
            words["base_url"] = options.endpoint
        if options.credentials_file is not None:
            words["application_credentials"] = str(options.credentials_file)
        return GCSStore(options.bucket, **words)

    def uploads(self) -> NoUploads:
        # obstore can neither list them nor end one by its id: a rule of the bucket does.
        return NoUploads()
