"""Promotion by itself: while good origins remain, before the last one is lost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from glare.db import checks, jobs
from glare.db.checks import LocationQuery
from glare.db.jobs import JobKind
from glare.db.rows import fetch_artifact
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob, External, LocationState, Slot
from glare.domain.moment import SECOND
from glare.domain.origins.replica_origin import origins_of
from glare.errors import GlareError
from glare.operations import putting_off
from glare.operations.locations.promote import begin_by_policy
from glare.operations.rules import Promoting
from glare.operations.services import Services

_log = logging.getLogger(__name__)

_LOST: Final = (LocationState.CHANGED, LocationState.UNREACHABLE)


class PromotionRounds:
    """Goes through locations by their ids, some in each round: those that are lost, and all good ones where the policy
    wants it.
    """

    def __init__(self) -> None:
        self._after: dict[LocationState, str | None] = {}

    def look(self, services: Services) -> int:
        """One round; returns how many promotions it has begun."""
        wanted = set(services.rules.promotion.when.values())
        states = (
            *(_LOST if wanted != {Promoting.NEVER} else ()),
            *((LocationState.VERIFIED,) if Promoting.LAST_GOOD in wanted else ()),
        )
        return sum(self._look_at(services, state) for state in states)

    def _look_at(self, services: Services, state: LocationState) -> int:
        batch = services.rules.promotion.batch
        query = LocationQuery(batch, state=state, after=self._after.get(state))
        with services.db.read() as connection:
            found = checks.list_locations(connection, query)
        self._after[state] = (
            found[-1][0] if len(found) == batch else None
        )  # First, so that no error keeps a round in its place.
        return sum(_look_at(services, artifact_id) for artifact_id in dict.fromkeys(one for _, one in found))


def _look_at(services: Services, artifact_id: str) -> int:
    """As `_consider`, for an artifact that may be gone. One that cannot be looked at is left to the next round."""
    try:
        with services.db.look() as connection:
            artifact = fetch_artifact(connection, artifact_id)
        return 0 if artifact is None else _consider(services, artifact)
    except GlareError:
        raise  # The database does not answer.
    except Exception as error:  # noqa: BLE001 - the others have their turn
        putting_off.report(services, putting_off.PROMOTION, error, artifact=artifact_id)
        return 0


def _consider(services: Services, artifact: Artifact) -> int:
    """Promote the locations of an artifact that its type's policy wants promoted."""
    if artifact.status is not Status.ACTIVE or artifact.type_name not in services.types.names:
        return 0
    begun = 0
    for slot in _last_good_ones(artifact, services.rules.promotion.of(artifact.type_name)):
        location = artifact.blobs[slot].location
        if not isinstance(location, External) or _failed_lately(services, location.id):
            continue
        try:
            begin_by_policy(services, artifact, slot)
            begun += 1
        except GlareError as refused:
            _log.warning("a location cannot be promoted", extra={"location": location.id, "reason": refused.message})
    return begun


def _last_good_ones(artifact: Artifact, when: Promoting) -> Iterator[Slot]:
    """The external blobs that are the only good ones of their content, and that nobody works on."""
    if when is Promoting.NEVER:
        return
    contents: dict[tuple[str, str], list[Blob]] = {}
    for blob in artifact.blobs.values():
        if blob.digests is not None:
            contents.setdefault((blob.slot.field, blob.digests.sha256), []).append(blob)
    for blobs in contents.values():
        good = [blob for blob in blobs if blob.good]
        # One URL that was recorded in several spellings is lost as a whole.
        alone = len(origins_of(good)) == 1 and good[0].external and all(blob.attempt is None for blob in good)
        if alone and (when is Promoting.LAST_GOOD or len(blobs) > len(good)):
            yield good[0].slot


def _failed_lately(services: Services, location_id: str) -> bool:
    """Whether a promotion of it failed, or was cancelled, so lately that it is not tried again by itself."""
    with services.db.look() as connection:
        job = jobs.newest(connection, location_id, JobKind.PROMOTE)
    since = services.clock() - int(services.rules.promotion.retry * SECOND)
    return job is not None and job.finished_at is not None and job.finished_at >= since
