"""What the service is supposed to do, in the plainest Python: a model that says the answer to every request in advance.

`Model` holds artifacts in a dict. Its methods are the requests of the API; each returns what the service has to answer,
changes the model as the service has to change, or raises `Refused` with the status. Nothing in it is taken from the
service's code.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final


class Refused(Exception):
    """The status of a refusal."""

    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True, slots=True)
class Who:
    """A caller. `project` is None for somebody anonymous; `known` is whether they have credentials at all."""

    project: str | None = None
    admin: bool = False
    known: bool = True


WHO: Final[Mapping[str, Who]] = {
    "alice": Who("wonderland"),
    "carol": Who("wonderland"),
    "bob": Who("builders"),
    "admin": Who("cloud", admin=True),
    "anonymous": Who(),
    "stranger": Who(known=False),
}

BAD: Final = object()
"""The stored form of a value that does not fit its field."""


@dataclass(frozen=True, slots=True)
class Place:
    """A blob field: whether it may change once active, and the bytes of a blob or, in a `folder`, of all together."""

    most: int
    mutable: bool = False
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """An artifact type: fields and their defaults, and what is special about some of them."""

    defaults: Mapping[str, Any]
    mutable: frozenset[str]
    system: frozenset[str]
    required: frozenset[str]
    places: Mapping[str, Place]
    deleted_later: bool = False


_BASE: Final[Mapping[str, Any]] = {"name": None, "version": "0.0.0", "description": "", "tags": [], "metadata": {}}
_SYSTEM: Final = frozenset({"id", "owner", "created_at", "activated_at", "display_type_name"})
_SMALL: Final = 10485760

KINDS: Final[Mapping[str, Kind]] = {
    "sample_artifact": Kind(
        {**_BASE, "str1": None, "int1": None, "string_mutable": None, "string_required": None},
        frozenset({"description", "tags", "string_mutable"}),
        _SYSTEM | {"system_attribute"},
        frozenset({"string_required"}),
        {
            "blob": Place(_SMALL, mutable=True),
            "small_blob": Place(10, mutable=True),
            "dict_of_blobs": Place(2000, folder=True),
        },
    ),
    "images": Kind(
        {**_BASE, "container_format": None, "disk_format": None, "min_ram": None},
        frozenset({"description", "tags"}),
        _SYSTEM,
        frozenset({"container_format", "disk_format"}),
        {"image": Place(1073741824000)},
        deleted_later=True,
    ),
}
STATUSES: Final = ("drafted", "active", "deactivated", "deleted")
VISIBILITIES: Final = ("private", "public")


@dataclass(frozen=True, slots=True)
class Data:
    """The bytes of a blob. `url` is where they are, None for those that the service keeps."""

    content: bytes
    content_type: str
    url: str | None = None

    def represented(self) -> dict[str, Any]:
        """What a representation says of it, without the address of kept bytes."""
        digests = {name: hashlib.new(name, self.content).hexdigest() for name in ("md5", "sha1", "sha256")}
        known = {"size": len(self.content), "content_type": self.content_type, "external": self.url is not None}
        return {**digests, **known, "status": "active", **({"url": self.url} if self.url else {})}


@dataclass(slots=True)
class Held:
    """An artifact. `activations` counts how often it became active; `blobs` are by path."""

    id: str
    type_name: str
    owner: str
    fields: dict[str, Any]
    status: str = "drafted"
    visibility: str = "private"
    activations: int = 0
    blobs: dict[str, Data] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return KINDS[self.type_name]

    @property
    def document(self) -> dict[str, Any]:
        """What a representation shows of it, but for times and blobs."""
        base = {"id": self.id, "owner": self.owner, "status": self.status, "visibility": self.visibility}
        return {**base, **self.fields}

    def name_key(self) -> tuple[str, ...]:
        """What must be unique."""
        scope = ("public",) if self.visibility == "public" else ("private", self.owner)
        return (self.type_name, self.fields["name"], self.fields["version"], *scope)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a patch: `value` as it is sent and `stored` as it is kept, `BAD` where it does not fit."""

    op: str
    field: str
    value: Any = None
    stored: Any = None
    key: str | None = None

    def json(self) -> dict[str, Any]:
        """The operation as JSON Patch has it."""
        path = f"/{self.field}" + (f"/{self.key}" if self.key is not None else "")
        return {"op": self.op, "path": path} | ({} if self.op == "remove" else {"value": self.value})


@dataclass
class Model:
    """All artifacts that ever were and are not removed, and the quotas of projects."""

    configured: Mapping[str, int]
    artifacts: dict[str, Held] = field(default_factory=dict)
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)

    def create(self, who: Who, type_name: str, values: Sequence[tuple[str, Any, Any]]) -> Callable[[str], Held]:
        """`values` are names with what is sent and what is stored. Returns what makes the artifact, given its id."""
        self._known(who)
        if who.project is None:
            raise Refused(403)
        sent = {name: stored for name, _, stored in values}
        _insist(bool(sent.get("name")), 400)
        _insist(not sent.keys() & {"status", "visibility", "display_type_name"}, 400)
        kind = KINDS[type_name]
        _insist(BAD not in sent.values(), 400)
        new = Held("", type_name, who.project, deepcopy({**kind.defaults, **sent}))
        _insist(not self._taken(new), 409)
        _insist(self._fits(who.project, type_name, artifacts=1), 403)
        for name in sent:
            _insist(name not in kind.places, 400)
            _insist(name in kind.defaults or name in kind.system, 400)
            _insist(name not in kind.system, 403)

        def made(artifact_id: str) -> Held:
            new.id = artifact_id
            self.artifacts[artifact_id] = new
            return new

        return made

    def find(self, who: Who, artifact_id: str) -> Held:
        """The artifact, where it exists for the caller."""
        self._known(who)
        held = self.artifacts.get(artifact_id)
        if held is None or not _sees(who, held):
            raise Refused(404)
        return held

    def patch(self, who: Who, artifact_id: str, steps: Sequence[Step]) -> tuple[Held, bool]:
        """The artifact afterwards, and whether anything has changed."""
        held = self._written(who, artifact_id)
        _insist(who.admin or held.visibility == "private", 403)
        draft = deepcopy(held)
        for step in steps:
            _apply(who, draft, step)
        if draft == held:
            return held, False
        if draft.name_key() != held.name_key():
            _insist(not self._taken(draft), 409)
        self.artifacts[artifact_id] = draft
        return draft, True

    def upload(self, who: Who, artifact_id: str, path: str, data: Data) -> Held:
        held = self._written(who, artifact_id)
        place = _place(held, path)
        _changeable(held, place)
        present = held.blobs.get(path)
        replaced = len(present.content) if present is not None and present.url is None else 0
        _insist(len(data.content) <= _room(held, path, place), 413)
        needed = len(data.content) - replaced
        _insist(needed <= 0 or self._fits(held.owner, held.type_name, size=needed), 413)
        held.blobs[path] = data
        return held

    def locate(self, who: Who, artifact_id: str, path: str, data: Data | None, *, claimed: bool) -> Held:
        """`data` is what the origin serves, None where it serves nothing; `claimed` whether the claims are true."""
        held = self._written(who, artifact_id)
        place = _place(held, path)
        _insist(path not in held.blobs, 409)
        _changeable(held, place)
        if data is None:
            raise Refused(400)
        _insist(len(data.content) <= _room(held, path, place), 413)
        _insist(claimed, 400)
        held.blobs[path] = data
        return held

    def delete_blob(self, who: Who, artifact_id: str, path: str) -> Held:
        held = self._written(who, artifact_id)
        place = _place(held, path)
        data = held.blobs.get(path)
        if data is None:
            raise Refused(404)
        _insist(data.url is not None, 403)
        _changeable(held, place)
        del held.blobs[path]
        return held

    def download(self, who: Who, artifact_id: str, path: str) -> Data:
        held = self.find(who, artifact_id)
        _insist(who.admin or held.status != "deactivated", 403)
        _insist(held.status != "deleted", 403)
        _place(held, path)
        if path not in held.blobs:
            raise Refused(404)
        return held.blobs[path]

    def delete(self, who: Who, artifact_id: str) -> None:
        held = self._written(who, artifact_id)
        _insist(who.admin or (held.visibility == "private" and held.status != "deactivated"), 403)
        if held.kind.deleted_later:
            held.status = "deleted"
        else:
            del self.artifacts[artifact_id]

    def set_quotas(self, who: Who, project: str, records: Mapping[str, int]) -> None:
        self._known(who)
        _insist(who.admin, 403)
        self.quotas[project] = dict(records)

    def listed(self, who: Who, type_name: str = "all") -> list[Held]:
        """What a list shows, in no order."""
        self._known(who)
        return [
            held
            for held in self.artifacts.values()
            if held.status != "deleted" and type_name in ("all", held.type_name) and _sees(who, held)
        ]

    def usage(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Artifacts and bytes that are kept, of each project in all and by type."""
        number: Counter[tuple[str, str]] = Counter()
        size: Counter[tuple[str, str]] = Counter()
        for held in self.artifacts.values():
            for key in ((held.owner, ""), (held.owner, held.type_name)):
                number[key] += 1
                size[key] += sum(len(data.content) for data in held.blobs.values() if data.url is None)
        return {key: (number[key], size[key]) for key in number}

    def limits(self, project: str) -> dict[str, int]:
        """Its quotas by name."""
        return {**self.configured, **self.quotas.get(project, {})}

    def _fits(self, project: str, type_name: str, *, artifacts: int = 0, size: int = 0) -> bool:
        limits, used = self.limits(project), self.usage()
        for scope, suffix in (("", ""), (type_name, f":{type_name}")):
            number, stored = used.get((project, scope), (0, 0))
            for name, before, more in (
                ("max_artifact_number", number, artifacts),
                ("max_uploaded_data", stored, size),
            ):
                most = limits.get(name + suffix, -1)
                if more and most != -1 and before + more > most:
                    return False
        return True

    def _known(self, who: Who) -> None:
        _insist(who.known, 401)

    def _written(self, who: Who, artifact_id: str) -> Held:
        held = self.find(who, artifact_id)
        _insist(who.admin or who.project == held.owner, 403)
        return held

    def _taken(self, new: Held) -> bool:
        others = (held for held in self.artifacts.values() if held.id != new.id and held.status != "deleted")
        return any(held.name_key() == new.name_key() for held in others)


def _insist(condition: bool, status: int) -> None:
    if not condition:
        raise Refused(status)


def _sees(who: Who, held: Held) -> bool:
    return who.admin or held.owner == who.project or held.visibility == "public"


def _place(held: Held, path: str) -> Place:
    name, slash, key = path.partition("/")
    place = held.kind.places.get(name)
    if place is None or place.folder != bool(key) or (slash and not key):
        raise Refused(400)
    return place


def _changeable(held: Held, place: Place) -> None:
    _insist(held.status == "drafted" or (held.status == "active" and place.mutable), 403)


def _room(held: Held, path: str, place: Place) -> int:
    if not place.folder:
        return place.most
    folder = path.partition("/")[0] + "/"
    others: Iterable[Data] = (data for other, data in held.blobs.items() if other.startswith(folder) and other != path)
    return place.most - sum(len(data.content) for data in others)


def _apply(who: Who, draft: Held, step: Step) -> None:
    """One operation on the working copy."""
    kind = draft.kind
    if step.op == "test":
        _insist(_equals(draft, step), 400)
        return
    if step.op == "remove":
        _insist(step.key in draft.fields[step.field], 400)
    _insist(step.field not in kind.places, 400)
    if step.field == "visibility":
        _show(who, draft, step.value)
    elif step.field == "status":
        _move(who, draft, step.value)
    else:
        _insist(step.field in kind.defaults or step.field in kind.system, 400)
        _insist(draft.status in ("drafted", "active"), 403)
        _insist(step.field not in kind.system, 403)
        _insist(draft.status == "drafted" or step.field in kind.mutable, 403)
        _set(draft, step)


def _equals(draft: Held, step: Step) -> bool:
    place = draft.kind.places.get(step.field)
    if place is not None:  # No test compares with data, so only an empty field can be equal.
        empty = not any(path.partition("/")[0] == step.field for path in draft.blobs)
        return empty and bool(step.value == ({} if place.folder else None))
    return step.field in draft.document and bool(draft.document[step.field] == step.value)


def _set(draft: Held, step: Step) -> None:
    _insist(step.stored is not BAD, 400)
    held = draft.fields[step.field]
    if step.key is None:
        draft.fields[step.field] = deepcopy(step.stored)
    elif step.op == "remove":
        del held[step.key]
    elif step.field == "tags":
        draft.fields["tags"] = [*held, *([] if step.stored in held else [step.stored])]
    else:
        held[step.key] = step.stored


_ADMINS_STEPS: Final = (("active", "deactivated"), ("deactivated", "active"), ("deactivated", "deactivated"))


def _move(who: Who, draft: Held, wanted: Any) -> None:
    before = draft.status
    _insist(before != "deleted", 403)
    _insist(wanted in STATUSES, 400)
    if (before, wanted) == ("drafted", "drafted"):
        return
    if (before, wanted) in _ADMINS_STEPS:
        _insist(who.admin, 403)
    elif wanted == "active":
        _insist(all(draft.fields[name] is not None for name in draft.kind.required), 403)
    else:
        raise Refused(403)
    draft.activations += wanted == "active" and before != "active"
    draft.status = wanted


def _show(who: Who, draft: Held, wanted: Any) -> None:
    _insist(draft.status != "deleted", 403)
    _insist(wanted in VISIBILITIES, 400)
    if (draft.visibility, wanted) == ("private", "private"):
        return
    _insist(wanted == "public" and draft.status == "active" and who.admin, 403)
    draft.visibility = wanted
