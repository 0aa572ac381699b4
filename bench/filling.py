"""Many artifacts in a database before a service starts on it."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from sqlalchemy import insert

from glare.db.engine import Database
from glare.db.tables import quota_usage
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.compile import compile_type
from glare.types.images import Image
from support.catalogue import count_all, store

BATCH = 5000


def fill(path: Path, project: str, count: int) -> None:
    """Give `project` so many images, counted in its totals and quota."""
    spec = compile_type(Image)
    database = Database(f"sqlite:///{path}")
    with database.write() as connection:
        for first in range(0, count, BATCH):
            store(connection, spec, (_image(project, number) for number in range(first, min(count, first + BATCH))))
        count_all(connection)
        usage = [{"project": project, "type_name": name, "artifacts": count, "bytes": 0} for name in ("", spec.name)]
        connection.execute(insert(quota_usage), usage)
    database.dispose()


def _image(project: str, number: int) -> Artifact:
    created = 1_577_836_800_000_000 + number * 1_000_000
    return Artifact(
        id=str(uuid.uuid4()),
        type_name="images",
        name=f"image-{number}",
        version="1.0.0",
        owner=project,
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=created,
        updated_at=created,
        activated_at=None,
        values={"disk_format": "qcow2", "container_format": "bare", "tags": ["common"]},
        blobs={},
        revision=1,
    )
