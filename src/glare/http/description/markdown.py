"""The Markdown of our own guides as HTML: headings, paragraphs, lists, tables, quotes, code, emphasis and links.

All text is escaped; nothing of a guide becomes markup but what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from typing import Final

Link = Callable[[str], str | None]
"""The address for the target of a link; None where there is none here, and the text alone is left."""

_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_BULLETED: Final = re.compile(r"[-*] +")
_NUMBERED: Final = re.compile(r"\d+\. +")
_HEADING: Final = re.compile(r"(#{1,6}) +(.*)")
_RULE: Final = re.compile(r"\|?[ :|-]*-[ :|-]*")
_BREAKS: Final = ("```", "#", ">", "|")
_INLINE: Final = re.compile(
    r"(?P<ticks>`+)(?P<code>.+?)(?P=ticks)|\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)"
    r"|\*\*(?P<strong>[^*]+)\*\*|\*(?P<em>[^*\s][^*]*)\*|<(?P<bare>https?://[^>\s]+)>",
    re.DOTALL,
)
_CELLS: Final = re.compile(r"(?<!\\)\|")


def to_html(text: str, link: Link) -> str:
    """The document as HTML without a frame."""
    return "\n".join(_blocks(_COMMENT.sub("", text).splitlines(), link))


def title_of(text: str) -> str:
    """The first heading, without markup."""
    found = re.search(r"^# +(.*)$", text, re.MULTILINE)
    return found[1].replace("`", "") if found else ""


def anchor(heading: str) -> str:
    """What a heading is called in addresses."""
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", heading.lower()))


def _blocks(lines: Sequence[str], link: Link) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        if not line.strip():
            at += 1
        elif line.startswith("```"):
            at = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("```")), len(lines))
            yield f"<pre><code>{escape(chr(10).join(lines[start + 1 : at]))}</code></pre>"
            at += 1
        elif found := _HEADING.fullmatch(line):
            level = len(found[1])
            yield f'<h{level} id="{escape(anchor(found[2]))}">{_inline(found[2], link)}</h{level}>'
            at += 1
        elif line.startswith(">"):
            at = _end(lines, start, lambda later: later.startswith(">"))
            inner = [quoted[1:].removeprefix(" ") for quoted in lines[start:at]]
            yield f"<blockquote>{chr(10).join(_blocks(inner, link))}</blockquote>"
        elif line.startswith("|"):
            at = _end(lines, start, lambda later: later.startswith("|"))
            yield _table(lines[start:at], link)
        elif _BULLETED.match(line) or _NUMBERED.match(line):
            item = _NUMBERED if line[0].isdigit() else _BULLETED
            at = _end(lines, start, partial(_in_list, item))
            yield _list(lines[start:at], link, ordered=item is _NUMBERED)
        else:
            at = _end(lines, start, lambda later: bool(later.strip()) and not later.startswith(_BREAKS))
            yield f"<p>{_inline(chr(10).join(lines[start:at]), link)}</p>"


def _end(lines: Sequence[str], start: int, belongs: Callable[[str], bool]) -> int:
    return next((at for at in range(start + 1, len(lines)) if not belongs(lines[at])), len(lines))


def _in_list(item: re.Pattern[str], line: str) -> bool:
    return not line.strip() or line[0] == " " or bool(item.match(line))


def _list(lines: Sequence[str], link: Link, *, ordered: bool) -> str:
    item = _NUMBERED if ordered else _BULLETED
    items: list[list[str]] = []
    indent = 0
    for line in lines:
        found = item.match(line)
        if found:
            indent = found.end()
            items.append([line[indent:]])
        else:
            items[-1].append(line[indent:] if line[:indent].isspace() else line.lstrip())
    made = (_only_paragraph(list(_blocks(lines, link))) for lines in items)
    tag = "ol" if ordered else "ul"
    return f"<{tag}>{''.join(f'<li>{item}</li>' for item in made)}</{tag}>"


def _only_paragraph(blocks: Sequence[str]) -> str:
    first = blocks[0].removeprefix("<p>").removesuffix("</p>") if blocks and blocks[0].startswith("<p>") else None
    return "\n".join(blocks) if first is None else "\n".join([first, *blocks[1:]])


def _table(lines: Sequence[str], link: Link) -> str:
    rows = [[cell.strip().replace("\\|", "|") for cell in _CELLS.split(line.strip().strip("|"))] for line in lines]
    ruled = len(lines) > 1 and _RULE.fullmatch(lines[1].strip()) is not None
    head, body = (rows[0], rows[2:]) if ruled else ([], rows)
    heads = "".join(f"<th>{_inline(cell, link)}</th>" for cell in head)
    cells = "".join(f"<tr>{''.join(f'<td>{_inline(cell, link)}</td>' for cell in row)}</tr>" for row in body)
    return f"<div><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>"


def _inline(text: str, link: Link) -> str:
    made = []
    last = 0
    for found in _INLINE.finditer(text):
        made += [escape(text[last : found.start()]), _span(found, link)]
        last = found.end()
    return "".join([*made, escape(text[last:])]).replace("&lt;br&gt;", "<br>")


def _span(found: re.Match[str], link: Link) -> str:
    if found["code"] is not None:
        return f"<code>{escape(found['code'].strip())}</code>"
    if found["strong"] is not None:
        return f"<strong>{_inline(found['strong'], link)}</strong>"
    if found["em"] is not None:
        return f"<em>{_inline(found['em'], link)}</em>"
    text = escape(found["bare"]) if found["bare"] is not None else _inline(found["text"], link)
    target = link(found["bare"] or found["target"])
    return text if target is None else f'<a href="{escape(target)}">{text}</a>'
