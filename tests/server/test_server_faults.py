"""A real server that is killed at a step of a request, or whose store hangs there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2

from support.conversation import eventually
from support.origins.origin import Origin
from support.runs.faults import let_go, order
from support.runs.truth import disagreements
from support.server import Server
from support.service import Json, path_of

SETTINGS = """
[uploads]
attempt_heartbeat = 0.2
attempt_timeout = 1
store_timeout = 1
[scrubber]
wakeup_time = 1
[artifact_type:images]
delayed_delete = true
"""
PROGRAM = "support.runs.faults"


def killed(server: Server, step: str, request: Callable[[], object]) -> None:
    """Let the server be killed when it reaches the step, then start it again, and wait until it has cleared up."""
    order(server.directory, "kill", step)
    with suppress(httpx2.TransportError):
        request()
    server.ended()
    server.start()
    eventually(lambda: server.leftovers() == {}, patience=20)


def test_killed_within_requests(tmp_path: Path, origin: Origin) -> None:
    """Killed around the commit of each kind of request, it comes back with the old state or the new one, and with
    nothing else.
    """
    origin.put("/external", b"external" * 1000)
    text = f"allowed_ports = {origin.port}\n{SETTINGS}"
    with Server(tmp_path, text, PROGRAM) as server:
        alice = server.alice
        image = alice.create("images", name="image")
        sample = alice.create("sample_artifact", name="sample", string_required="x")
        killed(server, "attempts.publish: commit", lambda: alice.try_upload(image, "image", b"new"))
        assert alice.show(image)["image"] is None
        killed(server, "attempts.publish: committed", lambda: alice.try_locate(sample, "blob", origin.url("/external")))
        assert alice.show(sample)["blob"]["status"] == "active"
        path = f"{path_of(sample)}/blob"
        killed(server, "delete.delete_blob: commit", lambda: alice.request("DELETE", path))
        assert alice.download(sample, "blob").content == b"external" * 1000
        alice.upload(sample, "small_blob", b"goes")
        killed(server, "delete.remove: committed", lambda: alice.delete(sample))
        assert alice.get(sample).status_code == 404
        alice.upload(image, "image", b"scrubbed")
        # The request marks it, and the background work is killed while it removes it.
        killed(server, "delete.remove: commit", lambda: alice.delete(image))
        eventually(lambda: alice.get(image).status_code == 404)
        assert server.usage("wonderland") == (0, 0)
        directory = server.settings.glance_store.filesystem_store_datadir
        # The object goes a moment after its artifact.
        eventually(lambda: disagreements(server.services, directory) == [])


def test_an_upload_whose_store_hangs_is_undone(tmp_path: Path) -> None:
    """While the store hangs, the slot and the quota become free and somebody else stores there; what wakes up changes
    nothing.
    """
    with Server(tmp_path, SETTINGS, PROGRAM) as server, ThreadPoolExecutor(1) as pool:
        image: Json = server.alice.create("images", name="image")
        order(server.directory, "hang", "writer.commit: call")
        late = pool.submit(server.alice.try_upload, image, "image", b"late bytes")
        try:
            eventually(lambda: server.usage("wonderland") == (1, 10))
            eventually(lambda: server.usage("wonderland") == (1, 0))
            server.alice.upload(image, "image", b"other")
        finally:
            let_go(server.directory)
        assert late.result().status_code >= 400
        assert server.alice.download(image, "image").content == b"other"
        assert server.usage("wonderland") == (1, 5)
        assert server.leftovers() == {}
