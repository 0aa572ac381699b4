"""The `glare-server` command: its grammar, its help, and what every command has in common.

Nothing is imported before a command is known: help has to come at once, and `serve` must not carry what it does not
use.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from glare import __version__
from glare.cli.commands import ALIASES, COMMANDS, GROUPS, PROGRAM, Command

OK, REFUSED, USAGE = 0, 1, 2
WIDTH = 100

_EXIT_CODES = """exit codes:
  0  done
  1  refused: one sentence on standard error says what is wrong and what to do
  2  the command line is not understood"""

_CONFIGURATION = """configuration:
  Options come from the command line, then from environment variables OS_GROUP__OPTION, then
  from files (--config-file, --config-dir; else glare.conf in ~/.glare, ~, /etc/glare or /etc),
  then from defaults. `glare-server config sample` lists them all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        # argparse leaves these to the root, whose help says nothing of the command's options.
        args.unrecognized(unknown)
    if args.command is None:
        args.print_help()
        return USAGE
    args.config_file = [*args.early_config_file, *args.config_file]
    args.config_dir = [*args.early_config_dir, *args.config_dir]
    args.traceback = args.traceback or args.early_traceback
    try:
        return _runner(args.command)(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if args.traceback:
            raise
        print(f"{PROGRAM}: {_sentence(error)}", file=sys.stderr)
        return REFUSED


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    root = _Parser(
        prog=PROGRAM,
        description="An artifact repository: typed artifacts, uploads, and external locations that it measures itself.",
        epilog=f"{_examples(_FIRST_STEPS)}\n\n{_CONFIGURATION}\n\n{_EXIT_CODES}",
    )
    root.add_argument(
        "--version", action="version", version=f"{PROGRAM} {__version__}", help="print the version and leave"
    )
    _add_common(root, prefix="early_")
    root.set_defaults(command=None, print_help=root.print_help, unrecognized=root.unrecognized)
    nodes: dict[tuple[str, ...], argparse._SubParsersAction[_Parser]] = {(): _add_subparsers(root)}
    for command in COMMANDS:
        parent = command.path[:-1]
        if parent not in nodes:
            summary = GROUPS[parent]
            group = nodes[()].add_parser(
                parent[0],
                aliases=ALIASES.get(parent, ()),
                help=summary,
                description=f"{summary[0].upper()}{summary[1:]}.",
            )
            group.set_defaults(command=None, print_help=group.print_help, unrecognized=group.unrecognized)
            nodes[parent] = _add_subparsers(group)
        parser = nodes[parent].add_parser(
            command.path[-1],
            help=command.summary,
            description=textwrap.fill(command.description, WIDTH),
            epilog="\n".join((f"{_examples(command.examples)}\n\n{_EXIT_CODES}", *_indented(command.exit_codes))),
        )
        command.arguments(parser)
        if command.table:
            parser.add_argument(
                "-o", "--output", choices=("table", "json"), default="table", help="how to print it (default: table)"
            )
        _add_common(parser)
        parser.set_defaults(command=command, unrecognized=parser.unrecognized)
    return root


_FIRST_STEPS = (
    "glare-server serve --quickstart          # everything in ./var, with a token and a line to try",
    "glare-server config sample > glare.conf  # every option, explained",
    "glare-server serve --config-file glare.conf",
)


class _Parser(argparse.ArgumentParser):
    """Help that keeps the lines of examples, and errors that say where to read on."""

    def __init__(self, **options: object) -> None:
        # A fixed width, so that the help reads alike in every terminal and in the documentation.
        options.setdefault(
            "formatter_class", partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=26)
        )
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]  # they go through to argparse

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{PROGRAM}: {message}{' See' if message.endswith('?') else '; see'} `{self.prog} --help`.\n")

    def unrecognized(self, arguments: Sequence[str]) -> NoReturn:
        """Refuse arguments that this command does not take, with the option that was perhaps meant."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        hints = [_meant(argument.partition("=")[0], known) for argument in arguments if argument.startswith("--")]
        self.error(f"unrecognized arguments: {' '.join(arguments)}{next(filter(None, hints), '')}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse a command that there is not in a sentence, rather than with the list of all."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            self.error(f"there is no command {value!r}{_meant(str(value), list(action.choices))}")
        super()._check_value(action, value)


def _add_subparsers(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[_Parser]:
    return parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)


def _add_common(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Options that may stand before the command and after it. argparse keeps one value a name, hence two names."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config-file",
        dest=f"{prefix}config_file",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="read options from this file; may be repeated, later files win",
    )
    group.add_argument(
        "--config-dir",
        dest=f"{prefix}config_dir",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="read all *.conf files of this directory, in the order of their names; may be repeated",
    )
    group.add_argument(
        "--debug",
        dest=f"{prefix}traceback",
        action="store_true",
        help="show where an error comes from, for a bug report",
    )


def _meant(name: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _examples(lines: Sequence[str]) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _runner(command: Command) -> Callable[[argparse.Namespace], int]:
    module, _, name = command.runs.partition(":")
    runner: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
    return runner


def _sentence(error: Exception) -> str:
    from glare.errors import GlareError
    from glare.settings import SettingsError

    if isinstance(error, GlareError | SettingsError):
        return str(error)
    text = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {text}. Run it again with --debug to see where it comes from."


@dataclass(frozen=True, slots=True)
class HelpPage:
    """The help of one command or group, for the reference page."""

    title: str
    text: str


def help_pages() -> list[HelpPage]:
    """All help texts, in the order of the grammar."""
    pages: list[HelpPage] = []

    def walk(parser: argparse.ArgumentParser) -> None:
        pages.append(HelpPage(parser.prog, parser.format_help()))
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for child in dict.fromkeys(action.choices.values()):
                    walk(child)

    walk(build_parser())
    return pages


if __name__ == "__main__":
    sys.exit(main())
