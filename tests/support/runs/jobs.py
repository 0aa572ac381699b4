"""A service whose jobs are done when a test says so, by a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select, update

from glare.app import build_services, close
from glare.db.tables import jobs
from glare.egress.cancellation import Cancellation
from glare.operations.heartbeats import Heartbeats
from glare.operations.locations.jobs import do_next
from glare.operations.services import Services
from support.origins.egress import resolve
from support.origins.origin import Origin
from support.runs.verifying import Verifying
from support.service import LOCATION, Json, path_of, running

AS_ASYNC = {"Prefer": "respond-async"}


class Working(Verifying):
    """The service, an origin, the clock, and the worker's steps."""

    def image(self, name: str = "later") -> Json:
        """A drafted image without data."""
        return self.glare.alice.create("images", name=name, container_format="bare", disk_format="raw")

    def ask(self, image: Json, url: str, path: str = "image", **members: Any) -> httpx2.Response:
        """Ask for a recording that the answer does not wait for."""
        body = json.dumps({"url": url, **members}).encode()
        headers = {"Content-Type": LOCATION, **AS_ASYNC}
        return self.glare.alice.request("PUT", f"{path_of(image)}/{path}", content=body, headers=headers)

    def record_at(self, address: str) -> Json:
        """What its owner reads at an address."""
        answer = self.glare.alice.request("GET", address)
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document

    def do(self, services: Services | None = None) -> list[str]:
        """Do all jobs that are due, and return their projects in order."""
        done: list[str] = []
        while (
            project := do_next(services or self.glare.services, Cancellation(), done[-1] if done else "")
        ) is not None:
            done.append(project)
        return done

    def rows(self) -> list[tuple[str, str, int]]:
        """Kind, state and tries of all jobs."""
        with self.glare.services.db.read() as connection:
            found = connection.execute(select(jobs.c.kind, jobs.c.state, jobs.c.tries).order_by(jobs.c.created_at))
            return [(row.kind, row.state, row.tries) for row in found]

    def as_before(self, **members: Any) -> None:
        """Make of all jobs what the release before confidential queries has written, with these members of the
        payload.
        """
        with self.glare.services.db.write() as connection:
            for row in connection.execute(select(jobs.c.id, jobs.c.payload)).all():
                before = {name: value for name, value in json.loads(row.payload).items() if name != "wish"} | members
                payload = json.dumps(before).encode()
                connection.execute(update(jobs).where(jobs.c.id == row.id).values(payload=payload))

    @contextmanager
    def another_worker(self) -> Iterator[Services]:
        """The services of another process on the same database, which goes by the same clock."""
        services = build_services(self.glare.settings, resolve=resolve)
        object.__setattr__(services, "clock", lambda: self.clock.micros)
        try:
            yield services
        finally:
            close(services)

    def without_heartbeats(self) -> Services:
        """These services, as of a process that is paused between two steps: it shows no sign of life."""
        return replace(self.glare.services, heartbeats=_Silent())


class _Silent(Heartbeats):
    def __init__(self) -> None:
        super().__init__(lambda _: None, 1)

    @contextmanager
    def keep(self, attempt_id: str) -> Iterator[None]:
        yield


@contextmanager
def working(directory: Path, text: str = "", *, port: int | None = None) -> Iterator[Working]:
    """Start both; another origin may be reached at `port`. What is left behind fails the test."""
    with Origin() as origin, running(directory, text, ports=(port or 80, 443, origin.port)) as glare:
        yield Working(glare, origin)
        assert glare.leftovers() == {}
