"""What can be said of a place in an object store before anything is done there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from glare.errors import GlareError
from glare.stores.objects.layout import Keys
from glare.stores.objects.options import PlaceOptions
from glare.stores.objects.remote import Broken, Missing, RemoteKeys


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found of a store's place before anything is done there, in sentences for its operator."""

    problems: Sequence[str]
    warnings: Sequence[str]


def survey_place(options: PlaceOptions, bucket: RemoteKeys) -> Survey:
    """Ask the place, change nothing there: whether it can be reached, with these credentials."""
    keys = Keys(options.prefix)
    try:
        with suppress(Missing):
            bucket.read(keys.marker)
        next(bucket.listed(keys.objects), None)
    except GlareError as error:
        return Survey([error.message], [])
    except Broken as error:
        return Survey([f"Store {bucket.store!r} does not deliver what it announces: {error}."], [])
    place = urlsplit(options.endpoint or "https://")
    warning = (
        f"The endpoint of store {bucket.store!r} is http, so that bytes go over the network for all to read; use https."
    )
    open_to_all = place.scheme == "http" and place.hostname not in ("127.0.0.1", "::1", "localhost")
    return Survey([], [warning] if open_to_all else [])
