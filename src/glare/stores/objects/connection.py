"""How clients of a place in an object store are made, whichever store it is: time-outs, certificates, retries; and what
is made of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from obstore.exceptions import BaseError

from glare.errors import Unavailable
from glare.stores.objects.bucket import Bucket, Clients
from glare.stores.objects.driver import ObjectStoreDriver, Place
from glare.stores.objects.layout import Keys
from glare.stores.objects.options import PlaceOptions, Times
from glare.stores.objects.reader import Patience
from glare.stores.objects.remote import WRITER, Uploads
from glare.stores.objects.survey import Survey, survey_place

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_DAY: Final = timedelta(days=1)
_CONNECTIONS: Final = "64"
_PROBE_SECONDS: Final = 3.0
"""Seconds that a probe waits for the store: less than the five after which it is answered without it."""


class Connection(ABC):
    """How clients of one place are made; `words` name it for its operator. Raises `Unavailable` for certificates that
    are named and not there.
    """

    writer_field: ClassVar[str] = WRITER
    """The field of a key's metadata that says who made it."""

    def __init__(self, options: PlaceOptions, store: str, words: str) -> None:
        self.store = store
        self._place = options
        times, endpoint = options.times, options.endpoint
        self.words = f"{words}{f' at {endpoint}' if endpoint else ''}"
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
                    f"The ca_file {str(options.ca_file)!r} of store {store!r} cannot be read ({error.strerror}); name "
                    "a PEM file of certificates."
                ) from None
        self.quick = {**common, "timeout": timedelta(seconds=times.request)}
        # A stream lasts as long as its reader likes; only the silence of the store is bounded.
        self.streams = {**common, "timeout": _DAY, "read_timeout": timedelta(seconds=times.stall)}
        wait = timedelta(seconds=min(_PROBE_SECONDS, times.request))
        self.probes = {**common, "timeout": wait, "connect_timeout": min(wait, common["connect_timeout"])}

    @abstractmethod
    def make(self, http: Mapping[str, Any], retries: Mapping[str, Any]) -> ObjectStore:
        """A client with these options of obstore. Raises its `BaseError`, or `ValueError`."""

    @abstractmethod
    def uploads(self) -> Uploads:
        """The uploads that nobody has ended."""

    def client(self, http: Mapping[str, Any], *, hurried: bool = False) -> ObjectStore:
        """A client of the place, which repeats nothing where it is `hurried`."""
        return self.made(lambda: self.make(http, retries_of(self._place.times, hurried=hurried)))

    def made(self, make: Callable[[], ObjectStore]) -> ObjectStore:
        """What `make` makes. Raises `Unavailable`."""
        try:
            return make()
        except (BaseError, ValueError):
            # Its text may quote what it was given.
            raise Unavailable(
                f"A client for {self.words} cannot be made; check the endpoint, the credentials and the certificates "
                f"of store {self.store!r}."
            ) from None

    def driver(self, recorded: Callable[[], str | None]) -> ObjectStoreDriver:
        """The store's driver."""
        clients = Clients(
            self.client(self.quick),
            self.client(self.streams),
            self.client(self.probes, hurried=True),
            self.writer_field,
        )
        place = Place(Bucket(self.store, clients, self.uploads()), Keys(self._place.prefix), self.words)
        times = self._place.times
        patience = Patience(times.retries + 1, times.longest_pause)
        return ObjectStoreDriver(place, name=self.store, patience=patience, recorded=recorded)

    def survey(self) -> Survey:
        """Ask the place, change nothing there: whether it can be reached, with these credentials."""
        probes = self.client(self.probes, hurried=True)
        bucket = Bucket(self.store, Clients(probes, probes, probes, self.writer_field), self.uploads())
        return survey_place(self._place, bucket)


def retries_of(times: Times, *, hurried: bool) -> dict[str, Any]:
    """What obstore does with a request that fails."""
    return {
        "max_retries": 0 if hurried else times.retries,
        "retry_timeout": timedelta(seconds=times.retry_time),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=times.longest_pause)},
    }
