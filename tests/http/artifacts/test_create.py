"""POST /artifacts/T: what a new artifact is, and in which order a request for one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from support.origins.origin import Origin
from support.service import Glare

Unique = Callable[[], str]

JSON = {"Content-Type": "application/json"}


def test_new_artifact_is_drafted_private_and_the_callers(api: Glare, unique: Unique) -> None:
    """Every field of the type is there; what was not given has its default."""
    answer = api.alice.try_create("images", name=unique())
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert "location" not in answer.headers
    artifact = answer.json()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", artifact["id"])
    assert artifact["created_at"] == artifact["updated_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", artifact["created_at"])
    del artifact["id"], artifact["name"], artifact["created_at"], artifact["updated_at"]
    assert artifact == {
        "owner": "wonderland",
        "status": "drafted",
        "visibility": "private",
        "version": "0.0.0",
        "activated_at": None,
        "description": "",
        "tags": [],
        "metadata": {},
        "display_type_name": "Images",
        **dict.fromkeys(("container_format", "disk_format", "min_ram", "min_disk", "image", "kernel_id")),
        **dict.fromkeys(("ramdisk_id", "instance_uuid", "architecture", "os_distro", "os_version")),
    }


def test_given_values_are_stored(api: Glare, unique: Unique) -> None:
    """What is given comes back, non-ASCII as raw UTF-8, and a reader sees the same."""
    given = {
        "name": f"Größe, 名前: {unique()}",
        "version": "1.2.3-beta.1+build",
        "description": "d" * 4096,
        "tags": ["b", "a", "b"],
        "metadata": {"ключ": "value"},
        "min_ram": "512",
        "min_disk": 3.9,
        "disk_format": "qcow2",
        "kernel_id": "6f9619ffB886d011B42d00cf4fc964ff",
    }
    answer = api.alice.try_create("images", **given)
    artifact = answer.json()
    assert "Größe, 名前".encode() in answer.content
    assert {name: artifact[name] for name in given} == {
        **given,
        "tags": ["b", "a"],
        "min_ram": 512,
        "min_disk": 3,
    }
    document = api.alice.request("GET", f"/artifacts/images/{artifact['id']}").json()
    assert document == artifact


COERCED = [
    ("str1", 1.0, "1.0"),
    ("str1", True, "True"),
    ("str1", 5, "5"),
    ("int1", 3.7, 3),
    ("int1", " 12 ", 12),
    ("int1", True, 1),
    ("float1", "1.5", 1.5),
    ("float1", 2, 2.0),
    ("float1", True, 1.0),
    ("bool1", "yes", True),
    ("bool1", "garbage", False),
    ("bool1", [], False),
    ("bool1", None, False),
    ("list_of_str", [1, True, "x"], ["1", "True", "x"]),
    ("list_of_int", ["1", 2.5], [1, 2]),
    ("dict_of_str", {"a": 1}, {"a": "1"}),
    ("dict_of_int", {"a": "7"}, {"a": 7}),
    ("list_of_str", None, []),
    ("dict_of_str", None, {}),
    ("dict_validators", {}, None),
    ("dict_validators", {"abc": "1"}, {"abc": "1"}),
    ("metadata_attribute", None, "default"),
    ("description", None, None),
    ("string_validators", "bb", "bb"),
    ("string_regex", "deadBEEF", "deadBEEF"),
    ("int_validators", 20, 20),
]


@pytest.mark.parametrize(("field", "given", "stored"), COERCED)
def test_values_are_coerced(api: Glare, unique: Unique, field: str, given: Any, stored: Any) -> None:
    """Input becomes what the field holds, as clients that send text for everything expect."""
    artifact = api.alice.create("sample_artifact", name=unique(), **{field: given})
    assert artifact[field] == stored
    assert type(artifact[field]) is type(stored)
    assert api.alice.show(artifact)[field] == stored


WRONG = [
    ("str1", []),
    ("str1", {}),
    ("str1", "x" * 256),
    ("int1", "3.0"),
    ("int1", ""),
    ("int1", []),
    ("float1", "one"),
    ("float1", {}),
    ("list_of_str", "a"),
    ("list_of_str", {"a": "b"}),
    ("list_of_str", [None]),
    ("list_of_str", [[]]),
    ("list_of_str", ["x" * 256]),
    ("list_of_str", ["x"] * 256),
    ("list_of_int", ["x"]),
    ("dict_of_str", []),
    ("dict_of_str", {"a": None}),
    ("dict_of_str", {"": "x"}),
    ("dict_of_str", {"k" * 256: "x"}),
    ("dict_of_int", {"a": "x"}),
    ("description", "d" * 4097),
    ("tags", ["a,b"]),
    ("tags", ["a/b"]),
    ("tags", [""]),
    ("tags", [str(number) for number in range(256)]),
    ("metadata", {"a": ""}),
    ("name", "n" * 256),
    ("string_validators", "cc"),
    ("string_validators", "c" * 11),
    ("string_regex", "xyz"),
    ("int_validators", 9),
    ("int_validators", 21),
    ("list_validators", ["a", "a"]),
    ("list_validators", ["a", "b", "c", "d"]),
    ("dict_validators", {"other": "x"}),
    ("dict_validators", {"abc": "1", "def": "2", "ghi": "3", "jkl": "4"}),
    ("link1", "/artifacts/images"),
    ("link1", "/artifacts/images/a/b"),
    ("link1", "ftp://example.org/"),
    ("link1", "httpfoo://example.org/"),
    ("link1", 5),
    ("version", ""),
    ("version", "abc"),
    ("version", "01.2.3"),
    ("version", "-1"),
    ("version", []),
    ("version", "1..2"),
    ("version", "1.2.3-01"),
    ("version", "65536.0.0"),
    ("version", "1.0.0-1234567"),
    ("version", "1.0.0-" + "a" * 300),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_value_is_400_and_named(api: Glare, unique: Unique, field: str, value: Any) -> None:
    """What a field cannot hold is refused with the field's name, and nothing is created."""
    name = unique()
    answer = api.alice.try_create("sample_artifact", **{"name": name, field: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "InvalidParameterValue"
    assert f"'{field}'" in answer.json()["error"]["message"]
    assert api.alice.names("sample_artifact", f"name={name}") == []


VERSIONS = [
    ("1", "1.0.0"),
    ("1.0", "1.0.0"),
    (2.0, "2.0.0"),
    (3, "3.0.0"),
    ("1.2.3.4", "1.2.3+4"),
    ("1:0", "1.0.0-0"),
    ("1.0.0-alpha_1", "1.0.0-alpha-1"),
    ("1.0.0 ", "1.0.0"),
    ("1.2.3-a.b+c", "1.2.3-a.b+c"),
    ("65535.65535.65535", "65535.65535.65535"),
    (None, "0.0.0"),
]


@pytest.mark.parametrize(("given", "canonical"), VERSIONS)
def test_versions_become_canonical(api: Glare, unique: Unique, given: Any, canonical: str) -> None:
    """A version is stored as full semantic version, however it was written."""
    assert api.alice.create("images", name=unique(), version=given)["version"] == canonical


def test_a_refused_version_is_explained_once(api: Glare, unique: Unique) -> None:
    """The refusal names the field and the value once, and ends with the remedy."""
    response = api.alice.try_create("images", name=unique(), version="one")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == (
        "Field 'version' cannot be 'one': it does not begin with a digit; "
        "give a semantic version such as 1.2.3 or 1.2.3-rc.1+build.5."
    )


ASTRAL = "\U0001f600"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ASTRAL},
        {"description": ASTRAL},
        {"str1": ASTRAL},
        {"dict_of_str": {ASTRAL: "x"}},
        {"dict_of_str": {"x": ASTRAL}},
        {"metadata": {"x": ASTRAL}},
    ],
)
def test_four_byte_characters_are_refused(api: Glare, unique: Unique, fields: dict[str, Any]) -> None:
    """Names, single texts and dicts hold no characters beyond U+FFFF (quirk 53)."""
    assert api.alice.try_create("sample_artifact", **{"name": unique(), **fields}).status_code == 400


@pytest.mark.parametrize("field", ["list_of_str", "tags"])
def test_four_byte_characters_in_lists_are_kept(api: Glare, unique: Unique, field: str) -> None:
    """Lists and tags hold any character, and are found by it."""
    name = unique()
    artifact = api.alice.create("sample_artifact", name=name, **{field: [ASTRAL]})
    assert artifact[field] == [ASTRAL]
    assert api.alice.names("sample_artifact", f"name={name}&{field}={ASTRAL}") == [name]


@pytest.mark.parametrize("name", ["a:b", "a,b", " a b ", "eq:x", '"quoted"', "%", "ẞ", "x" * 255, 5, True, 1.5])
def test_names_may_hold_anything(api: Glare, unique: Unique, name: Any) -> None:
    """Colons, commas and blanks are fine in names, and scalars become text."""
    assert api.alice.create("heat_environments", name=name, version="1.0.0")["name"] == str(name)


def test_non_nullable_fields(api: Glare, unique: Unique) -> None:
    """A field that cannot be null takes its default; without one it must be given."""
    kind = "non_nullable_fields_artifact"
    created = api.alice.create(kind, name=unique(), int_not_nullable_without_default=5)
    assert created["int_not_nullable_with_default"] == 0
    created = api.alice.create(
        kind, name=unique(), int_not_nullable_without_default=5, int_not_nullable_with_default=None
    )
    assert created["int_not_nullable_with_default"] == 0
    assert api.alice.try_create(kind, name=unique()).status_code == 400
    assert api.alice.try_create(kind, name=unique(), int_not_nullable_without_default=None).status_code == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("Application/JSON", 201),
        ("application/json-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_content_type_must_be_json(api: Glare, unique: Unique, content_type: str, status: int) -> None:
    """Parameters of the content type do not matter, the type does."""
    body = b'{"name": "%s"}' % unique().encode()
    answer = api.alice.request("POST", "/artifacts/images", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status


# The checks of POST in their order: each entry is a fault, with the status that it brings. A request that has two
# faults is answered for the earlier one.
FAULTS: list[tuple[str, int, str]] = [
    ("media type", 415, "UnsupportedMediaType"),
    ("anonymous", 403, "Forbidden"),  # Before the body is read.
    ("array", 400, "BadRequest"),
    ("no name", 400, "BadRequest"),
    ("status", 400, "BadRequest"),
    ("unknown type", 404, "TypeNotFound"),
    ("bad value", 400, "InvalidParameterValue"),
    ("taken", 409, "Conflict"),
    ("over quota", 403, "Forbidden"),
    ("unknown field", 400, "BadRequest"),
]
PAIRS = [(first, second) for index, first in enumerate(FAULTS) for second in FAULTS[index + 1 :]]


@pytest.fixture(scope="module")
def full(api: Glare) -> Glare:
    """The project `full` owns one artifact, `taken`, and may own no more."""
    api.actor("u:full:member").create("images", name="taken")
    quotas = [{"project_id": "full", "project_quotas": [{"quota_name": "max_artifact_number", "quota_value": 1}]}]
    api.admin.request("PUT", "/quotas", json=quotas)
    return api


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a[0]}-{b[0]}" for a, b in PAIRS])
def test_checks_come_in_order(
    full: Glare, unique: Unique, first: tuple[str, int, str], second: tuple[str, int, str]
) -> None:
    """Of two faults the contract's earlier one is reported."""
    faults = {first[0], second[0]}
    fields: dict[str, Any] = {"name": "taken" if "taken" in faults else unique()}
    if "no name" in faults:
        fields.pop("name")
    if "status" in faults:
        fields["status"] = "active"
    if "bad value" in faults:
        fields["min_ram"] = "many"
    if "unknown field" in faults:
        fields = {"unknown": 1, **fields}
    project = "none" if "anonymous" in faults else "full" if faults & {"taken", "over quota"} else unique()
    answer = full.actor(f"u:{project}:member").request(
        "POST",
        f"/artifacts/{'unknown' if 'unknown type' in faults else 'images'}",
        json=[fields] if "array" in faults else fields,
        headers={"Content-Type": "text/plain"} if "media type" in faults else {},
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == first[1:]


@pytest.mark.parametrize("name", [None, "", 0, False, [], {}])
def test_name_must_be_something(api: Glare, name: Any) -> None:
    """A name that is missing or empty in any form is 400."""
    answer = api.alice.try_create("images", name=name)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequest")


@pytest.mark.parametrize("value", ["private", "drafted", None, 5])
@pytest.mark.parametrize("field", ["visibility", "status", "display_type_name"])
@pytest.mark.parametrize("kind", ["images", "unknown"])
def test_life_cycle_is_not_for_creation(api: Glare, unique: Unique, kind: str, field: str, value: Any) -> None:
    """Status, visibility and the type's display name are refused whatever their value, before the type is looked up."""
    answer = api.alice.try_create(kind, **{"name": unique(), field: value})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"blob": None}, 400),
        ({"blob": {}}, 400),
        ({"blob": "x"}, 400),
        ({"dict_of_blobs": {}}, 400),
        ({"dict_of_blobs": None}, 400),
        ({"unknown": None}, 400),
        ({"id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"}, 403),
        ({"owner": "somebody"}, 403),
        ({"created_at": "2020-01-01T00:00:00Z"}, 403),
        ({"updated_at": "2020-01-01"}, 403),
        ({"activated_at": None}, 403),
        ({"system_attribute": "x"}, 403),
        ({"created_at": "yesterday"}, 400),
        ({"system_attribute": []}, 400),
        ({"id": "no-uuid"}, 400),
        ({"owner": "somebody", "unknown": 1}, 403),
        ({"unknown": 1, "owner": "somebody"}, 400),
        ({"blob": None, "owner": "somebody"}, 400),
        ({"owner": "somebody", "blob": None}, 403),
    ],
)
def test_fields_that_clients_do_not_set(api: Glare, unique: Unique, fields: dict[str, Any], status: int) -> None:
    """Blobs and unknown fields are 400, fields of the service 403; the first key of the request decides."""
    name = unique()
    assert api.alice.try_create("sample_artifact", name=name, **fields).status_code == status
    assert api.alice.names("sample_artifact", f"name={name}") == []


def test_nothing_is_created_under_all(api: Glare, unique: Unique) -> None:
    """The type `all` is for reading."""
    assert api.alice.try_create("all", name=unique()).status_code == 403
    body = {"name": unique(), "type_name": "images"}
    assert api.admin.request("POST", "/artifacts/all", json=body).status_code == 403
    assert api.admin.request("POST", "/artifacts/images", json=body).status_code == 400


@pytest.mark.parametrize("token", ["u:none:member", "u:None:admin", ":NONE:"])
def test_anonymous_creates_nothing(api: Glare, token: str) -> None:
    """A caller without a project owns nothing, whatever roles the token claims."""
    assert api.actor(token).try_create("images", name="a").status_code == 403


def test_name_and_version_are_unique_in_their_scope(api: Glare, unique: Unique) -> None:
    """Private artifacts of one project and type differ in name or version; public ones differ from one another only."""
    name = unique()
    api.alice.create("sample_artifact", name=name)
    assert api.alice.try_create("sample_artifact", name=name).status_code == 409
    assert api.alice.try_create("sample_artifact", name=name, version="0").status_code == 409
    api.alice.create("sample_artifact", name=name, version="0.0.0-rc1")
    api.alice.create("sample_artifact", name=name, version="0.0.0+build")
    assert api.alice.try_create("sample_artifact", name=name, version="0.0.0+build").status_code == 409
    api.alice.create("sample_artifact", name=name.upper())
    api.alice.create("images", name=name)
    api.bob.create("sample_artifact", name=name)
    assert api.actor("other:wonderland:member").try_create("sample_artifact", name=name).status_code == 409


def test_private_and_public_may_share_a_name(api: Glare, unique: Unique) -> None:
    """Once published, an artifact gives its private name free, also to its own project."""
    name = unique()
    first = api.alice.create("sample_artifact", name=name, string_required="x")
    api.alice.activate(first)
    api.admin.publish(first)
    second = api.alice.create("sample_artifact", name=name, string_required="x")
    api.alice.activate(second)
    assert api.admin.set(second, visibility="public").status_code == 409
    assert api.alice.show(second)["visibility"] == "private"


def test_links_to_artifacts(api: Glare, unique: Unique) -> None:
    """A link must lead to an artifact that the caller sees; the type in its path is not looked at (quirk 19)."""
    target = api.alice.create("images", name=unique())
    hidden = api.bob.create("images", name=unique())
    for kind in ("images", "sample_artifact", "whatever"):
        link = f"/artifacts/{kind}/{target['id']}"
        artifact = api.alice.create(
            "sample_artifact", name=unique(), link1=link, list_of_links=[link], dict_of_links={"a": link}
        )
        assert (artifact["link1"], artifact["list_of_links"], artifact["dict_of_links"]) == (link, [link], {"a": link})
    for artifact_id in (hidden["id"], "00000000-0000-4000-8000-000000000000", "x"):
        link = f"/artifacts/images/{artifact_id}"
        for fields in ({"link1": link}, {"list_of_links": [link]}, {"dict_of_links": {"a": link}}):
            answer = api.alice.try_create("sample_artifact", name=unique(), **fields)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "InvalidParameterValue")
    assert (
        api.admin.try_create("sample_artifact", name=unique(), link1=f"/artifacts/images/{hidden['id']}").status_code
        == 201
    )


def test_links_to_the_web(glare: Glare, origin: Origin) -> None:
    """A web link must answer when it is written; it is kept as it was given, and found by it (quirk 43)."""
    origin.put("/there", b"x")
    link = origin.url("/there")
    artifact = glare.alice.create("sample_artifact", name="there", link1=link)
    assert artifact["link1"] == link
    assert origin.count("/there") == 1
    assert glare.alice.names("sample_artifact", f"link1=eq:{link}") == ["there"]
    answer = glare.alice.try_create("sample_artifact", name="missing", link1=origin.url("/missing?secret=hunter2"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "InvalidParameterValue")
    assert "hunter2" not in answer.text
    origin.refuse("/busy", 429, {"Retry-After": "40"})
    answer = glare.alice.try_create("sample_artifact", name="busy", link1=origin.url("/busy"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "40")


@pytest.mark.parametrize(
    "link", ["http://127.0.0.1:1/", "http://10.0.0.1/", "http://unresolvable.invalid/", "https://"]
)
def test_links_to_nowhere_are_400(glare: Glare, link: str) -> None:
    """A link that does not answer, or may not be followed, is refused as a wrong value."""
    answer = glare.alice.try_create("sample_artifact", name="nowhere", link1=link)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "InvalidParameterValue")
