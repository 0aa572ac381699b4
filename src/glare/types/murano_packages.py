"""Application packages of Murano."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, DictOf, Link, ListOf, String


class MuranoPackage(ArtifactType):
    name = "murano_packages"
    display_name = "Murano packages"

    package = Blob("The package, a ZIP archive.", max_size=104_857_600, required_on_activate=False)
    type = String("What the package holds.", allowed=("Application", "Library"), default="Application")
    answer_name = String("Name of the package, for people.", field_name="display_name", mutable=True)
    categories = ListOf("Categories that the package belongs to.", of=String(), mutable=True)
    class_definitions = ListOf("Classes that the package defines.", of=String(), unique=True)
    # Clients compare schemas, and these two never had a description.
    inherits = DictOf(of=String())
    keywords = ListOf(of=String(), mutable=True)
    dependencies = ListOf("Packages that the package needs.", of=Link(), required_on_activate=False)
