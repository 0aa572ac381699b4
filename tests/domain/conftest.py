"""Compiled types that the tests of the domain share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from glare.digest import Digests
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Blob, BlobStatus, Managed, Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_all, compile_type
from support.sample_types import SampleArtifact

ArtifactMaker = Callable[..., Artifact]
BlobMaker = Callable[..., Blob]


@pytest.fixture(scope="session")
def sample() -> TypeSpec:
    """The contract's sample type."""
    return compile_type(SampleArtifact)


@pytest.fixture(scope="session")
def everything() -> TypeSpec:
    """The read-only type `all`."""
    return compile_all()


@pytest.fixture(scope="session")
def make_artifact() -> ArtifactMaker:
    """Builds an artifact of the sample type; what is given replaces what it would have."""
    plain = Artifact(
        id="3d5f9ba0-6b5c-4b0c-9f4e-1f2f3a4b5c6d",
        type_name="sample_artifact",
        name="thing",
        version="1.0.0",
        owner="project",
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=1_700_000_000_000_000,
        updated_at=1_700_000_001_500_000,
        activated_at=None,
        values={},
        blobs={},
        revision=1,
    )

    def make(**given: Any) -> Artifact:
        return replace(plain, **given)

    return make


@pytest.fixture(scope="session")
def make_blob() -> BlobMaker:
    """Builds an active blob in a store; what is given replaces what it would have."""
    plain = Blob(
        slot=Slot("blob"),
        status=BlobStatus.ACTIVE,
        content_type="application/octet-stream",
        size=3,
        digests=Digests("0" * 32, "1" * 40, "2" * 64),
        location=Managed("default", "secret-object-name"),
    )

    def make(slot: Slot, **given: Any) -> Blob:
        return replace(plain, slot=slot, **given)

    return make
