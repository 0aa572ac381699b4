"""Containers of Azure Blob Storage."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from obstore.store import AzureStore

from glare.errors import Unavailable
from glare.stores.objects.bucket import Bucket, Clients
from glare.stores.objects.connection import Connection
from glare.stores.objects.driver import ObjectStoreDriver
from glare.stores.objects.options import AzureOptions
from glare.stores.objects.remote import NoUploads, Upload
from glare.stores.objects.survey import Survey


def survey(options: AzureOptions, name: str) -> Survey:
    """What `Connection.survey` says. Raises `Unavailable` for credentials that are none."""
    return AzureConnection(options, name).survey()


def make_driver(options: AzureOptions, name: str, recorded: Callable[[], str | None]) -> ObjectStoreDriver:
    """The driver for these. Raises `Unavailable` for credentials that are none, and certificates that are not there."""
    return AzureConnection(options, name).driver(recorded)


class AzureConnection(Connection):
    """How clients of a container are made."""

    writer_field: ClassVar[str] = "glarewriter"  # Names of metadata are identifiers there: no dash.

    def __init__(self, options: AzureOptions, store: str) -> None:
        super().__init__(options, store, f"container {options.container!r}")
        self._options = options
        self._who = _credentials(options, store)

    def make(self, http: Mapping[str, Any], retries: Mapping[str, Any]) -> AzureStore:
        options = self._options
        words: dict[str, Any] = {"account_name": options.account, "client_options": http, "retry_config": retries}
        if options.endpoint is not None:
            words["endpoint"] = options.endpoint
        return AzureStore(options.container, **words, **self._who)

    def uploads(self) -> AzureUploads:
        client = self.client(self.quick)
        return AzureUploads(Bucket(self.store, Clients(client, client, client), NoUploads()))


class AzureUploads:
    """Blocks that were sent and never made a blob, which the service keeps for a week.

    obstore neither lists nor removes them. Whose key they belong to is known all the same: that of the segment after
    those that are whole. A blob that is made at that key takes their place, and can be removed.
    """

    aborted = False

    def __init__(self, container: Bucket) -> None:
        self._container = container

    def under(self, folder: str) -> Iterator[Upload]:
        whole = sum(1 for _ in self._container.listed(folder))
        yield Upload(f"{folder}/{whole:06d}", "", 0.0)

    def abort(self, upload: Upload) -> None:
        self._container.note(upload.key)
        self._container.remove([upload.key])


def _credentials(options: AzureOptions, store: str) -> dict[str, Any]:
    """Words for `AzureStore`: none where obstore is to look by itself. They are a provider, since what is given as text
    can be read back from the store that obstore makes.
    """
    key, token = options.account_key, options.sas_token
    if key is not None:
        try:
            base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise Unavailable(
                f"The account_key of store {store!r} is no key of a storage account, which is in Base64; correct it."
            ) from None
        return {"credential_provider": lambda: {"access_key": key, "expires_at": None}}
    if token is not None:
        return {"credential_provider": lambda: {"sas_token": token.removeprefix("?"), "expires_at": None}}
    return {}
