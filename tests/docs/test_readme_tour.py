"""The README's tour is run, word for word, and must show what the README says it shows."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from support.command import environment

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|text|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IDENTITY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def tour() -> list[tuple[str, str]]:
    """The tour's commands, each block with the output that follows it."""
    text = (ROOT / "README.md").read_text()
    blocks = BLOCK.findall(text.split("<!-- tour -->")[1].split("<!-- end of tour -->")[0])
    assert [kind == "sh" for kind, _ in blocks] == [True, False] * (len(blocks) // 2)
    return [(blocks[index][1], blocks[index + 1][1]) for index in range(0, len(blocks), 2)]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def test_tour_shows_what_the_readme_says(tmp_path: Path) -> None:
    """Every block of commands prints exactly what the block after it shows."""
    port, mirror = free_ports(2)
    env = {
        **environment(),
        "OS_LOCATIONS__ALLOWED_NETWORKS": "127.0.0.0/8",
        "OS_LOCATIONS__ALLOWED_PORTS": f"80,443,{mirror}",
    }
    service = subprocess.Popen(
        [sys.executable, "-m", "glare", "serve", "--quickstart", "--bind-port", str(port)],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert service.stdout is not None
        welcome = ""
        while "Ctrl-C" not in welcome:
            line = service.stdout.readline()
            assert line, f"the service ended: {welcome}"
            welcome += line
        token = re.search(r"glare_[A-Za-z0-9_-]+", welcome)
        assert token is not None
        pairs = tour()
        assert len(pairs) >= 6
        script = "set -e\n" + "\n".join(f"{commands}\nprintf '\\n--8<--\\n'" for commands, _ in pairs)
        script = script.replace("9494", str(port)).replace("8000", str(mirror)).replace("TOKEN=…", f"TOKEN={token[0]}")
        ran = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        shown = ran.stdout.replace(str(port), "9494").replace(str(mirror), "8000").split("\n--8<--\n")
        for (commands, expected), output in zip(pairs, shown, strict=False):
            assert IDENTITY.sub("…", output).replace("\n\n", "\n").strip() == plain(expected), commands
    finally:
        os.killpg(service.pid, signal.SIGTERM)
        service.communicate(timeout=30)


def plain(expected: str) -> str:
    """The output as it stands in the README."""
    return expected.replace("\n\n", "\n").strip()
