"""Two mirrors of one file: one changes on disk, Glare notices and tells, downloads go on, and the repaired one comes
back.
"""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path
from typing import Any

from callers import JSON, LOCATION, Caller
from delivery import with_changed
from programs import listens, started
from world import World

NAME = "demo-mirrored"
V2 = "OpenStack-API-Version: artifact 1.2"
PATIENCE = 60


def mirror(world: World) -> None:
    """Alice records both mirrors as replicas of one image; something else is refused."""
    say = world.narrator
    body = {"name": NAME, "version": "1.0", "container_format": "bare", "disk_format": "raw"}
    world.ids[NAME, "1.0.0"] = world.alice.post("/artifacts/images", body)["id"]
    for key, url in (("eu", world.url), ("us", world.mirror.url(world.copy.name))):
        say.expect(f"HTTP status of recording '{key}'", _locate(world, key, url), 200)
    (world.mirror.files / "other.bin").write_bytes(b"something else")
    say.note("A replica that is not the same content:")
    say.expect("HTTP status", _locate(world, "bad", world.mirror.url("other.bin")), 409)
    say.answer((world.work / "answer.json").read_text("utf-8"))
    world.alice.client_done("activate", "images", NAME, "-V", "1.0.0")
    world.admin.client_done("publish", "images", NAME, "-V", "1.0.0")
    folder = _folder(world, world.bob)
    states = {key: member["state"] for key, member in folder["members"].items()}
    say.expect("states of the replicas", states, {"eu": "verified", "us": "verified"})
    say.expect("their sha256", folder["sha256"], world.sample.sha256)


def subscribe(world: World) -> None:
    """Alice has the events of this image sent to a receiver, which confirms that it wants them."""
    say = world.narrator
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    world.alice.programs.names[secret] = "$SECRET"
    program = [sys.executable, str(Path(__file__).with_name("receiver.py")), str(world.receiver_port), "events.txt"]
    say.command(f"SECRET=$SECRET python demo/receiver.py {world.receiver_port} events.txt")
    env = {**world.env, "SECRET": secret}
    log = world.work / "receiver.log"
    world.stack.enter_context(
        started("the receiver", program, world.work, env, log, lambda: listens(world.receiver_port))
    )
    wanted = ["location.changed", "location.recovered", "artifact.last_good_location_lost"]
    target = f"http://127.0.0.1:{world.receiver_port}/"
    about = {"artifact": world.ids[NAME, "1.0.0"]}
    body = {"target": target, "events": wanted, "scope": about, "secret": secret}
    made = world.alice.post("/subscriptions", body)
    path = f"/subscriptions/{made['id']}"
    say.wait_until("state of the subscription", lambda: world.alice.quietly(path)["state"], "active", PATIENCE)
    say.expect("what the receiver got", _events(world), ["subscription.confirmation - -"])


def notice(world: World) -> None:
    """The file of one mirror changes on disk; a worker notices, and everybody still gets the right bytes."""
    say = world.narrator
    config = world.work / "worker.conf"
    config.write_text((world.work / "glare.conf").read_text("utf-8").replace("workers = 0", "workers = 1"), "utf-8")
    say.note("Until now nobody has checked anything again. A worker of its own begins to, every two seconds:")
    say.command(f"glare-server worker --config-file {config.name}")
    program = [sys.executable, "-m", "glare", "worker", "--config-file", str(config)]
    log = world.work / "worker.log"
    with started("the worker", program, world.work, world.env, log, lambda: b"background work" in log.read_bytes()):
        say.wait_until("a check of 'eu' by the worker", lambda: _checked(world, "eu"), True, PATIENCE)
        with_changed(world, world.sample.size // 3, lambda: _quarantined(world))
        say.wait_until("state of 'eu' once it is repaired", lambda: _states(world)["eu"], "verified", PATIENCE)
        recovered = "location.recovered locations/eu verified"
        say.wait_until("the receiver's last event", lambda: _events(world)[-1], recovered, PATIENCE)
    lost = [event for event in _events(world) if event.startswith("artifact.")]
    say.expect("events that the last good location was lost", lost, [])
    world.admin.client_done("delete", "images", world.ids[NAME, "1.0.0"], "--id")


def _quarantined(world: World) -> None:
    """What it looks like while one mirror is wrong."""
    say = world.narrator
    say.wait_until("state of 'eu'", lambda: _states(world)["eu"], "changed", PATIENCE)
    say.expect("state of 'us'", _states(world)["us"], "verified")
    changed = "location.changed locations/eu changed"
    say.wait_until("the receiver's last event, its signature verified", lambda: _events(world)[-1], changed, PATIENCE)
    say.note("Bob asks for the replica that has changed, and gets every byte:")
    answer = world.bob.curl(f"{world.artifact(NAME)}/locations/eu", "-H", V2, save="mirrored.curl")
    say.expect("HTTP status and exit status of curl", (answer.status, answer.exit), (200, 0))
    world.same(answer.body)
    location = _folder(world, world.alice)["members"]["eu"]["location"]
    checks = world.alice.get(f"/locations/{location}/checks")["checks"]
    say.answer("; ".join(f"{check['kind']}: {check['outcome']} ×{check['checks']}" for check in reversed(checks[:4])))
    say.expect_that("the history has the change", any(one["outcome"] == "changed" for one in checks), checks)


def _locate(world: World, key: str, url: str) -> int:
    path = f"{world.artifact(NAME)}/locations/{key}"
    body = f'{{"url": "{url}"}}'
    return world.alice.curl(path, "-X", "PUT", "-H", V2, "-H", LOCATION, "-d", body).status


def _folder(world: World, caller: Caller) -> dict[str, Any]:
    return caller.curl(f"{world.artifact(NAME)}/locations", "-H", V2, "-H", JSON).document()


def _locations(world: World) -> dict[str, dict[str, Any]]:
    listed = world.alice.quietly(f"/locations?artifact={world.ids[NAME, '1.0.0']}")["locations"]
    return {location["blob"].removeprefix("locations/"): location for location in listed}


def _states(world: World) -> dict[str, str]:
    return {key: location["state"] for key, location in _locations(world).items()}


def _checked(world: World, key: str) -> bool:
    location = _locations(world)[key]["id"]
    return bool(world.alice.quietly(f"/locations/{location}/checks")["checks"])


def _events(world: World) -> list[str]:
    path = world.work / "events.txt"
    return path.read_text("utf-8").splitlines() if path.exists() else []
