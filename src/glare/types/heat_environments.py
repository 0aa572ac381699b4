"""Environments of Heat."""

from __future__ import annotations

from glare.types import ArtifactType, Blob


class HeatEnvironment(ArtifactType):
    name = "heat_environments"
    display_name = "Heat Environments"

    environment = Blob("The environment file.")
