"""What the file of names of the machine means to the resolver, as the page for operators says it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs.programs import find_program

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "operate.md").read_text()

_ASK = """
import sys
from glare.egress.names import system_resolve
for name in sys.argv[1:]:
    try:
        print(name, *system_resolve(name))
    except OSError:
        print(name, "unknown")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of names of its own needs a mount namespace, hence root")
def test_names_are_asked_with_their_dot(tmp_path: Path) -> None:
    """A name that stands there with a dot at its end is found; one without it is not, so that a search domain never
    is.
    """
    unshare = find_program("unshare")
    [line] = re.findall(r"^10\.20\.0\.5 .*$", PAGE, re.MULTILINE)
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{line}\n10.20.0.6 undotted.internal.example\n")
    mount = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    names = ("mirror.internal.example", "undotted.internal.example")
    done = subprocess.run(
        [unshare, "--mount", "--net", "sh", "-c", mount, "sh", sys.executable, "-c", _ASK, *names],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stdout.splitlines() == ["mirror.internal.example 10.20.0.5", "undotted.internal.example unknown"]
