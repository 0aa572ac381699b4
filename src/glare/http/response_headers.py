"""``Content-Disposition`` of a download (RFC 6266)."""

from __future__ import annotations

from urllib.parse import quote

from glare.domain.file_names import ascii_name


def attachment(name: str) -> str:
    """The header for a file of this name, which has no quotes, controls or separators. Programs that know no
    ``filename*`` (RFC 8187), such as curl, take the one in ASCII.
    """
    plain = ascii_name(name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'
