"""Nothing that opens a door is ever logged, however much is."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from sqlalchemy import text

from glare.cli.logs import JsonFormatter
from glare.identity.token_file import TokenFile
from support.origins.origin import Origin
from support.service import LOCATION, PATCH, Glare, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

SECRETS = ("hunter2", "s3cr3tsignature", "n0tmyt0ken")
"""A password and a signature in URLs, and a token that nobody knows."""

JSON = {"Content-Type": "application/json"}


def talk(glare: Glare, token: str, origin: Origin) -> list[int]:
    """Requests of all kinds, with secrets wherever clients put them. Returns what they were answered."""
    file = "/file?X-Amz-Signature=s3cr3tsignature"
    origin.put(file, b"data")
    signed = origin.url(file)
    missing = origin.url("/missing?X-Amz-Signature=s3cr3tsignature")
    with_password = signed.replace("http://", "http://user:hunter2@")
    actor = glare.actor(token)
    artifact = actor.create("sample_artifact", name="a", string_required="x")
    answers = [
        *(actor.try_locate(artifact, "blob", url, md5=None) for url in (signed, missing, with_password)),
        *(actor.try_locate(artifact, "small_blob", f"{signed}{end}", md5="0" * 32) for end in ("", "&x= y", "\n")),
        *(actor.try_create("sample_artifact", name="b", link1=url) for url in (signed, missing, with_password)),
        *(actor.set(artifact, link1=url) for url in (signed, missing, with_password, f"ftp://u:hunter2@{signed}")),
        actor.get(artifact),
        actor.download(artifact, "blob"),
        actor.request("GET", "/artifacts/sample_artifact"),
        glare.actor("n0tmyt0ken").get(artifact),
        glare.stranger.request("GET", "/schemas", headers={"Authorization": "Bearer n0tmyt0ken"}),
        actor.request("PATCH", "/artifacts/images/x", content=b'["hunter2', headers={"Content-Type": PATCH}),
        actor.request("PUT", "/artifacts/images/x/image", content=signed.encode(), headers={"Content-Type": LOCATION}),
        actor.request("POST", "/artifacts/images", json={"name": "c", "min_ram": with_password}),
        actor.request("POST", "/artifacts/hooks_artifact", json={"name": "d", "temp_dir": "/nonexistent/directory"}),
        actor.request("BREW", "/nowhere"),
    ]
    origin.put(file, b"changed")
    answers += [actor.download(artifact, "blob"), actor.delete(artifact)]
    return [answer.status_code for answer in answers]


def test_logs_hold_no_secrets(tmp_path: Path, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """Of requests that succeed, are refused and fail, no record holds a token, or a password or query of a URL."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token, _ = tokens.create("wonderland", "alice", ("member",))
    options = (
        f"[DEFAULT]\ndebug = true\n[identity]\npipeline = token_file\ntoken_file = {tokens.path}\n"
        "[oslo_messaging_notifications]\ndriver = log\n[outbox]\npoll_interval = 0.05\n"
    )
    with (
        caplog.at_level(logging.DEBUG),
        running(tmp_path, options, ports=(origin.port,), worker=True) as glare,
    ):
        statuses = talk(glare, token, origin)
    assert {200, 201, 204, 400, 401, 500, 501} <= set(statuses)
    formatter = JsonFormatter()
    # The client of this test logs what it asks for; its loggers are not the service's.
    logged = [formatter.format(record) for record in caplog.records if not record.name.startswith("httpx")]
    assert {json.loads(line)["level"] for line in logged} >= {"info", "warning", "error"}
    for secret in (*SECRETS, token, token.removeprefix("glare_")):
        leaks = [line for line in logged if secret in line]
        assert not leaks, leaks[0][:500]


def test_failing_database_tells_no_values(tmp_path: Path, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    """A statement that fails is logged without the values that it was to store."""
    origin.put("/file?X-Amz-Signature=s3cr3tsignature", b"data")
    link = origin.url("/file?X-Amz-Signature=s3cr3tsignature")
    with caplog.at_level(logging.DEBUG), running(tmp_path, ports=(origin.port,)) as glare:
        with glare.services.db.write() as connection:
            connection.execute(text("DROP TABLE artifact_values"))
        answer = glare.alice.try_create("sample_artifact", name="a", link1=link)
    assert answer.status_code == 500
    assert "artifact_values" in caplog.text
    assert "s3cr3tsignature" not in caplog.text
    assert "artifact_values" not in answer.text
