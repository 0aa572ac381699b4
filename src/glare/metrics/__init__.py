"""What the parts of the service report about their work. They know this interface, and not where the numbers go."""

from __future__ import annotations

from collections.abc import Mapping

Depths = Mapping[str, float | Mapping[tuple[str, ...], float]]
"""Gauges that were read a moment ago, by name: a number, or numbers by the values of labels."""


class Metrics:
    """Takes reports, and keeps none of them: what a service has whose metrics are off.

    Every method may be called by any thread. Values that become labels come from small fixed sets: never an id, a name
    that a client chose, or a host.
    """

    def request_ended(self, method: str, route: str, status: str, seconds: float, received: int, sent: int) -> None:
        """A request is over; `route` is the template of its path, `received` and `sent` are bytes of bodies."""

    def answered_at_once(self, method: str, route: str, status: str, count: int, sent: int) -> None:
        """So many requests were answered from their heads alone, `sent` bytes of bodies in all."""

    def transfer_began(self, kind: str) -> None:
        """A body is under way: ``upload``, ``location`` (a measurement) or ``download``."""

    def transfer_ended(self, kind: str) -> None:
        """The body is not under way any more, whatever the outcome."""

    def attempt_ended(self, outcome: str) -> None:
        """An attempt to fill a slot is over: ``published``, ``undone`` (it failed) or ``dead`` (its process went
        away).
        """

    def outbound_ended(self, outcome: str, seconds: float, size: int) -> None:
        """A request that this service sent is over: ``ok``, ``redirected``, ``refused``, ``failed`` or
        ``abandoned``.
        """

    def verified_download_failed(self) -> None:
        """An origin did not deliver the recorded bytes to a reader."""

    def stored_bytes_failed(self, store: str, reason: str) -> None:
        """An object was not what was recorded: ``differs`` or ``missing``; or could not be read: ``unreadable``."""

    def stored_blob_read(self, store: str, outcome: str) -> None:
        """The patrol has read a blob again: ``equal``, ``differs``, ``missing``, ``unreadable`` or ``repaired``."""

    def location_checked(self, kind: str, outcome: str) -> None:
        """A check of an external location is over: what kind it was, and what came of it."""

    def store_called(self, store: str, action: str, failed: str | None, size: int, seconds: float) -> None:
        """A call of a store is over; `failed` is the code of its error, None for success, `size` the bytes moved."""

    def store_now(self, store: str, under_way: int) -> None:
        """How many threads of this process are inside of a store at this moment."""

    def connections(self, in_use: int, limit: int) -> None:
        """So many database connections of this process are in use, and so many there may be: fewer than are configured
        where the server grants no more.
        """

    def delivery_ended(self, outcome: str) -> None:
        """A try to send a message to a subscriber is over: ``delivered``, ``retried`` (later again), ``failed`` or
        ``dropped``.
        """

    def refused(self, what: str, reason: str) -> None:
        """Work was turned away by a bound: of what (the name of the shares), and why (``party``, ``all``, ``time``
        …).
        """

    def shares_now(self, what: str, in_use: int, limit: int, waiting: int) -> None:
        """How much is in use of something that is shared out, how much there is of it, and how many wait for it, in
        this process at this moment.
        """

    def crew_now(self, work: str, quick: int, slow: int) -> None:
        """How many pieces of this background work are under way in this process, and how many of them only wait."""

    def names_now(self, quick: int, slow: int, waiting: int) -> None:
        """How many look-ups of names are under way in this process, how many of them for long, and how many wait."""

    def reads_now(self, parties: int, hosts: int, untold: int) -> None:
        """Whose fetched bytes this process counts: so many parties and hosts; `untold` bytes other nodes do not know
        of yet.
        """

    def work_put_off(self, work: str) -> None:
        """Background work of this kind ended with an error that is no outcome of it, and is to be tried again later."""

    def refusals_dropped(self, count: int) -> None:
        """So many refusals were beyond what the audit log takes."""

    def client_connected(self) -> None:
        """A client has connected."""

    def client_gone(self) -> None:
        """The connection is over, whoever ended it."""

    def client_refused(self, reason: str, count: int) -> None:
        """So many connections were over a bound, ``address`` or ``total``, or their client had ``left`` again."""

    def client_cut_off(self, reason: str) -> None:
        """The server has ended a connection: `glare.server.tally` has the reasons."""

    def render(self, depths: Depths) -> bytes | None:
        """All numbers in the text format of Prometheus, with gauges read at this moment; None where none are kept."""
        return None
