"""Services become the ASGI application of a server process."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from glare.app.identity_sources import SOURCES
from glare.app.services import SAMPLE_SECONDS, build_services, close, tell_levels
from glare.app.worker import Worker
from glare.http.boundary import Boundary
from glare.http.call import Application, HttpSettings
from glare.http.description.document import described
from glare.http.door import Door, Ready
from glare.http.drain import Drain
from glare.http.lanes import Lanes, LaneSettings
from glare.http.parties import Parties
from glare.http.probes import Probe
from glare.http.routes import API, AT_ONCE, PUBLIC
from glare.http.streams import Patience
from glare.http.transfers import Transfers
from glare.identity.base import Identity
from glare.identity.pipeline import Pipeline
from glare.metrics import Metrics
from glare.operations.refusals import Refusals
from glare.operations.services import Services
from glare.operations.upkeep.depths import depths
from glare.operations.upkeep.health import readiness
from glare.settings import Settings
from glare.shares import Bounds, Shares

_SWITCH_SECONDS: Final = 0.001  # What a thread that computes may keep the event loop waiting (decision 0135).


def create_application(
    settings: Settings,
    *,
    with_worker: bool,
    services: Services | None = None,
    drain: Drain | None = None,
    identity: Identity | None = None,
) -> ASGIApp:
    """The ASGI application. With `with_worker` it does the background work too, from lifespan start to shutdown.

    `drain` is for the caller that ends the process by it; `identity` is instead of the one that the settings name.
    """
    services = services or build_services(settings)
    application = Application(
        services=services,
        identity=identity
        or Pipeline(
            [SOURCES[name](settings, services) for name in settings.pipeline],
            allow_anonymous=settings.anonymous.allow_anonymous_access,
            at_most=threads_of_one_source(settings),
        ),
        parties=Parties(settings.server.trusted_proxies),
        refusals=Refusals(services, settings.audit.refusals_per_minute),
        lanes=Lanes.of(
            LaneSettings(
                threads=(settings.api.request_threads, settings.api.request_threads_per_project),
                list_threads=(settings.api.list_threads, settings.api.list_threads_per_project),
                identity_threads=(settings.identity.threads, settings.identity.threads_per_network),
                waiting=(settings.api.max_waiting, settings.api.max_waiting_per_project),
                answer_bytes=(settings.api.max_answer_memory, settings.api.max_answer_memory_per_project),
                body_bytes=(settings.api.max_body_memory, settings.api.max_body_memory_per_project),
                patience=settings.api.max_wait,
            ),
            services.metrics.refused,
        ),
        streams=ThreadPoolExecutor(settings.uploads.max_concurrent, "stream"),
        transfers=_transfers(settings, services.metrics, "transfers", settings.uploads.max_concurrent),
        at_stores={
            name: _transfers(settings, services.metrics, f"transfers-{name}", places)
            for name, places in settings.places_at_stores.items()
        },
        settings=HttpSettings(
            max_document=settings.api.max_body_size,
            patience=Patience(settings.uploads.stall_timeout, settings.uploads.minimum_throughput),
            document_patience=Patience(settings.api.body_timeout, settings.uploads.minimum_throughput),
            debug=settings.server.debug,
            cdn_loop_id=settings.locations.cdn_loop_id,
            metrics_peers=settings.metrics.allowed_peers,
            public_endpoint=settings.server.public_endpoint,
        ),
        description=described(services.types, (*PUBLIC, *API)),
        drain=drain or Drain(settings.server.shutdown_timeout),
        readiness=Probe(partial(readiness, services), settings.api.probe_age),
        numbers=Probe(lambda: services.metrics.render(depths(services)), settings.api.probe_age),
    )
    worker = Worker(settings, services) if with_worker else None
    door = Door(application, AT_ONCE, cross_origin=bool(settings.cors.allowed_origin))
    return _Lifespan(_with_cors(settings, Boundary(application, door, PUBLIC, API)), application, door, worker)


def threads_of_one_source(settings: Settings) -> int | None:
    """A quarter of the threads is left to the other sources, where there are others."""
    threads = settings.identity.threads
    return max(1, threads - max(1, threads // 4)) if len(settings.pipeline) > 1 else None


def _transfers(settings: Settings, metrics: Metrics, name: str, places: int) -> Transfers:
    uploads = settings.uploads
    bounds = Bounds(
        places,
        min(uploads.max_concurrent_per_project, places),
        uploads.max_waiting,
        uploads.max_waiting_per_project,
        settings.api.max_wait,
    )
    shares = Shares(name, bounds, what="uploads and downloads", refused=metrics.refused)
    return Transfers(shares, uploads.contended_throughput, uploads.contended_grace)


def _with_cors(settings: Settings, app: ASGIApp) -> ASGIApp:
    """Cross-origin headers, where an operator has named origins. The methods and headers are those of the API."""
    if not settings.cors.allowed_origin:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors.allowed_origin,
        allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=_REQUEST_HEADERS,
        allow_credentials=settings.cors.allow_credentials,
        expose_headers=_ANSWER_HEADERS,
        max_age=int(settings.cors.max_age),
    )


_REQUEST_HEADERS: Final = (
    *(
        "X-Auth-Token",
        "Authorization",
        "X-Glare-Project",
        "OpenStack-API-Version",
        "X-OpenStack-Request-ID",
        "Content-Type",
        "Content-MD5",
        "Repr-Digest",
    ),
    *("Content-Digest", "If-Match", "If-None-Match", "If-Range", "Range", "Prefer"),
    *("Digest", "X-Checksum-Sha256", "X-Checksum-Sha1", "X-Checksum-Md5", "traceparent", "tracestate"),
)


_ANSWER_HEADERS: Final = (
    *("ETag", "OpenStack-API-Version", "X-OpenStack-Request-ID", "X-Glare-Error-Code", "Content-MD5", "Repr-Digest"),
    *("Content-Digest", "Content-Range", "Accept-Ranges", "Content-Disposition"),
    *("Location", "Preference-Applied"),
    *("X-OpenStack-Glare-Content-SHA1", "X-OpenStack-Glare-Content-SHA256"),
)


class _Lifespan:
    """Starts and ends what lives as long as the process, around the application."""

    def __init__(self, app: ASGIApp, application: Application, door: Door, worker: Worker | None) -> None:
        self._app = app
        self._door = door
        self._application = application
        self._worker = worker

    def at_once(self, scope: dict[str, Any]) -> Ready | None:
        """Of the server's own protocol, beside ASGI: see `glare.server.connection.AtOnce`."""
        return self._door.at_once(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            self._application.refusals.start()
            if self._worker is not None:
                self._worker.start()
            sys.setswitchinterval(_SWITCH_SECONDS)
            sampling = asyncio.ensure_future(self._sample())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            sampling.cancel()
            if self._worker is not None:
                self._worker.stop()
            self._application.refusals.stop()
            self._application.lanes.close()
            self._application.streams.shutdown(wait=False, cancel_futures=True)
            close(self._application.services)
            await send({"type": "lifespan.shutdown.complete"})

    async def _sample(self) -> None:
        """Tell how much is in use: a moment of each second will do, and costs requests nothing."""
        application = self._application
        while True:
            transfers = (application.transfers, *application.at_stores.values())
            for shares in (*application.lanes.shares, *(each.shares for each in transfers)):
                application.services.metrics.shares_now(
                    shares.name, shares.in_use, shares.bounds.together, shares.waiting
                )
            tell_levels(application.services)
            self._door.tell()
            await asyncio.sleep(SAMPLE_SECONDS)
