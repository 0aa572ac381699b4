"""Stores to which the operating system says no: the fault is the service's, and the answer says what its operator can
do.
"""

from __future__ import annotations

import errno
import os
from typing import Any
from unittest.mock import patch

import pytest

from glare.operations.upkeep.sweep import remove_due_objects
from support.service import Glare, Json

WRITING: dict[int, tuple[int, str, str]] = {
    errno.EROFS: (503, "StoreReadOnly", "writable again"),
    errno.EACCES: (503, "StoreFailed", "the right to read and write"),
    errno.EPERM: (503, "StoreFailed", "the right to read and write"),
    errno.ENOSPC: (507, "StoreFull", "made room"),
    errno.EDQUOT: (507, "StoreFull", "made room"),
    errno.EMFILE: (503, "StoreFailed", "limits of the process on open files"),
    errno.ESTALE: (503, "StoreFailed", "mounted its volume again"),
    errno.EIO: (500, "GlareException", "look at its disk"),
}
"""Status, code and a part of the remedy, by what the operating system says."""


def failing(glare: Glare, method: str, number: int) -> Any:
    """The file store, whose driver's `method` meets an error of the operating system."""
    driver = vars(glare.services.stores["file"])["_driver"]

    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number), "/srv/somewhere/else")

    return patch.object(driver, method, fail)


@pytest.mark.parametrize("number", WRITING, ids=errno.errorcode.__getitem__)
def test_an_upload_is_never_the_clients_fault(glare: Glare, number: int) -> None:
    """Whatever keeps a store from taking data, the answer is 5xx with a remedy for the operator, no path, and nothing
    is left.
    """
    status, code, remedy = WRITING[number]
    artifact = glare.alice.create("images", name="a")
    with failing(glare, "create", number):
        answer = glare.alice.try_upload(artifact, "image", b"data")
    assert (answer.status_code, answer.headers["X-Glare-Error-Code"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (status == 503)
    message = answer.json()["error"]["message"]
    assert remedy in message
    assert "/srv" not in answer.text
    assert glare.alice.show(artifact)["image"] is None
    glare.alice.upload(artifact, "image", b"data")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ESTALE], ids=errno.errorcode.__getitem__)
def test_a_download_is_never_the_clients_fault(glare: Glare, image: Json, number: int) -> None:
    """The same holds for reading, whole and in part."""
    for method, headers in (("path", {}), ("open", {"Range": "bytes=0-1"})):
        with failing(glare, method, number), failing(glare, "open", number):
            answer = glare.alice.download(image, "image", **headers)
        assert answer.status_code == WRITING[number][0]
        assert "/srv" not in answer.text
    assert glare.alice.download(image, "image").content == b"data"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES], ids=errno.errorcode.__getitem__)
def test_what_cannot_be_removed_is_removed_later(glare: Glare, image: Json, number: int) -> None:
    """The deletion of an artifact does not wait for a store that is read-only: its object goes when it can."""
    with failing(glare, "delete", number):
        assert glare.alice.delete(image).status_code == 204
    assert glare.leftovers()["doomed objects"] == 1
    with glare.services.db.write() as connection:
        connection.exec_driver_sql("UPDATE doomed_objects SET not_before = 0")
    remove_due_objects(glare.services)


@pytest.fixture
def image(glare: Glare) -> Json:
    """An image with four bytes."""
    return glare.alice.upload(glare.alice.create("images", name="b"), "image", b"data")
