"""Members of answers keep their names and their order: clients of old have read them so."""

from __future__ import annotations

import msgspec
import pytest

from glare.documents import audit, blobs, errors, locations, quotas, service, subscriptions, takedowns
from glare.documents.parts import names_of

BLOB = "url status external md5 sha1 sha256 size content_type"
OF_JOB = "artifact artifact_type project blob url confidential"
OF_LOCATION = "state reason stale size md5 sha1 sha256 content_type as_sent proven_at seen_at failures next_check_at"
SUBSCRIPTION = (
    "id project description target events scope state reason created_at updated_at confirm_until old_secret_until "
    "delivered_at failing_since next_try_at"
)


@pytest.mark.parametrize(
    ("document", "members"),
    [
        (takedowns.Takedown, "id kind value reason created_at created_by"),
        (takedowns.TakedownPage, "takedowns first next"),
        (subscriptions.Subscription, SUBSCRIPTION),
        (subscriptions.SubscriptionWithSecret, f"{SUBSCRIPTION} secret"),
        (
            subscriptions.Delivery,
            "id event type subject time state reason status tries created_at tried_at finished_at",
        ),
        (
            audit.AuditEntry,
            "id time request_id user project roles source credential action outcome type_name artifact target detail",
        ),
        (audit.AuditPage, "audit first next"),
        (quotas.Quota, "quota_name quota_value"),
        (quotas.ProjectQuotas, "project_id project_quotas"),
        (quotas.AllQuotas, "quotas global_quotas"),
        (
            locations.RecordedLocation,
            f"id status {OF_JOB} {OF_LOCATION}",
        ),
        (locations.Recording, f"id status {OF_JOB} error tries asked_at finished_at"),
        (locations.Promotion, f"id {OF_JOB} promotion"),
        (locations.RecordedCheck, "kind outcome reason state first_at last_at checks bytes"),
        (blobs.Blob, BLOB),
        (blobs.Member, f"{BLOB} good copied_from location state reason proven_at seen_at stale"),
        (blobs.Folder, "field replicas size md5 sha1 sha256 good members"),
        (errors.VersionError, "code title explanation error min_version max_version"),
        (errors.ErrorDetail, "message type traceback"),
        (service.Version, "version status links media-type"),
        (service.Readiness, "ready problems limits"),
    ],
)
def test_members_are_in_their_order(document: type[msgspec.Struct], members: str) -> None:
    """The order of the declaration is the order on the wire, members of a base first."""
    assert " ".join(names_of(document)) == members


def test_what_is_absent_is_left_out_and_null_is_not() -> None:
    """A member that a document does not have is not there; one without a value is null."""
    encode = msgspec.json.encode
    assert encode(service.Readiness(ready=True)) == b'{"ready":true}'
    assert encode(takedowns.TakedownPage([], first="/takedowns")) == b'{"takedowns":[],"first":"/takedowns"}'
    assert encode(errors.ErrorDetail("wrong", "BadRequest")) == b'{"message":"wrong","type":"BadRequest"}'
    assert encode(subscriptions.Scope(artifact="x")) == b'{"artifact":"x"}'
    assert encode(blobs.Folder("blobs", replicas=False)) == b'{"field":"blobs","replicas":false,"members":{}}'
    blob = blobs.Blob("/x", blobs.BlobStatus.SAVING, False, None, None, None, None, None)
    assert encode(blob) == (
        b'{"url":"/x","status":"saving","external":false,"md5":null,"sha1":null,"sha256":null,"size":null,'
        b'"content_type":null}'
    )
