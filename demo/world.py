"""Everything that the steps of the demonstration share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callers import Caller
from narrator import Narrator
from origin import Origin
from sample import Sample
from service import Service

STORED = "demo-stored"
EXTERNAL = "demo-external"
MIB = 1024 * 1024


@dataclass(slots=True)
class World:
    """A running service and web server, the real file and its copy on the web server, and who calls.

    `ids` has the identifier of each artifact by (name, version).
    """

    narrator: Narrator
    work: Path
    sample: Sample
    origin: Origin
    service: Service
    alice: Caller
    bob: Caller
    admin: Caller
    ids: dict[tuple[str, str], str]

    @property
    def copy(self) -> Path:
        """The file on the web server."""
        return self.origin.files / self.sample.path.name

    @property
    def url(self) -> str:
        """Its address."""
        return self.origin.url(self.copy.name)

    def artifact(self, name: str, version: str = "1.0.0") -> str:
        """Path of an image."""
        return f"/artifacts/images/{self.ids[name, version]}"

    def blob(self, name: str, version: str = "1.0.0") -> str:
        """Path of an image's data."""
        return f"{self.artifact(name, version)}/image"

    def expect_measured(self, blob: dict[str, Any]) -> None:
        """Go on only if a blob's size and digests are those that the system's programs printed.

        Raises:
            Surprise: one of them differs.
        """
        for name, value in self.sample.described().items():
            source = "the file" if name == "size" else f"{name}sum"
            self.narrator.expect(f"{name} is that of {source}", blob.get(name), value)
