"""Importing a module has no effect, and who may import what beyond the layers."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

PROBE = """
import importlib, json, logging, signal, sys, threading

def state():
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "root log handlers": [repr(handler) for handler in logging.root.handlers],
        "root log level": logging.root.level,
        "search path": list(sys.path),
        "signal handlers": {number.name: repr(signal.getsignal(number)) for number in signal.valid_signals()
                            if isinstance(number, signal.Signals)},
    }

changed = []
before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
    after = state()
    changed += [
        f"{name} changes the {key}: {before[key]} -> {after[key]}" for key in before if before[key] != after[key]
    ]
    before = after
sys.__stderr__.write(json.dumps(changed))
"""


def modules_of(package: Path) -> list[str]:
    """The names of all modules of a package that are meant to be imported.

    `__main__` is a program, and Alembic runs `env.py` as one.
    """
    names = []
    for path in sorted(package.rglob("*.py")):
        if path.name == "__main__.py" or path.parts[-2:] == ("migrations", "env.py"):
            continue
        parts = path.relative_to(package.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def probe(names: list[str], path: Path) -> subprocess.CompletedProcess[str]:
    """Import `names` in a fresh interpreter, with warnings as errors and `path` searched first."""
    program = f"import sys; sys.path.insert(0, {str(path)!r})\n{PROBE}"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *names], capture_output=True, text=True, check=False, timeout=100
    )


def test_importing_glare_has_no_effect(checkout: Path) -> None:
    """No module of Glare prints, warns, starts a thread, or changes logging, signals or the search path when
    imported.
    """
    result = probe(modules_of(checkout / "src" / "glare"), checkout / "src")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    changed = json.loads(result.stderr)
    assert not changed, "\n".join(changed)


def test_an_effect_is_noticed(tmp_path: Path) -> None:
    """A module that starts a thread and sets up logging when imported is reported for both."""
    (tmp_path / "busy.py").write_text(
        "import logging, threading\n"
        "logging.basicConfig()\n"
        "threading.Thread(target=threading.Event().wait, name='busy', daemon=True).start()\n",
        encoding="utf-8",
    )
    changed = json.loads(probe(["busy"], tmp_path).stderr)
    assert [line.partition(":")[0] for line in changed] == [
        "busy changes the threads",
        "busy changes the root log handlers",
    ]


def test_statements_stand_in_the_layer_of_the_database(checkout: Path) -> None:
    """Operations hand a connection on and write no SQL: of SQLAlchemy they know `Connection` alone."""
    known: dict[str, set[str]] = {}
    for path in (checkout / "src/glare/operations").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names if alias.name.partition(".")[0] == "sqlalchemy"}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                continue
            if names:
                known.setdefault(path.relative_to(checkout).as_posix(), set()).update(names)
    assert len(known) > 10
    assert {path: names for path, names in known.items() if names != {"sqlalchemy.Connection"}} == {}
