"""A second service, whose callers log in at a real Keystone and find it in the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from programs import free_ports, run, succeed
from service import Installation
from world import World

from client_environment import CLIENT
from environments import NoEnvironmentError
from keystone_server import Keystone

RULES = [{"service": "artifact", "method": "GET", "path": "/artifacts/images"}]


def log_in(world: World) -> None:
    """Start both, and use `openstack artifact` as in any cloud. Nothing where there can be no Keystone.

    Raises:
        Surprise: something came that was not expected.
    """
    narrator = world.narrator
    folder = world.work / "cloud"
    folder.mkdir()
    try:
        keystone = world.stack.enter_context(Keystone(folder / "keystone", narrator.note))
    except NoEnvironmentError as reason:
        narrator.note(f"left out, because there is no Keystone here: {reason}")
        return
    narrator.note(f"Keystone answers at {keystone.url}")
    [port] = free_ports(1)
    installation = Installation(folder, port, world.env)
    installation.write_config((), world.receiver_port)
    with installation.config.open("a", encoding="utf-8") as file:
        file.write("\n[identity]\npipeline = keystone\n" + keystone.authtoken())
    installation.glare(narrator, "init")
    service = world.stack.enter_context(installation.running(narrator))
    keystone.offer(service.url)
    narrator.note("$GLARE is in Keystone's catalogue, as the service of type artifact")
    project = keystone.project("gamma")
    carol = keystone.member(project, "member", name="carol")
    env = {
        **world.env,
        "OS_AUTH_URL": keystone.url,
        "OS_USERNAME": carol.name,
        "OS_PASSWORD": carol.password,
        "OS_PROJECT_NAME": "gamma",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    narrator.note("Carol has nothing but OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME:")
    made = _openstack(world, folder, env, "create", "images", "hers", "-p", "disk_format=raw", "-f", "json")
    fields = {row["Field"]: row["Value"] for row in json.loads(made)}
    narrator.expect("the owner is the project that Keystone names", fields["owner"], project)
    token = keystone.token_by(keystone.application_credential(carol, project, RULES))
    narrator.note("An application credential of hers may GET /artifacts/images, and nothing else:")
    for path, status in (("/artifacts/images", "200"), ("/schemas", "401")):
        words = ["curl", "-s", "-o", "answer", "-w", "%{http_code}", "-H"]
        narrator.command(" ".join([*words, "'X-Auth-Token: $CREDENTIAL'", f"$GLARE{path}"]))
        came = succeed([*words, f"X-Auth-Token: {token}", service.url + path], folder, world.env).out
        narrator.expect(f"status of {path}", came, status)
    keystone.stop()
    narrator.note("Keystone is stopped.")
    unknown = run(
        ["curl", "-s", "-o", "answer", "-w", "%{http_code}", "-H", "X-Auth-Token: gAAAAnew", f"{service.url}/schemas"],
        folder,
        world.env,
    )
    narrator.expect("a token that nobody has seen yet is answered", unknown.out, "503")
    log = service.log.read_text("utf-8", "replace")
    secrets = (token, carol.password)
    narrator.expect_that("the log has neither token nor password", not any(one in log for one in secrets), "one")


def _openstack(world: World, folder: Path, env: Mapping[str, str], *words: str) -> str:
    world.narrator.command(" ".join(["openstack", "artifact", *words]))
    program = str(CLIENT.folder / "bin" / "openstack")
    return succeed([program, "artifact", *words], folder, env).out
