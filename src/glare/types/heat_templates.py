"""Templates of Heat, with the templates and environments that belong to them."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, BlobDict, DictOf, Link, String


class HeatTemplate(ArtifactType):
    name = "heat_templates"
    display_name = "Heat Templates"

    environments = DictOf("Environments that the template can be used with, by name.", of=Link(), mutable=True)
    template = Blob("The template itself.")
    nested_templates = BlobDict("Templates that the template refers to, by the names it uses.")
    default_envs = DictOf("Default values for parameters of the template.", of=String(), mutable=True)
