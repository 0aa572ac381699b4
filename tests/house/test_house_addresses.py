"""Nothing in the project says where it was made, or where its packages came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Put together from halves, so that this file does not hold what it looks for.
INDEX_HOSTS = (
    "pypi." + "org",
    "python" + "hosted",
    "npm" + "js.",
    "deb." + "debian",
    "extra-" + "index-url",
    "trusted-" + "host",
)
MACHINE_PATHS = ("wo" + "rk", "ro" + "ot", "opt/py" + "pi", "opt/wh" + "eels")

FORBIDDEN = re.compile(
    "|".join(re.escape(host) for host in INDEX_HOSTS) + "|" + rf"(?<![\w.~$}}:/-])/(?:{'|'.join(MACHINE_PATHS)})/[\w.]",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "line",
    [
        f"see https://{INDEX_HOSTS[0]}/project/x",
        f"--{INDEX_HOSTS[4]} somewhere",
        f'open("/{MACHINE_PATHS[0]}/main/x")',
        f"/{MACHINE_PATHS[1]}/.cache",
    ],
)
def test_addresses_are_recognised(line: str) -> None:
    """An index host or a path of one machine is recognised where it stands in a line."""
    assert FORBIDDEN.search(line)


@pytest.mark.parametrize(
    "line", ["GET /artifacts/images", f"docs/{MACHINE_PATHS[0]}/x", "the package index", "src/glare/x"]
)
def test_other_text_is_left_alone(line: str) -> None:
    """Paths of the API, relative paths and plain words are no addresses."""
    assert not FORBIDDEN.search(line)


def test_no_file_names_an_index_or_this_machine(project_files: list[Path], checkout: Path) -> None:
    """No file of the project holds the host of a package index or a path of the machine that it was written on."""
    found = []
    for path in project_files:
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [
            f"{path.relative_to(checkout)}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), 1)
            if (match := FORBIDDEN.search(line))
        ]
    assert not found, "\n".join(found)
