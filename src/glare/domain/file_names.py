"""What a downloaded blob is called: after its artifact, version, field and format.

Names of artifacts and keys of folders are anybody's text, and the file name is used by other people's file systems and
shells. So only letters, digits, marks and ``._+-`` are left of them; nothing begins with a dot or a dash, no name is
one that Windows keeps for devices, and none is longer than file systems take.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from glare.domain.artifact import Artifact
from glare.domain.blob import Slot
from glare.domain.declared.artifact_type import FieldSpec

_PLAIN: Final = frozenset("._+-")
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)", re.IGNORECASE)
_SUFFIX: Final = re.compile(r".\.([A-Za-z0-9]{1,10})$", re.DOTALL)

_MAX_NAME: Final = 120
_MAX_PART: Final = 36
_MARK: Final = 8
_FALLBACK: Final = "artifact"

_LATIN: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)
_OF_FORMAT: Final = {
    **{name: name for name in ("ami", "ari", "aki", "ova", "ovf", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso")},
    **{name: name for name in ("csar", "json", "yaml", "zip")},
    "docker": "tar",
    "yml": "yaml",
}
"""The suffix of a file by the value of a field of the artifact, in lower case."""

_OF_CONTENT_TYPE: Final = {
    "application/gzip": "gz",
    "application/x-gzip": "gz",
    "application/json": "json",
    "application/pdf": "pdf",
    "application/vnd.ms-cab-compressed": "cab",
    "application/x-bzip2": "bz2",
    "application/x-iso9660-image": "iso",
    "application/x-qemu-disk": "qcow2",
    "application/x-tar": "tar",
    "application/x-xz": "xz",
    "application/x-yaml": "yaml",
    "application/yaml": "yaml",
    "application/xml": "xml",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/zstd": "zst",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/x-yaml": "yaml",
    "text/xml": "xml",
    "text/yaml": "yaml",
}


def file_name(artifact: Artifact, field: FieldSpec, slot: Slot | None, content_type: str | None = None) -> str:
    """What a file with the blob in `slot` is called, or with the one content of a folder of replicas (no slot).

    `content_type` is the blob's: it says the format where neither the artifact nor the key does.
    """
    key = slot.key if slot is not None and not field.replicas else None
    suffix = _suffix(artifact, field, key, content_type)
    parts = [_safe(artifact.name, _MAX_NAME) or _FALLBACK, _safe(artifact.version, _MAX_PART)]
    if not field.replicas:
        parts.append(_safe(field.name, _MAX_PART))
    if key is not None:
        end = f".{suffix}"
        parts.append(_safe(key[: -len(end)] if key.lower().endswith(end) else key, _MAX_PART))
    name = "-".join(part for part in parts if part)
    if _DEVICE.match(name):
        name = f"_{name}"
    return f"{name}.{suffix}" if suffix else name


def ascii_name(name: str) -> str:
    """The name for programs that know ASCII only."""
    plain = unicodedata.normalize("NFKD", name.translate(_LATIN)).encode("ascii", "ignore").decode()
    return name if name.isascii() else _squeezed(plain) or _FALLBACK


def _suffix(artifact: Artifact, field: FieldSpec, key: str | None, content_type: str | None) -> str | None:
    found = _SUFFIX.search(key or "")
    if found is not None:
        return found[1].lower()
    return _of_fields(artifact, field.formats) or _OF_CONTENT_TYPE.get((content_type or "").lower())


def _of_fields(artifact: Artifact, names: Sequence[str]) -> str | None:
    for name in names:
        value = artifact.values.get(name)
        if isinstance(value, str) and value.lower() in _OF_FORMAT:
            return _OF_FORMAT[value.lower()]
    return None


def _safe(text: str, most: int) -> str:
    """What is left of a text, at most so many bytes of UTF-8. One that is cut ends with a mark of the whole."""
    safe = _squeezed(unicodedata.normalize("NFC", text))
    if len(safe.encode()) <= most:
        return safe
    mark = hashlib.sha256(text.encode()).hexdigest()[:_MARK]
    return f"{safe.encode()[: most - _MARK - 1].decode(errors='ignore')}-{mark}"


def _squeezed(text: str) -> str:
    kept = "".join(char if char in _PLAIN or unicodedata.category(char)[0] in "LMN" else "_" for char in text)
    return re.sub(r"_{2,}", "_", kept).strip("._+-")
