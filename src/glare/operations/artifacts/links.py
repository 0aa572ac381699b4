"""Checking links when they are written. A link whose target goes away later stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from glare.domain.actor import Actor
from glare.egress.asked import Asked
from glare.errors import ArtifactNotFound, Cause, GlareError, InvalidParameterValue, OriginBusy, OriginFailed
from glare.operations import access
from glare.operations.outbound import charged
from glare.operations.services import Services


def require_links(services: Services, actor: Actor, field: str, links: Iterable[str]) -> None:
    """Raises `InvalidParameterValue` where an artifact is missing or invisible to the caller, or a URL does not
    answer.
    """
    for link in links:
        if link.startswith("/artifacts/"):
            _require_artifact(services, actor, field, link)
        else:
            _require_answer(services, actor, field, link)


def _require_artifact(services: Services, actor: Actor, field: str, link: str) -> None:
    # The type in the path is not looked at: ids are unique anyway, and old clients write whatever they like there.
    artifact_id = link.rpartition("/")[2]
    try:
        access.find_artifact(services, actor, services.types.all, artifact_id)
    except ArtifactNotFound:
        raise InvalidParameterValue(
            f"Field '{field}' links to '{link[:200]}', but there is no such artifact that you may see; correct its id."
        ) from None


def _require_answer(services: Services, actor: Actor, field: str, link: str) -> None:
    with _named(field):
        url = services.egress.parse(link)
    with charged(services, actor.project or "", url.host), _named(field):
        services.egress.open(url, Asked(provable=True)).dismiss()


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Makes what is wrong with a URL a wrong value of `field`."""
    try:
        yield
    except OriginFailed as failed:
        what = f"Field '{field}' has a link that cannot be followed. {failed.message}"
        if failed.cause is Cause.THROTTLED:
            raise OriginBusy.of(failed, what) from failed
        raise InvalidParameterValue(what) from failed
    except GlareError as failed:
        raise InvalidParameterValue(f"Field '{field}' has a link that cannot be followed. {failed.message}") from failed
