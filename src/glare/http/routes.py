"""Every path of the service, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Route

from glare.http.api import (
    artifacts,
    audit,
    blobs,
    links,
    locations,
    members,
    metrics,
    publishers,
    quotas,
    schemas,
    service,
    subscriptions,
    takedowns,
    tokens,
)
from glare.http.call import Endpoint
from glare.http.description import document as description
from glare.http.description import pages
from glare.http.door import Probe

PUBLIC: Sequence[BaseRoute] = (
    Route("/", Endpoint.of_any_method(pages.root)),
    Route("/versions", Endpoint.of_any_method(service.versions)),
    Route("/healthcheck", Endpoint(GET=service.healthcheck)),
    Route("/healthz", Endpoint(GET=service.healthz)),
    Route("/readyz", Endpoint(GET=service.ready)),
    Route("/metrics", Endpoint(GET=metrics.show)),
    Route("/openapi.json", Endpoint(GET=description.openapi)),
    Route("/docs", Endpoint(GET=pages.docs)),
    Route("/docs/{file}", Endpoint(GET=pages.asset)),
    Route("/docs/guides/{folder}/{name}", Endpoint(GET=pages.guide)),
    Route("/links/{token}/{file_name:path}", Endpoint(GET=links.read)),
)
"""No credentials, no microversion."""

AT_ONCE: Mapping[bytes, Probe] = {
    b"/healthcheck": service.healthy,
    b"/healthz": service.healthy,
    b"/readyz": service.readiness_at_hand,
    b"/metrics": metrics.at_hand,
}
"""What of it is answered by the `Door`."""

API: Sequence[BaseRoute] = (
    Route("/schemas", Endpoint(GET=schemas.list_schemas)),
    Route("/schemas/{type_name}", Endpoint(GET=schemas.show_schema)),
    Route("/artifacts/{type_name}", Endpoint(GET=artifacts.list_page, POST=artifacts.create)),
    Route(
        "/artifacts/{type_name}/{id}",
        Endpoint.of_tagged(GET=artifacts.show, PATCH=artifacts.update, DELETE=artifacts.delete),
    ),
    Route(
        "/artifacts/{type_name}/{id}/{blob_path:path}",
        Endpoint.of_tagged(GET=blobs.get, PUT=blobs.put, DELETE=blobs.delete),
    ),
    Route("/members/{artifact_id}", Endpoint(GET=members.list_page, POST=members.add)),
    Route(
        "/members/{artifact_id}/{project}",
        Endpoint(GET=members.show, PUT=members.decide, DELETE=members.remove),
    ),
    Route("/quotas", Endpoint(PUT=quotas.put, GET=quotas.get_all)),
    Route("/project-quotas", Endpoint(GET=quotas.get_own)),
    Route("/project-quotas/{project}", Endpoint(GET=quotas.get_of_project)),
    Route("/locations", Endpoint(GET=locations.list_page)),
    Route("/locations/{location_id}", Endpoint(GET=locations.show)),
    Route("/locations/{location_id}/checks", Endpoint(GET=locations.list_checks, POST=locations.check)),
    Route("/locations/{location_id}/promotion", Endpoint(GET=locations.show_promotion, POST=locations.promote)),
    Route("/links", Endpoint(GET=links.list_page, POST=links.create)),
    Route("/links/revocation", Endpoint(POST=links.revoke_all)),
    Route("/links/{link}", Endpoint(GET=links.show, DELETE=links.delete)),
    Route("/takedowns", Endpoint(GET=takedowns.list_page, POST=takedowns.create)),
    Route("/takedowns/{takedown_id}", Endpoint(GET=takedowns.show, DELETE=takedowns.delete)),
    Route("/publishers", Endpoint(GET=publishers.list_page, POST=publishers.create)),
    Route("/publishers/{publisher}", Endpoint(GET=publishers.show, DELETE=publishers.delete)),
    Route("/audit", Endpoint(GET=audit.list_page)),
    Route("/tokens", Endpoint(GET=tokens.list_page, POST=tokens.create)),
    Route("/tokens/revocation", Endpoint(POST=tokens.revoke_of_user)),
    Route("/tokens/{token}", Endpoint(GET=tokens.show, DELETE=tokens.delete)),
    Route("/subscriptions", Endpoint(GET=subscriptions.list_page, POST=subscriptions.create)),
    Route(
        "/subscriptions/{subscription}",
        Endpoint(GET=subscriptions.show, PATCH=subscriptions.update, DELETE=subscriptions.delete),
    ),
    Route("/subscriptions/{subscription}/secret", Endpoint(POST=subscriptions.replace_secret)),
    Route("/subscriptions/{subscription}/confirmation", Endpoint(POST=subscriptions.confirm)),
    Route("/subscriptions/{subscription}/deliveries", Endpoint(GET=subscriptions.list_deliveries)),
    Route("/subscriptions/{subscription}/deliveries/{delivery}", Endpoint(GET=subscriptions.show_delivery)),
    Route("/subscriptions/{subscription}/deliveries/{delivery}/redelivery", Endpoint(POST=subscriptions.redeliver)),
)
"""Credentials and microversions. The order of methods is that of ``Allow``."""
