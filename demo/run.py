"""The main job of Glare on real input, end to end, with real programs.

    make demo
    python demo/run.py

Prints each step, the commands that it runs and what comes of them. Ends with 0 when everything was as expected, with 1
at the first surprise, saying what was expected and what came. Everything runs on loopback, on free ports, in a
temporary folder that is removed; what was started is stopped, also after a surprise or Ctrl-C.
"""

from __future__ import annotations

import io
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

import catalogue
import cloud
import delivery
import mirrors
from callers import Caller, Programs
from narrator import Narrator, Surprise
from origin import web_server
from programs import free_ports, plain_environment, stop
from sample import find_sample, same_bytes
from service import Installation, Service
from world import World

from client_environment import client_environment, site_packages
from environments import NoEnvironmentError

NEEDED = ("curl", "cmp", "dd", "md5sum", "sha1sum", "sha256sum", "head", "tail", "sh")
PEOPLE = (("alice", "alpha", "member"), ("bob", "beta", "member"), ("admin", "operators", "admin"))
STEPS = (
    ("Create two images", catalogue.create),
    ("Upload the file", catalogue.upload),
    ("Record the external location, which Glare measures", catalogue.locate),
    ("Activate, and be refused a change", catalogue.activate),
    ("Publish", catalogue.publish),
    ("List and filter as another project", catalogue.find),
    ("Download and compare, stored and external", delivery.download),
    ("Download a part and compare", delivery.download_ranges),
    ("Change the external file in its first block, and see it found out", delivery.changed_first_block),
    ("Change it in a later block, and see the download break off", delivery.changed_later_block),
    ("Record two mirrors as replicas of one image", mirrors.mirror),
    ("Subscribe a receiver to what happens to them", mirrors.subscribe),
    ("Change one mirror on disk, see Glare notice and tell, and repair it", mirrors.notice),
    ("Delete, and find the external file untouched", delivery.delete),
    ("Log in at a Keystone, which knows where Glare is", cloud.log_in),
)


def main() -> int:
    """Run the demonstration; the status to end with."""
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in {"-h", "--help"} else 2
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        print(f"The demonstration needs {', '.join(missing)}; install what is missing and run it again.")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    narrator = Narrator()
    with tempfile.TemporaryDirectory(prefix="glare-demo-") as folder:
        work = Path(folder).resolve()
        try:
            with ExitStack() as stack:
                demonstrate(narrator, work, stack)
        except (Surprise, NoEnvironmentError) as failure:
            logs = {"the service's log": work / "glare.log", "the web server's log": work / "origin" / "access.log"}
            narrator.surprise(failure, {name: _text(path) for name, path in logs.items()})
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; everything that was started is stopped")
            return 130
        narrator.summary()
    return 0


def demonstrate(narrator: Narrator, work: Path, stack: ExitStack) -> None:
    """All steps, in order. What they start is stopped by `stack`.

    Raises:
        Surprise: something came that was not expected.
    """
    with narrator.step("Make the client's environment"):
        openstack = client_environment(narrator.note) / "openstack"
    with narrator.step("Take a real file, and put a copy where the web server will serve it"):
        sample = find_sample(narrator, work, site_packages())
        narrator.expect_that(f"{sample.size} bytes are at least 50 MB", sample.size >= 50 * 1024**2, sample.size)
        origin_folder = work / "origin"
        (origin_folder / "files").mkdir(parents=True)
        narrator.command(f"cp {sample.path} origin/files/")
        copy = shutil.copyfile(sample.path, origin_folder / "files" / sample.path.name)
        narrator.expect_that("the copy has the same bytes", same_bytes(copy, sample.path), "a difference")
    env = plain_environment(work)
    glare_port, origin_port, mirror_port, receiver_port = free_ports(4)
    with narrator.step("Start two web servers on loopback"):
        origin = stack.enter_context(web_server(narrator, origin_folder, origin_port, env))
        shutil.copytree(origin_folder / "files", work / "mirror" / "files")
        mirror = stack.enter_context(web_server(narrator, work / "mirror", mirror_port, env))
    with narrator.step("Start the service: a fresh database, three tokens"):
        installation = Installation(work, glare_port, env)
        narrator.answer(installation.write_config((origin_port, mirror_port), receiver_port).replace(str(work), "."))
        installation.glare(narrator, "init")
        tokens = {
            name: installation.glare(
                narrator, "token", "create", "--project", project, "--user", name, "--role", role
            ).strip()
            for name, project, role in PEOPLE
        }
        service = stack.enter_context(installation.running(narrator))
        names = {token: f"${name.upper()}" for name, token in tokens.items()} | {service.url: "$GLARE"}
        shared = Programs(narrator, work, env, openstack, service.url, names)
        alice, bob, admin = (Caller(name, project, tokens[name], shared) for name, project, _ in PEOPLE)
        narrator.note("$ALICE, $BOB and $ADMIN are the tokens, $GLARE is the address, and $AS_ALICE stands for")
        narrator.note("--os-auth-type admin_token --os-token $ALICE --os-endpoint $GLARE, likewise for the others.")
    people = alice, bob, admin
    world = World(narrator, work, sample, origin, service, *people, {}, mirror, receiver_port, env, stack)
    for title, tell in STEPS:
        with narrator.step(title):
            tell(world)
    with narrator.step("Stop the service, and read its log"):
        _stop(narrator, service, tokens)


def _stop(narrator: Narrator, service: Service, tokens: dict[str, str]) -> None:
    narrator.expect("exit status of the service after SIGTERM", stop(service.process), 0)
    log = _text(service.log)
    narrator.expect_that("its log has no traceback", "Traceback" not in log, log[-3000:])
    narrator.expect_that("its log has no token", not any(token in log for token in tokens.values()), "a token")


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C would cut short the stopping of what was started.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
