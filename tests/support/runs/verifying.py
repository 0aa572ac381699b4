"""A service whose locations are checked when a test says so, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import select

from glare.db.tables import blobs, outbox
from glare.egress.cancellation import Cancellation
from glare.egress.race import begin_connect
from glare.operations.locations.verify import verify_next
from support.origins.egress import NAMES
from support.origins.origin import Origin
from support.runs.clock import Clock
from support.service import Glare, Json, running

V2 = {"OpenStack-API-Version": "artifact 1.2"}

HOUR = 3600.0
DAY = 24 * HOUR


class Verifying:
    """The service, an origin, the clock, and the worker's steps."""

    def __init__(self, glare: Glare, origin: Origin) -> None:
        self.glare = glare
        self.origin = origin
        self.clock = Clock(glare)
        self.luck(0.5)

    def luck(self, chance: float) -> None:
        """What chance says from now on: below `spot_percent` cheap checks read blocks."""
        object.__setattr__(self.glare.services, "chance", lambda: chance)

    def record(
        self, target: str, data: bytes, *, host: str | None = None, name: str = "recorded", project: str | None = None
    ) -> Json:
        """An active image whose bytes are at the origin; Alice's unless another `project` is named."""
        actor = self.glare.alice if project is None else self.glare.actor(f"someone:{project}:member")
        self.origin.put(target, data)
        image = actor.create("images", name=name, container_format="bare", disk_format="raw")
        actor.locate(image, "image", self.origin.url(target, host))
        return actor.activate(image)

    def scatter(self) -> None:
        """Have each host stand in a network of its own, as far as the service can tell: here they all share one
        machine.
        """
        egress = self.glare.services.egress
        hosts = sorted(NAMES)
        vars(egress.names)["_resolve"] = lambda host: [ip_address(f"127.1.{hosts.index(host)}.1")]
        vars(egress.connector)["_connect"] = lambda _, port: begin_connect("127.0.0.1", port)

    def location_of(self, image: Json, path: str = "image") -> Json:
        """The location of a blob, as its owner sees it."""
        page = self.glare.alice.request("GET", f"/locations?artifact={image['id']}").json()
        return next(found for found in page["locations"] if found["blob"] == path)

    def state(self, image: Json) -> str:
        return str(self.location_of(image)["state"])

    def history(self, image: Json) -> list[tuple[str, str, str | None, int]]:
        """What checks have found, the newest first: kind, outcome, reason, how many."""
        location = self.location_of(image)["id"]
        entries = self.glare.admin.request("GET", f"/locations/{location}/checks").json()["checks"]
        return [(entry["kind"], entry["outcome"], entry["reason"], entry["checks"]) for entry in entries]

    def work(self) -> int:
        """Do all checks that are due, and return how many."""
        count = 0
        while verify_next(self.glare.services, Cancellation()):
            count += 1
            self.clock.forward(1)  # Which is the time between two checks of one host.
        return count

    def later(self, seconds: float) -> int:
        """Let time go by, and do what is due then."""
        self.clock.forward(seconds)
        return self.work()

    def column(self, image: Json, name: str) -> object:
        """A column of the image's blob."""
        with self.glare.services.db.read() as connection:
            return connection.execute(
                select(blobs.c[name]).where(blobs.c.artifact_id == image["id"], blobs.c.field == "image")
            ).scalar_one()

    def events(self, image: Json) -> list[str]:
        """The types of the events about an artifact's locations, in order."""
        with self.glare.services.db.read() as connection:
            found = connection.execute(
                select(outbox.c.event_type).where(outbox.c.artifact_id == image["id"]).order_by(outbox.c.id)
            ).scalars()
            return [event for event in found if "location" in event and event != "set_location"]


@contextmanager
def verifying(directory: Path, text: str = "") -> Iterator[Verifying]:
    """Start both."""
    with Origin() as origin, running(directory, text, ports=(80, 443, origin.port)) as glare:
        yield Verifying(glare, origin)
        assert glare.leftovers() == {}
