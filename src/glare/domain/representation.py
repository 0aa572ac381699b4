"""Artifacts as clients see them: one flat object with every field of the type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec.structs import asdict

from glare.documents import blobs as blob_documents
from glare.documents import locations as documents
from glare.domain import moment
from glare.domain.artifact import Artifact
from glare.domain.blob import AsSent, Blob, BlobStatus, External
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.microversion import Microversion
from glare.domain.verification import visible_reason
from glare.domain.visibility import shown_visibility
from glare.domain.wording import visible_url


def represent(spec: TypeSpec, artifact: Artifact, *, microversion: Microversion, full_urls: bool) -> dict[str, Any]:
    """The artifact as `spec`'s type shows it, with the keys that its `format` hook adds.

    Without `full_urls` a confidential external location shows scheme and host only. The containers in it are the
    artifact's own and are not to be changed in place.
    """
    document = _fields(spec, microversion, artifact, full_urls=full_urls)
    return _formatted(spec, artifact, document, full_urls=full_urls)


def represent_for_all(
    all_spec: TypeSpec, spec: TypeSpec, artifact: Artifact, *, microversion: Microversion, full_urls: bool
) -> dict[str, Any]:
    """The artifact as the type ``all`` shows it: base fields, its type's name, and what its own type's `format` hook
    adds.
    """
    document = _fields(all_spec, microversion, artifact, full_urls=full_urls)
    document["type_name"] = artifact.type_name
    document["display_type_name"] = spec.display_name
    return _formatted(spec, artifact, document, full_urls=full_urls)


def represent_blob(artifact: Artifact, blob: Blob, *, full_urls: bool) -> blob_documents.Blob:
    """The eight members that clients see of a blob."""
    saving = blob.status is BlobStatus.SAVING
    digests = None if saving else blob.digests or blob.claimed
    return blob_documents.Blob(
        url=_url(artifact, blob, full_urls=full_urls),
        status=blob.status,
        external=blob.external,
        md5=digests.md5 if digests else None,
        sha1=digests.sha1 if digests else None,
        sha256=digests.sha256 if digests else None,
        size=blob.attempt.reserved if saving and blob.attempt else blob.size,
        content_type=blob.content_type,
    )


def represent_location(
    artifact: Artifact, blob: Blob, *, full_url: bool, to_operator: bool, stale_before: int | None = None
) -> documents.RecordedLocation:
    """An external location as the API and events show it. A proof before `stale_before` (microseconds) is called stale.

    Without `full_url` a confidential one shows scheme and host only; what would tell about networks is for operators.
    """
    location, digests = blob.location, blob.digests or blob.claimed
    if not isinstance(location, External):
        raise AssertionError("only an external blob is shown so")  # noqa: TRY004 - a defect of ours, no argument's type
    old = stale_before is not None and location.proven_at is not None and location.proven_at < stale_before
    return documents.RecordedLocation(
        id=location.id,
        status="active",
        artifact=artifact.id,
        artifact_type=artifact.type_name,
        project=artifact.owner,
        blob=blob.slot.path,
        url=_url(artifact, blob, full_urls=full_url),
        confidential=location.confidential,
        state=location.state,
        reason=visible_reason(location.reason, to_operator=to_operator),
        stale=old,
        size=blob.size,
        md5=digests.md5 if digests else None,
        sha1=digests.sha1 if digests else None,
        sha256=digests.sha256 if digests else None,
        content_type=blob.content_type,
        as_sent=_as_sent(location.as_sent),
        proven_at=_moment(location.proven_at),
        seen_at=_moment(location.seen_at),
        failures=location.failures,
        next_check_at=_moment(location.check_at or None),
    )


def _as_sent(sent: AsSent | None) -> documents.AsSent | None:
    if sent is None:
        return None
    return documents.AsSent(
        content_encoding=sent.coding,
        ends_with_connection=sent.unframed,
        transformed=sent.transformed,
    )


def _moment(micros: int | None) -> str | None:
    return None if micros is None else moment.text(micros)


def _fields(spec: TypeSpec, microversion: Microversion, artifact: Artifact, *, full_urls: bool) -> dict[str, Any]:
    face = spec.face(microversion)
    document = dict(face.blank)
    for name, default in face.fresh.items():
        document[name] = default.copy()
    for name, value in artifact.values.items():
        # A field that the type no longer declares, or that this microversion does not know, is not shown.
        if name in document and (value is not None or face.fields[name].keeps_null):
            document[name] = value
    document["id"] = artifact.id
    document["name"] = artifact.name
    document["owner"] = artifact.owner
    document["status"] = artifact.status.value
    document["created_at"] = moment.text(artifact.created_at)
    document["updated_at"] = moment.text(artifact.updated_at)
    document["activated_at"] = None if artifact.activated_at is None else moment.text(artifact.activated_at)
    document["visibility"] = shown_visibility(artifact.visibility, microversion).value
    document["version"] = artifact.version
    document["display_type_name"] = spec.display_name
    for slot, blob in artifact.blobs.items():
        if slot.field not in document:
            continue
        if slot.key is None:
            document[slot.field] = asdict(represent_blob(artifact, blob, full_urls=full_urls))
        else:
            document[slot.field][slot.key] = asdict(represent_blob(artifact, blob, full_urls=full_urls))
    return document


def _formatted(spec: TypeSpec, artifact: Artifact, document: dict[str, Any], *, full_urls: bool) -> dict[str, Any]:
    if not spec.hooks.format:
        return document
    # What the hook adds is shown to the same reader, so it sees of a URL what the reader may.
    seen = artifact if full_urls else _without_secrets(artifact)
    return {**spec.artifact_type.format(spec.view(seen), document), **document}


def _without_secrets(artifact: Artifact) -> Artifact:
    """The artifact with scheme and host only of confidential URLs; itself where it has none."""
    blobs = {slot: _without_secret(blob) for slot, blob in artifact.blobs.items()}
    return (
        artifact
        if all(blobs[slot] is blob for slot, blob in artifact.blobs.items())
        else replace(artifact, blobs=blobs)
    )


def _without_secret(blob: Blob) -> Blob:
    location, source = blob.location, blob.source
    if isinstance(location, External) and location.confidential:
        blob = replace(blob, location=replace(location, url=visible_url(location.url, confidential=True, full=False)))
    if source is not None and source.confidential:
        blob = replace(blob, source=replace(source, url=visible_url(source.url, confidential=True, full=False)))
    return blob


def _url(artifact: Artifact, blob: Blob, *, full_urls: bool) -> str:
    location = blob.location
    if not isinstance(location, External):
        return f"/artifacts/{artifact.type_name}/{artifact.id}/{blob.slot.path}"
    return visible_url(location.url, confidential=location.confidential, full=full_urls)
