"""The second half of the main job: everybody gets the same bytes or none, and deleting leaves the external file
alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from callers import Answer
from programs import run, succeed
from sample import digest, same_bytes
from world import EXTERNAL, MIB, STORED, World


def download(world: World) -> None:
    """Bob downloads both images with both programs, and compares."""
    say = world.narrator
    for name in (STORED, EXTERNAL):
        saved = f"{name}.client"
        world.bob.client_done("download", "images", name, "--file", saved)
        world.same(world.work / saved)
        answer = world.bob.curl(world.blob(name), "-D", "headers.txt", save=f"{name}.curl")
        say.expect("HTTP status and exit status of curl", (answer.status, answer.exit), (200, 0))
        headers = _headers(world.work / "headers.txt")
        say.expect("Content-Length", headers.get("content-length"), str(world.sample.size))
        say.expect("Content-MD5", headers.get("content-md5"), world.sample.md5)
        world.same(answer.body)


def download_ranges(world: World) -> None:
    """A part of each image is that part of the file, across a border of the blocks that Glare checks."""
    first, last = 3 * MIB - 1000, 5 * MIB + 999
    for name in (STORED, EXTERNAL):
        answer = world.bob.curl(world.blob(name), "-r", f"{first}-{last}", save="part.bin")
        world.narrator.expect("HTTP status", answer.status, 206)
        pipe = f"tail -c +{first + 1} '{world.sample.path}' | head -c {last - first + 1} | cmp - part.bin"
        world.narrator.command(pipe)
        world.narrator.expect("exit status of cmp", run(["sh", "-c", pipe], world.work, os.environ).code, 0)


def changed_first_block(world: World) -> None:
    """The origin's file changes at its beginning: the download is refused before it has begun."""
    say = world.narrator
    with_changed(world, 1000, lambda: _refused_whole(world))
    answer = world.bob.curl(world.blob(EXTERNAL), "-r", "0-2047", save="part.bin")
    part = answer.body.read_bytes()
    with world.sample.path.open("rb") as true:
        say.expect_that("once the file is what it was, its first bytes come again", part == true.read(2048), len(part))


def _refused_whole(world: World) -> None:
    answer = world.bob.curl(world.blob(EXTERNAL), save="broken.bin")
    world.bob.refused(answer, 502)


def changed_later_block(world: World) -> None:
    """The origin's file changes in its middle: the download breaks off before the first wrong byte."""
    place = world.sample.size // 2
    with_changed(world, place, lambda: _broken_off(world, place))
    answer = world.bob.curl(world.blob(EXTERNAL), save="whole.bin")
    world.narrator.expect("HTTP status and exit status of curl", (answer.status, answer.exit), (200, 0))
    world.same(answer.body)


def _broken_off(world: World, place: int) -> None:
    say = world.narrator
    answer: Answer = world.bob.curl(world.blob(EXTERNAL), save="broken.bin")
    say.expect("HTTP status", answer.status, 200)
    say.expect("exit status of curl, which means: less than was announced", answer.exit, 18)
    came = answer.body.stat().st_size
    say.expect_that(f"{came} bytes came, all before the changed one at {place}", 0 < came <= place, came)
    command = ["cmp", "-n", str(came), str(answer.body), str(world.sample.path)]
    say.command(f"cmp -n {came} broken.bin {world.sample.path}")
    say.expect("exit status of cmp: every byte that came is true", run(command, world.work, os.environ).code, 0)
    ended = world.bob.client("download", "images", EXTERNAL, "--file", "broken.client")
    say.answer(ended.err.strip())
    say.expect_that("the client fails as well", ended.code != 0, f"status 0: {ended.out}")
    saved = world.work / "broken.client"
    came = saved.stat().st_size if saved.exists() else 0
    wrong = came and run(["cmp", "-n", str(came), str(saved), str(world.sample.path)], world.work, os.environ).code
    say.expect_that(f"it saved {came} bytes, and no wrong one", not wrong, f"{came} bytes, cmp ended with {wrong}")


def with_changed(world: World, place: int, see: Callable[[], None]) -> None:
    """Change one byte of the origin's file on disk, see what happens, and put the byte back."""
    say, copy = world.narrator, world.copy
    with copy.open("rb") as file:
        file.seek(place)
        true = file.read(1)
    for byte, then in ((bytes([true[0] ^ 0xFF]), see), (true, None)):
        command = f"printf '\\{byte[0]:03o}' | dd of='{copy}' bs=1 seek={place} conv=notrunc"
        say.command(command.replace(str(copy), copy.name))
        succeed(["sh", "-c", command], world.work, os.environ)
        same = same_bytes(copy, world.sample.path)
        if then:
            say.expect("length of the changed file is as before", copy.stat().st_size, world.sample.size)
            say.expect_that("its bytes are not", not same, "no difference")
            then()
        else:
            say.expect_that("the file is what it was", same, "a difference")


def delete(world: World) -> None:
    """The administrator deletes what is public, its owner what is private; the external file stays as it is."""
    say, copy = world.narrator, world.copy
    before = copy.stat()
    for caller in (world.bob, world.alice):
        say.note(f"{caller.name.capitalize()} may not delete what is public:")
        caller.refused(caller.curl(world.artifact(EXTERNAL), "-X", "DELETE"), 403)
    world.alice.client_done("delete", "images", world.ids[EXTERNAL, "2.0.0"], "--id")
    for name in (STORED, EXTERNAL):
        world.admin.client_done("delete", "images", world.ids[name, "1.0.0"], "--id")
    say.expect("number of images that the administrator sees", world.admin.get("/artifacts/images")["total_count"], 0)
    world.bob.refused(world.bob.curl(world.blob(EXTERNAL)), 404)
    say.wait_until("bytes left in the local store", world.service.stored_bytes, 0, seconds=20)

    say.command(f"sha256sum {copy.name}")
    say.expect("the external file's sha256", digest("sha256", copy), world.sample.sha256)
    after = copy.stat()
    say.expect_that(
        "its inode and its time of change are as before",
        (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns),
        f"{before} became {after}",
    )
    methods = world.origin.methods()
    say.answer(f"the web server's log has: {', '.join(f'{count} {name}' for name, count in sorted(methods.items()))}")
    say.expect_that("nothing but reading was asked of the web server", set(methods) <= {"GET", "HEAD"}, methods)
    say.expect_that("and it was asked", sum(methods.values()) > 0, methods)


def _headers(path: Path) -> dict[str, str]:
    """The fields of the last answer that curl wrote into a file, with lower-case names."""
    last = path.read_text("latin-1").replace("\r\n", "\n").strip().split("\n\n")[-1]
    fields = (line.partition(":") for line in last.splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, _, value in fields}
