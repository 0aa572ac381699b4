"""Metalink documents (RFC 5854): one content, where it is, and how to check every piece of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from glare.digest import BLOCK, DIGEST_LENGTH, Digests
from glare.domain.artifact import Artifact

MEDIA_TYPE: Final = "application/metalink4+xml"

_CONTROLS: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def metalink(
    name: str, artifact: Artifact, size: int, digests: Digests, urls: Sequence[str], blocks: Iterable[bytes]
) -> Iterator[str]:
    """The document in parts. The file is called `name`. `urls` come in the order of their priority; `blocks` are runs
    of raw sha256 digests of 1 MiB blocks.
    """
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
        f'  <generator>Glare</generator>\n  <file name="{name}">\n'
        f"    <identity>{_text(artifact.name)}</identity>\n    <version>{_text(artifact.version)}</version>\n"
        f"    <size>{size}</size>\n"
        f'    <hash type="sha-256">{digests.sha256}</hash>\n    <hash type="sha-1">{digests.sha1}</hash>\n'
        f'    <pieces length="{BLOCK}" type="sha-256">\n'
    )
    for run in blocks:
        yield "".join(
            f"      <hash>{run[start : start + DIGEST_LENGTH].hex()}</hash>\n"
            for start in range(0, len(run), DIGEST_LENGTH)
        )
    yield "    </pieces>\n"
    for priority, url in enumerate(urls, 1):
        yield f'    <url priority="{priority}">{_text(url)}</url>\n'
    yield "  </file>\n</metalink>\n"


def _text(value: str) -> str:
    """Escaped; what XML 1.0 cannot hold is left out."""
    return escape(_CONTROLS.sub("", value))
