"""The first half of the main job: images are made, filled, activated, published and found."""

from __future__ import annotations

from callers import BINARY, Caller
from world import EXTERNAL, STORED, World

LIST = "/artifacts/images?sort=name:asc"


def create(world: World) -> None:
    """Alice creates an image with the client, and a second one for the external location."""
    say = world.narrator
    for name, ram, tags in ((STORED, "512", "demo,stored"), (EXTERNAL, "2048", "demo,external")):
        words = ("-p", "container_format=bare", "-p", "disk_format=raw", "-p", f"min_ram={ram}", "-l", f"tags={tags}")
        image = world.alice.client_fields("create", "images", name, "-V", "1.0", *words)
        world.ids[name, image["version"]] = image["id"]
        say.answer(f"id {image['id']}, version {image['version']}, min_ram {image['min_ram']}, tags {image['tags']}")
        state = (image["owner"], image["status"], image["visibility"], image["version"], image["min_ram"])
        say.expect(
            "owner, status, visibility, version, min_ram", state, ("alpha", "drafted", "private", "1.0.0", int(ram))
        )


def upload(world: World) -> None:
    """Alice uploads the real file."""
    blob = world.alice.client_json("upload", "images", STORED, "--file", str(world.sample.path))
    state = (blob["status"], blob["external"], blob["url"])
    world.narrator.expect("status, external, url", state, ("active", False, world.blob(STORED)))
    world.expect_measured(blob)


def locate(world: World) -> None:
    """Two locations with a false claim are refused, and one with a true one is measured and recorded."""
    say, sample = world.narrator, world.sample
    false = "0" * 64
    say.note("A sha256 that is not that of the origin's bytes:")
    answer = world.alice.put_location(world.blob(EXTERNAL), {"url": world.url, "md5": None, "sha256": false})
    say.expect_that("the claim is refused with a 4xx", 400 <= answer.status < 500, answer.status)
    say.answer(answer.message())
    say.note("The client sends an md5 that is not that of the origin's bytes:")
    location = ("location", "images", EXTERNAL, "--url", world.url, "--md5")
    world.alice.client_refused(*location, "0" * 32, status=str(answer.status))
    say.expect("nothing was recorded; image", world.alice.get(world.artifact(EXTERNAL))["image"], None)

    say.note("With the true md5, Glare downloads the file once, keeps no byte of it, and records what it measured:")
    before = world.service.stored_bytes()
    blob = world.alice.client_json(*location, sample.md5)
    state = (blob["status"], blob["external"], blob["url"], blob["content_type"])
    say.expect("status, external, url, type", state, ("active", True, world.url, world.origin.content_type(world.url)))
    world.expect_measured(blob)
    say.expect("bytes in the local store, before and after", world.service.stored_bytes(), before)

    say.note("A second version, which stays private, with no claim at all:")
    body = {"name": EXTERNAL, "version": "2.0", "container_format": "bare", "disk_format": "raw", "tags": ["demo"]}
    world.ids[EXTERNAL, "2.0.0"] = world.alice.post("/artifacts/images", body)["id"]
    recorded = world.alice.put_location(world.blob(EXTERNAL, "2.0.0"), {"url": world.url})
    say.expect("HTTP status", recorded.status, 200)
    world.expect_measured(recorded.document()["image"])


def activate(world: World) -> None:
    """Alice activates the images; from then on they cannot be changed."""
    say = world.narrator
    for name in (STORED, EXTERNAL):
        image = world.alice.client_fields("activate", "images", name, "-V", "1.0.0")
        say.expect("status", image["status"], "active")
    say.note("Another name, and other data:")
    world.alice.client_refused("update", "images", STORED, "-p", "name=other", status="403")
    (world.work / "other.bin").write_bytes(b"other bytes")
    world.alice.refused(world.alice.curl(world.blob(STORED), "-H", BINARY, "-T", "other.bin"), 403)
    image = world.alice.get(world.artifact(STORED))
    say.expect(
        "name and sha256 are as before", (image["name"], image["image"]["sha256"]), (STORED, world.sample.sha256)
    )


def publish(world: World) -> None:
    """What is private stays unseen; only an administrator makes it public."""
    say = world.narrator
    say.note("Before, nothing of it exists for Bob, who is in another project:")
    world.bob.refused(world.bob.curl(world.artifact(STORED)), 404)
    say.expect("number of images that Bob sees", world.bob.get(LIST)["total_count"], 0)
    world.alice.client_refused("publish", "images", STORED, status="403")
    for name in (STORED, EXTERNAL):
        image = world.admin.client_fields("publish", "images", name, "-V", "1.0.0")
        say.expect("visibility and owner", (image["visibility"], image["owner"]), ("public", "alpha"))


def find(world: World) -> None:
    """Bob lists and filters, and finds what is public, and nothing else."""
    say = world.narrator

    def listed(*words: str) -> list[tuple[str, str, str]]:
        rows = world.bob.client_json("list", "images", *words)
        return [(row["Name"], row["Version"], row["Visibility"]) for row in rows]

    stored, external = (STORED, "1.0.0", "public"), (EXTERNAL, "1.0.0", "public")
    say.expect("listed", listed(), [external, stored])
    say.expect("listed", listed("--filter", "min_ram=gte:1024", "--filter", "tags=demo"), [external])

    def found(caller: Caller, query: str) -> list[tuple[str, str]]:
        return [(image["name"], image["version"]) for image in caller.get(f"{LIST}&{query}")["artifacts"]]

    latest = f"name={EXTERNAL}&version=latest"
    say.expect("Bob's latest version", found(world.bob, latest), [(EXTERNAL, "1.0.0")])
    say.expect("Alice's latest version, the private one", found(world.alice, latest), [(EXTERNAL, "2.0.0")])
    query = "status=active&name=like:demo-s%25&tags-any=stored,nothing"
    say.expect("found", found(world.bob, query), [(STORED, "1.0.0")])
