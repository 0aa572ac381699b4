"""Tables on a terminal, and the same as JSON for programs."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any


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
