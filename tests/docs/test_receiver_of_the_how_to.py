"""The receiver in the how-to works, word for word."""

from __future__ import annotations

import re
import threading
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.service import running
from support.subscribers import state, subscribe, work

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "subscribe-to-events.md"


def test_receiver_of_the_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It confirms, prints each event once it has verified it, and refuses what another secret has signed."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    code = found[1].replace("8000", "0").replace("server.serve_forever()\n", "")
    assert len(code.splitlines()) <= 25
    monkeypatch.setenv("SECRET", "whsec_" + "A" * 44)
    names: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - the code under test is the page's own
    server: HTTPServer = names["server"]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        text = f"[subscriptions]\nallowed_schemes = http\nallowed_ports = {server.server_port}\n"
        with running(tmp_path, text) as glare:
            url = f"http://127.0.0.1:{server.server_port}/"
            made = subscribe(glare.alice, url, secret="whsec_" + "A" * 44)
            forged = subscribe(glare.bob, url, secret="whsec_" + "B" * 44)
            artifact = glare.alice.create("images", name="cirros")
            work(glare)
            assert (state(glare.alice, made), state(glare.bob, forged)) == ("active", "pending")
            glare.alice.set(artifact, description="new")
            work(glare)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    printed = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [line[1:] for line in printed] == [["artifact.update", f"/artifacts/images/{artifact['id']}"]]
