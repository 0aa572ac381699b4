"""Write the reference pages that come from the code: settings, policy rules, errors, commands, request headers.

    python tools/reference.py [DIRECTORY]

`make docs` runs it, and a test fails when a page is not what it would write.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from glare import errors
from glare.cli.main import help_pages
from glare.errors import GlareError
from glare.http.problems import STATUS
from glare.http.request_headers import CHANGES, DOCUMENTED, FORMS, READS, REFUSED
from glare.policy.rules import RULES
from glare.settings.declare import Declared
from glare.settings.retired import RETIRED, RETIRED_GROUPS
from glare.settings.values import all_options, group_purposes

_MADE = "<!-- Made by `make docs` from the code; change it there. -->"


def settings_page() -> str:
    """Every option by group, and what became of those of the original service."""
    return "\n".join(_settings())


def _settings() -> Iterator[str]:
    yield f"""{_MADE}

# Settings

Glare reads its options once, at start: from the command line, then from environment variables `OS_GROUP__OPTION`, then
from the files that `--config-file` and `--config-dir` name (else `glare.conf` in `~/.glare`, `~`, `/etc/glare` or
`/etc`), then from the defaults below. `glare-server config sample` prints them as a file. A wrong value is refused with
a sentence, and so is a name that is no option (`unknown_options`). `glare-server config show` says where each value
comes from.

Durations are written `90`, `90 s`, `5 m`, `2 h` or `7 d`; sizes `1048576`, `64 KiB` or `2 GB`; lists with commas.
`$name` stands for the value of another option and `$$` for a dollar sign.
"""
    group = None
    purposes = group_purposes()
    for declared in all_options():
        if declared.group != group:
            group = declared.group
            yield f"## [{group}]\n\n{_wrapped(purposes[group])}\n"
        yield from _option(declared)
    yield "## Options of the original service that have no effect\n"
    yield "They are accepted with a warning, so that an existing configuration file starts the service.\n"
    for (group_name, name), text in RETIRED.items():
        yield _item(f"`[{group_name}] {name}`: {text}")
    for group_name, text in RETIRED_GROUPS.items():
        yield _item(f"`[{group_name}]`, all of it: {text}")
    yield ""


def _option(declared: Declared) -> Iterator[str]:
    option = declared.option
    yield f"### {declared.name}\n"
    yield f"{_wrapped(option.help)}\n"
    yield _item(f"Value: {option.kind.words}")
    yield _item(f"Default: {f'`{option.default}`' if option.default else 'unset'}")
    if ":" not in declared.group:
        yield _item(f"Environment: `{declared.environment}`")
    yield ""


def _wrapped(text: str, indent: str = "") -> str:
    """A paragraph in lines of at most 120 columns."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    """An entry of a list, in such lines. Tables are for short cells: a row is one line, however long."""
    return _wrapped(f"- {text}", "  ")


def policy_page() -> str:
    """Every rule, with its default and what it governs."""
    lines = [
        f"""{_MADE}

# Policy rules

The language is oslo.policy's. A file named by `[oslo_policy] policy_file` holds the rules that differ from these
defaults; `glare-server policy sample` prints them all as a file. `@` is everyone.
"""
    ]
    for rule in RULES:
        lines += [f"## {rule.name}\n", f"{_wrapped(rule.description)}\n", _item(f"Default: `{rule.check}`")]
        if rule.operations:
            lines.append(_item(f"Requests: {', '.join(f'`{operation}`' for operation in rule.operations)}"))
        lines.append("")
    return "\n".join(lines)


def errors_page() -> str:
    """The whole tree of errors, as clients meet it."""
    lines = [
        f"""{_MADE}

# Errors

An error answer is JSON. `code` is the HTTP status, `error.message` a sentence for the person who reads it, and
`error.type` a name that does not change. Where old clients know an error by the name of its parent, `error.type` is
that one, and the header `X-Glare-Error-Code` carries the finer name. The sentences below stand where nothing more can
be said.
"""
    ]
    for error in error_tree():
        parent = error.__bases__[0]
        said = [f"{STATUS[error.category]}, {error.category}"]
        if issubclass(parent, GlareError):
            said.append(f"a kind of `{parent.code}`")
        if error.wire_type not in (None, error.code):
            said.append(f"`error.type` is `{error.wire_type}`")
        lines.append(_item(f"`{error.code}` ({'; '.join(said)}): {error.sentence}"))
    return "\n".join([*lines, ""])


def error_tree() -> list[type[GlareError]]:
    """The errors of `glare.errors`, in its order."""
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GlareError)]


def commands_page() -> str:
    """The help of every command."""
    helps = (f"## {page.title}\n\n```text\n{page.text.rstrip()}\n```\n" for page in help_pages())
    return "\n".join([f"{_MADE}\n\n# Commands\n", *helps])


def request_headers_page() -> str:
    """What becomes of each header of a request."""
    rows = [(row.header, row.where, str(row.answer), row.why) for row in DOCUMENTED]
    for refused in REFUSED:
        places = {CHANGES: "changes", READS | CHANGES: "everywhere"}
        where = places.get(refused.methods, ", ".join(sorted(refused.methods)))
        rows.append(
            (
                refused.header,
                where,
                f"**{STATUS[refused.error.category]}**, such as `{refused.sample}`",
                f"{refused.asks}; {refused.remedy}",
            )
        )
    forms = _wrapped(
        "A change takes no query parameters: any is 400. Data with one of these content types are 415, as the envelope "
        f"would be stored with them, or the data were changed on their way: {', '.join(f'`{name}`' for name in FORMS)}."
    )
    lines = [
        f"""{_MADE}

# Request headers

What becomes of each header that asks for something. A header that is not listed is ignored. *Reads* are GET and HEAD,
*changes* are POST, PUT, PATCH and DELETE.

A header is refused where to ignore it would store something else than the client means, or do what the client meant to
prevent: a `curl -C 1000 -T FILE` says in `Content-Range` that only the tail of the file is coming, and nothing must
take that for the whole.

{forms}
"""
    ]
    lines += [_item(f"`{header}` ({where}), {answer}: {why}") for header, where, answer, why in sorted(rows)]
    return "\n".join([*lines, ""])


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "policy.md": policy_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "request-headers.md": request_headers_page,
}
"""Each page and the function that writes it."""


def main(arguments: list[str]) -> int:
    """Write all pages."""
    directory = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1] / "docs" / "reference"
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")
        print(directory / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
