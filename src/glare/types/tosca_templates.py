"""Templates of TOSCA."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, String


class ToscaTemplate(ArtifactType):
    name = "tosca_templates"
    display_name = "TOSCA Templates"

    template = Blob("The template itself.", formats=("template_format",))
    template_format = String("Format of the template.")
