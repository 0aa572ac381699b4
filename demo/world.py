"""Everything that the steps of the demonstration share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callers import Caller
from narrator import Narrator, Surprise
from origin import Origin
from sample import Sample, same_bytes
from service import Service

STORED = "demo-stored"
EXTERNAL = "demo-external"
MIB = 1024 * 1024


@dataclass(slots=True)
class World:
    """A running service and two web servers, the real file and its copy on the first, and who calls.

    `ids` has the identifier of each artifact by (name, version); what is started later in `env` is stopped by `stack`.
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
    mirror: Origin
    receiver_port: int
    env: Mapping[str, str]
    stack: ExitStack

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

    def same(self, saved: Path) -> None:
        """Go on only if a downloaded file has the bytes of the real one.

        Raises:
            Surprise: it differs.
        """
        self.narrator.command(f"cmp {saved.name} {self.sample.path}")
        if not same_bytes(saved, self.sample.path):
            size = saved.stat().st_size
            raise Surprise("the downloaded bytes are those of the file", "no difference", f"{size} bytes, different")
        self.narrator.expect_that("the same bytes", True, None)
