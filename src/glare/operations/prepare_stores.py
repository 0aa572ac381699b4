"""Making stores ready at start, and refusing one that is not at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from glare.db import blobs as blob_rows
from glare.db.engine import Database
from glare.stores.base import Store

_SAMPLE: Final = 16
"""Objects that a store without a marker is asked for: one may be lost, so many hardly."""


def prepare_stores(db: Database, stores: Mapping[str, Store]) -> None:
    """Initialise stores that have never been used. Raises `Unavailable` where one has lost its place."""
    for name, store in stores.items():
        with db.read() as connection:
            known = blob_rows.objects_of(connection, name, _SAMPLE)
        store.initialise(known)
