"""Tables on a terminal, and the same as JSON for programs."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from glare.cli.configuration import say


def asked_for(args: Namespace, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Those of these options that were given, and their values."""
    return [(name, value) for name in names if (value := getattr(args, name)) is not None]


def print_page(
    args: Namespace,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    documents: Iterable[Mapping[str, Any]],
    nothing: str,
    marker: str | None = None,
) -> int:
    """Print one page of a list, as `print_table`; `nothing` is said of an empty one, and that more may follow the
    `marker`. Returns the status of the command.
    """
    if not print_table(args, columns, list(rows), list(documents)):
        say(nothing)
    if marker is not None:
        say(f"there may be more: --marker {marker}")
    return 0


def print_table(
    args: Namespace,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    documents: Sequence[Mapping[str, Any]],
) -> bool:
    """Print what a command has found, as `--output` says: rows for people, documents for programs.

    False where there is nothing and nothing was printed, so that the command says so.
    """
    if args.output == "json":
        print_json(documents)
        return True
    if rows:
        print("\n".join(table([columns, *rows])))
    return bool(rows)


def print_json(document: Any) -> None:
    """Print JSON that people can read as well."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, whose columns are as wide as they have to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def amount(size: float) -> str:
    """Bytes as a person says them: `1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
